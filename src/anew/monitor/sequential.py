"""Concept drift by an anytime-valid test: the version loses more than it did on the rows that it was validated on."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import numpy as np
import polars as pl

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.monitor._detector import Finding, ScoredRows, SeenRows
from anew.monitor._losses import OwnLosses, judge_rise, own_losses, rise, too_few
from anew.stats.edetector import rise_evidence
from anew.stats.interval import mean_interval, wilson_interval

__all__ = ["Sequential"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)
_LEAST_HELD = 50
_BEGINNINGS = 32
"""Instants in a period at which bets begin: each costs evidence, and one that lies near the change gains it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequential:
    """Alert when bets that the loss has risen above that at validation have won, at whatever look.

    Parameters
    ----------
    period
        Rows that it looks back on (``over`` in the file): those that this version answered within it.
    alpha
        Chance of a false alarm in a time as long as the period, however often it is looked at; between 0 and 1.
    margin
        Rise of the loss, in [0, 1), that nobody would retrain for.
    at_least_rows
        Labelled rows of the version below which nothing is judged; of held-out rows 50 are needed.

    Notes
    -----
    The loss at validation is that of the version's stored held-out rows; bets are placed against the upper end of its
    95 % interval, plus `margin`, so that chance in those rows is no alarm (but for 1 version in 40). Bets begin anew at
    32 instants of the period, fixed in advance, so that a change is seen that came long after the promotion; their sum
    is a Shiryaev-Roberts e-detector, of which leaving the period takes only away. Then a false alarm has at most the
    chance `alpha` in any time as long as the period, and takes ``period / alpha`` or more to come on average, provided
    that losses, given those before, have no higher mean than at validation. Losses that come in waves (day and night)
    break that, and so do labels that come sooner for bad answers. Needs no river.
    """

    labels: ClassVar[bool] = True
    needs_sample: ClassVar[bool] = True

    period: timedelta = timedelta(days=30)
    alpha: float = 0.01
    margin: float = 0.01
    at_least_rows: int = 50

    def __post_init__(self) -> None:
        if not (0 < self.alpha < 1 and 0 <= self.margin < 1 and self.period > timedelta(0) and self.at_least_rows > 1):
            raise InvariantError(
                f"sequential: alpha {self.alpha} lies between 0 and 1, margin {self.margin} in [0, 1), over "
                f"{self.period} is positive, at_least_rows {self.at_least_rows} is 2 or more"
            )

    @property
    def key(self) -> str:
        """``sequential(p<alpha over 720h)``, with ``, margin m``."""
        return f"sequential(p<{self.alpha:g} over {self.period / timedelta(hours=1):g}h, margin {self.margin:g})"

    @property
    def over(self) -> timedelta | None:
        """The period."""
        return self.period

    def measure_seen(self, seen: SeenRows) -> tuple[Evidence, ...]:  # noqa: ARG002  the detector's contract
        """Measure nothing: this detector needs labels."""
        return ()

    def measure_scored(self, rows: ScoredRows) -> tuple[Evidence, ...]:
        """Measure the loss since the beginning whose bets won most; its p-value may be read at every look."""
        losses = own_losses(rows)
        step = self.period // _MICRO // _BEGINNINGS
        instants = losses.at.dt.epoch("us").to_numpy()
        number = instants // step
        if rows.window is not None:
            # An interval of which the period holds a part only began at no instant fixed in advance.
            oldest = (rows.window.end - self.period - _EPOCH) // _MICRO
            whole = number * step >= oldest
            losses, number = OwnLosses(losses.loss[whole], losses.at.filter(pl.Series(whole))), number[whole]
        if len(number) < self.at_least_rows:
            return too_few(self.key, len(number), self.at_least_rows)
        try:
            bound = min(_at_validation(rows) + self.margin, 1.0)
            found = rise_evidence(np.clip(losses.loss, 0.0, 1.0), number, bound)
        except InvariantError as exc:
            return (Evidence.of(self.key, None, len(number), problem=f"nothing to bet against: {exc}"),)
        p_value = min(1.0, math.exp(min(math.log(_BEGINNINGS) - found.log_sum, 0.0)))
        return (rise(self.key, losses, found.since, bound, p_value),)

    def judge(self, evidence: tuple[Evidence, ...]) -> Finding | None:
        """Find concept drift where the p-value is at most `alpha`."""
        won = tuple(each for each in evidence if each.p_value is not None and each.p_value <= self.alpha)
        return judge_rise("anytime-valid", won)


def _at_validation(rows: ScoredRows) -> float:
    """Return the upper end of the interval of the version's mean loss on its held-out rows."""
    sample = pl.DataFrame() if rows.yardstick is None else rows.yardstick.sample
    if not {"_held", "_label", "_output"} <= set(sample.columns):
        raise InvariantError("the version was stored without a sample of its held-out rows")
    held = sample.filter(pl.col("_held")).drop_nulls(["_label", "_output"])
    n = held.height
    if n < _LEAST_HELD:
        raise InvariantError(f"the version's sample has {n} held-out rows, {_LEAST_HELD} are needed")
    label, output = held.get_column("_label"), held.get_column("_output")
    if rows.task.classifies:
        return wilson_interval(int((label != output).sum()), n).high
    loss = np.minimum(np.abs(label.to_numpy() - output.to_numpy()) / rows.loss_scale, 1.0)
    return min(mean_interval(n, float(loss.mean()), float(loss.var(ddof=1))).high, 1.0)
