"""Machinery of the detectors that compare one distribution with the yardstick's: labels, or answers."""

from collections.abc import Sequence
from typing import Literal

import polars as pl

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.domain.severity import Severity
from anew.monitor._detector import Finding
from anew.stats.column import ColumnProfile
from anew.stats.distance import chi_squared, coarsen, psi_deciles
from anew.stats.edge import CategoricalBinning
from anew.stats.profile import Reference

__all__ = ["Test", "check_limits", "judge_shift", "measure_shift"]

Test = Literal["chi2", "psi"]


def check_limits(name: str, p_below: float, above: float, at_least_rows: int) -> None:
    """Raise InvariantError for limits that nothing could cross."""
    if not 0 < p_below < 1 or not 0 < above < float("inf") or at_least_rows < 1:
        raise InvariantError(
            f"{name}: p_below {p_below}, above {above}, at_least_rows {at_least_rows}; "
            "use a p-value between 0 and 1, a positive index and a positive number of rows"
        )


def measure_shift(key: str, reference: Reference, values: pl.Series, at_least_rows: int) -> tuple[Evidence, ...]:
    """Measure how far `values` are from the one column that `reference` has.

    The first entry is the whole: the index as its value, with the p-value of the two-sample chi-squared test; for a
    column of levels the others are the share of each level now, with the share then as their reference.
    """
    ((name, base),) = reference.own.columns.items()
    n = values.len()
    if n < at_least_rows:
        return (Evidence.of(key, None, n, problem=f"{n} rows, {at_least_rows} are needed"),)
    now = reference.profile({name: values.to_arrow()}).columns[name]
    first, second = coarsen(base, now)
    whole = Evidence.of(key, psi_deciles(first, second), n, p_value=chi_squared(first, second).p_value)
    binning = reference.binnings[name]
    return (whole, *_shares(key, binning.levels if isinstance(binning, CategoricalBinning) else (), base, now))


def _shares(key: str, levels: Sequence[str], base: ColumnProfile, now: ColumnProfile) -> list[Evidence]:
    return [
        Evidence.of(
            key, float(now.counts[i] / now.n), now.n, subject=str(level), reference=float(base.counts[i] / base.n)
        )
        for i, level in enumerate(levels[:20])
    ]


def judge_shift(what: str, test: Test, limit: float, evidence: tuple[Evidence, ...]) -> Finding | None:
    """Find a shift when the whole's p-value is below, or its index above, the limit."""
    whole = next((each for each in evidence if not each.subject), None)
    if whole is None or not whole.measured or whole.value is None or whole.p_value is None:
        return None
    if not (whole.p_value < limit if test == "chi2" else whole.value > limit):
        return None
    parts = sorted(
        (each for each in evidence if each.subject and each.value is not None and each.reference is not None),
        key=lambda each: -abs((each.value or 0.0) - (each.reference or 0.0)),
    )
    moved = "".join(f"; {each.subject} {each.reference:.1%} to {each.value:.1%}" for each in parts[:3])
    return Finding(
        severity=Severity.HIGH if whole.value > 0.25 else Severity.MEDIUM,
        message=f"{what} shifted: p {whole.p_value:.2g}, PSI {whole.value:.3f} on {whole.n} rows{moved}",
        evidence=(whole, *parts[:3]),
    )
