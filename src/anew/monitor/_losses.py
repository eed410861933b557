"""Machinery of the detectors that follow the losses of one version through time."""

from datetime import datetime
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from anew.domain.evidence import Evidence
from anew.domain.severity import Severity
from anew.monitor._detector import Finding, ScoredRows
from anew.stats.interval import mean_interval
from anew.stats.moments import Moments

__all__ = ["OwnLosses", "judge_rise", "own_losses", "rise", "risen", "too_few"]


class OwnLosses(NamedTuple):
    """Losses of the version's own answers in time order, and their instants; both have one entry a row."""

    loss: npt.NDArray[np.float64]
    at: pl.Series


def own_losses(rows: ScoredRows, most: int | None = None) -> OwnLosses:
    """Return the losses of what `rows.version` answered, the newest `most` of them.

    What other versions answered tells nothing of this one: a promotion begins a new run of losses.
    """
    mine = np.isfinite(rows.loss)
    if rows.version and "_version" in rows.table.columns:
        mine &= (rows.table.get_column("_version") == rows.version).fill_null(value=False).to_numpy()
    at = rows.table.get_column("_at").filter(pl.Series(mine))
    loss = rows.loss[mine]
    return OwnLosses(loss, at) if most is None else OwnLosses(loss[-most:], at.tail(most))


def too_few(key: str, n: int, least: int) -> tuple[Evidence, ...]:
    """Return evidence that nothing was measured."""
    return (Evidence.of(key, None, n, problem=f"{n} labelled rows of this version, {least} are needed"),)


def rise(key: str, losses: OwnLosses, at: int, before: float) -> Evidence:
    """Return evidence of a loss that rose at row `at` from `before` on."""
    since: datetime = losses.at[at]
    return risen(key, since, Moments.of(losses.loss[at:]), before)


def risen(key: str, since: datetime, new: Moments, before: float, p_value: float | None = None) -> Evidence:
    """Return evidence of a loss that rose from `before`; its value is the mean of those `since` then."""
    interval = mean_interval(new.n, new.mean, new.variance) if new.n > 1 else None
    subject = f"loss since {since.isoformat()}"
    return Evidence.of(key, new.mean, new.n, subject=subject, reference=before, interval=interval, p_value=p_value)


def judge_rise(how: str, evidence: tuple[Evidence, ...]) -> Finding | None:
    """Find concept drift where a rise was measured: HIGH when even the lower end of the new loss is above the old."""
    for each in evidence:
        if not each.measured or each.value is None or each.reference is None or each.value <= each.reference:
            continue
        low = each.value if each.low is None else each.low
        return Finding(
            severity=Severity.HIGH if low > each.reference else Severity.MEDIUM,
            message=f"{each.subject} is {each.value:.4g} on {each.n} rows, before {each.reference:.4g} ({how})",
            evidence=(each,),
        )
    return None
