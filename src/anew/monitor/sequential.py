"""Concept drift by an anytime-valid test: the version loses more than it did on the rows that it was validated on."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar, NamedTuple

import numpy as np
import polars as pl

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.monitor._detector import Finding, ScoredRows, SeenRows
from anew.monitor._losses import OwnLosses, judge_rise, own_losses, risen, too_few
from anew.stats.edetector import RiseEvidence, rise_evidence, rise_of_counts
from anew.stats.interval import mean_interval, wilson_interval
from anew.stats.moments import Moments

__all__ = ["Sequential"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)
_LEAST_HELD = 50
_BEGINNINGS = 32
"""Instants in a period at which bets begin: each costs evidence, and one that lies near the change gains it."""


class _Run(NamedTuple):
    """Losses of a version behind a beginning: how many, how many of them 1, and when the first was, in microseconds."""

    n: int
    wrong: int
    first: int

    @classmethod
    def of(cls, runs: Sequence["_Run"]) -> "_Run":
        """Add up."""
        return cls(sum(each.n for each in runs), sum(each.wrong for each in runs), min(each.first for each in runs))


Counts = Mapping[tuple[str, int], _Run]
"""By version and number of the beginning."""


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
            return _against_nothing(self.key, len(number), exc)
        since: datetime = losses.at[found.since]
        return (risen(self.key, since, Moments.of(losses.loss[found.since :]), bound, _p_value(found)),)

    def adds_up(self, classes: int) -> bool:
        """Can it be measured from sums of windows? Where losses are 0 or 1, which are counted by beginning."""
        return classes > 0

    def sums(self, rows: ScoredRows) -> Counts | None:
        """Count the losses of each version by the beginning that they lie behind."""
        if not rows.task.classifies:
            return None
        if not rows.n:
            return {}
        table = rows.table.select("_version", pl.col("_at").dt.epoch("us")).with_columns(_loss=pl.Series(rows.loss))
        number = (pl.col("_at") // (self.period // _MICRO // _BEGINNINGS)).alias("_number")
        known = table.filter(pl.col("_loss").is_finite()).group_by("_version", number)
        counted = known.agg(pl.len(), pl.col("_loss").sum(), pl.col("_at").min())
        return {
            (version, number): _Run(n, round(wrong), first) for version, number, n, wrong, first in counted.iter_rows()
        }

    def measure_sums(self, own: ScoredRows, parts: Sequence[Counts]) -> tuple[Evidence, ...]:
        """Measure what `measure_scored` does of all rows of the period of the window `own`."""
        oldest = None if own.window is None else (own.window.end - self.period - _EPOCH) // _MICRO
        step = self.period // _MICRO // _BEGINNINGS
        met: dict[int, list[_Run]] = {}
        for part in parts:
            for (version, number), run in part.items():
                if own.version in (version, "") and (oldest is None or number * step >= oldest):
                    met.setdefault(number, []).append(run)
        runs = [_Run.of(met[number]) for number in sorted(met)]
        n = sum(run.n for run in runs)
        if n < self.at_least_rows:
            return too_few(self.key, n, self.at_least_rows)
        total, wrong = (np.array(each, dtype=np.int64) for each in list(zip(*runs, strict=True))[:2])
        try:
            bound = min(_at_validation(own) + self.margin, 1.0)
            found = rise_of_counts(total - wrong, wrong, bound)
        except InvariantError as exc:
            return _against_nothing(self.key, n, exc)
        new = _Run.of(runs[found.since :])
        moments = Moments(new.n, new.wrong / new.n, new.wrong * (1 - new.wrong / new.n))
        return (risen(self.key, _EPOCH + new.first * _MICRO, moments, bound, _p_value(found)),)

    def judge(self, evidence: tuple[Evidence, ...]) -> Finding | None:
        """Find concept drift where the p-value is at most `alpha`."""
        won = tuple(each for each in evidence if each.p_value is not None and each.p_value <= self.alpha)
        return judge_rise("anytime-valid", won)


def _against_nothing(key: str, n: int, why: InvariantError) -> tuple[Evidence, ...]:
    return (Evidence.of(key, None, n, problem=f"nothing to bet against: {why}"),)


def _p_value(found: RiseEvidence) -> float:
    return min(1.0, math.exp(min(math.log(_BEGINNINGS) - found.log_sum, 0.0)))


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
