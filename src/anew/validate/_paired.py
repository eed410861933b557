"""Candidate and champion on the same rows: by how much the candidate is worse, and how surely."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.domain.verdict import Verdict
from anew.stats.bound import Bounds
from anew.stats.business import Aggregate, business_value, in_sql
from anew.stats.inertia import number_inertia
from anew.stats.interval import mean_interval, paired_proportion_interval
from anew.stats.outcome import is_higher_better, is_known
from anew.validate._gate import HeldOut, Judgement
from anew.validate._limit import lacking, unmeasured

__all__ = ["LOSS", "Comparison", "judge_excess", "loss_excess"]

LOSS = "loss"
"""The bounded loss in [0, 1]: error for classes, absolute error over the loss scale for numbers."""
_RESAMPLES = 200
_MEANS = frozenset({"error", "accuracy", "mae"})
"""Metrics that are means over rows: their difference is one too, and has an interval without resampling."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What is compared, and how.

    Parameters
    ----------
    metric
        ``loss``, any metric of the task, or ``business.NAME`` with its `definition`, an aggregate in SQL.
    function
        Of a business metric that is code: what makes the number of all rows.
    better
        Of a business metric: is ``higher`` or ``lower`` better?
    """

    metric: str = LOSS
    definition: str = ""
    function: Aggregate | None = field(default=None, compare=False, repr=False)
    better: Literal["", "higher", "lower"] = ""
    at_least_rows: int = 200
    confidence: float = 0.95

    def __post_init__(self) -> None:
        own = self.metric.startswith("business.")
        if not (own or self.metric == LOSS or is_known(self.metric)):
            raise InvariantError(f"there is no metric {self.metric!r}; use loss, a metric, or business.NAME")
        if own != bool(self.better):
            raise InvariantError(
                f"{self.metric}: better is {self.better!r}; a business metric needs higher or lower, any other nothing"
            )

    def evidence(self, key: str, subject: str, rows: HeldOut) -> Evidence:
        """Measure by how much the candidate is worse than the champion; `reference` is the champion's own value."""
        if rows.champion_loss is None or rows.champion is None:
            return unmeasured(key, subject, "there is no champion to compare with")
        if rows.n < self.at_least_rows:
            return unmeasured(key, subject, f"{rows.n} paired rows, {self.at_least_rows} are needed", rows.n)
        try:
            value, bounds, reference = self._excess(rows)
        except InvariantError as exc:
            return unmeasured(key, subject, str(exc), rows.n)
        return Evidence.of(
            key,
            value,
            rows.n,
            subject=subject,
            reference=reference,
            interval=(bounds.low, bounds.high),
            confidence=self.confidence,
        )

    def _excess(self, rows: HeldOut) -> tuple[float, Bounds, float]:
        theirs = rows.champion_loss
        assert theirs is not None, "asked before"  # noqa: S101  an invariant of ours
        if self.metric == LOSS:
            return *loss_excess(rows.challenger_loss, theirs, self.confidence), float(theirs.mean())
        if self.metric in _MEANS:
            ours, theirs = _of_rows(rows, self.metric)
            return *loss_excess(ours, theirs, self.confidence), self._value(rows, of_champion=True)
        value = self._difference(rows)
        drawn = np.array([self._difference(rows.at(each)) for each in _resamples(rows.challenger_loss - theirs)])
        tail = (1 - self.confidence) / 2
        low, high = np.quantile(drawn, [tail, 1 - tail])
        return value, Bounds(float(low), float(high)), self._value(rows, of_champion=True)

    def _difference(self, rows: HeldOut) -> float:
        ours, theirs = self._value(rows), self._value(rows, of_champion=True)
        higher = self.better == "higher" if self.better else is_higher_better(self.metric)
        return theirs - ours if higher else ours - theirs

    def _value(self, rows: HeldOut, *, of_champion: bool = False) -> float:
        if not self.definition:
            return rows.score(self.metric, of_champion=of_champion).value
        answers = rows.champion if of_champion else rows.challenger
        table = rows.table.with_columns(_output=pl.Series(answers), _label=pl.Series(rows.label))
        return business_value(self.metric, self.function or in_sql(self.definition), table)


def _of_rows(rows: HeldOut, metric: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return what candidate and champion lose in each row, in units of the metric; more is worse.

    Raises
    ------
    InvariantError
        The metric makes no sense for the task.
    """
    if (metric == "mae") == rows.task.classifies:
        raise InvariantError(f"{metric} makes no sense for the task {rows.task}")
    if metric == "mae":
        assert rows.champion is not None, "asked before"  # noqa: S101  an invariant of ours
        return np.abs(rows.label - rows.challenger), np.abs(rows.label - rows.champion)
    assert rows.champion_loss is not None, "asked before"  # noqa: S101  likewise
    return rows.challenger_loss, rows.champion_loss


def loss_excess(
    ours: npt.NDArray[np.float64], theirs: npt.NDArray[np.float64], confidence: float
) -> tuple[float, Bounds]:
    """Return the mean of `ours` minus `theirs`, paired losses of shape (n,) in time order, with its interval.

    Losses of 0 and 1 get Agresti and Min's interval, others Student's. Rows that resemble each other count as so many
    fewer independent ones (see `anew.stats.inertia`).

    Raises
    ------
    InvariantError
        A loss is not finite, or there are fewer than two.
    """
    excess, n = ours - theirs, len(ours)
    lost = n - int(np.isfinite(excess).sum())
    if lost or n < 2:
        raise InvariantError(f"{lost} of {n} losses not finite" if lost else f"{n} paired rows")
    mean, alike = float(excess.mean()), min(number_inertia(excess), n / 2)
    if np.isin(excess, (-1.0, 0.0, 1.0)).all():
        wins, losses = int((excess > 0).sum()), int((excess < 0).sum())
        return mean, paired_proportion_interval(wins / alike, losses / alike, n / alike, confidence)
    return mean, mean_interval(n / alike, mean, float(excess.var(ddof=1)), confidence)


def _resamples(excess: npt.NDArray[np.float64]) -> list[npt.NDArray[np.intp]]:
    """Return row numbers of bootstrap samples, seeded: blocks as long as rows resemble each other.

    References
    ----------
    Künsch (1989), "The jackknife and the bootstrap for general stationary observations", Annals of Statistics 17.
    """
    n, chance = len(excess), np.random.default_rng(0)
    length = min(max(round(number_inertia(excess)), 1), max(n // 10, 1))
    starts = chance.integers(0, n, (_RESAMPLES, -(-n // length)))
    blocks = (starts[:, :, None] + np.arange(length)) % n
    return [each.reshape(-1)[:n] for each in blocks]


def judge_excess(each: Evidence, *, margin: float, at_least_rows: int, at_most_width: float) -> Judgement:
    """Judge non-inferiority: FAIL when clearly above the margin, PASS when not, INCONCLUSIVE when little is known.

    An interval that lies below the margin proves it, however wide it is.
    """
    problem = lacking(each, at_least_rows)
    if problem:
        return problem
    subject = f"{each.subject}: " if each.subject else ""
    if each.value is None or each.low is None or each.high is None:
        return Judgement(verdict=Verdict.INCONCLUSIVE, reason=f"{subject}no interval was measured")
    found = f"{subject}excess {each.value:+.4f} ({each.low:+.4f} to {each.high:+.4f}) on {each.n} rows"
    if each.low > margin:
        return Judgement(verdict=Verdict.FAIL, reason=f"{found}; clearly above the margin {margin:g}")
    if each.high > margin and each.high - each.low > at_most_width:
        return Judgement(
            verdict=Verdict.INCONCLUSIVE, reason=f"{found}; the interval may be {at_most_width:g} wide at most"
        )
    return Judgement(verdict=Verdict.PASS, reason=f"{found}; {_passed(each.high, margin)}")


def _passed(high: float, margin: float) -> str:
    """Say what the end of the interval proves."""
    if high < 0:
        return "clearly below 0"
    return f"{'clearly below' if high < margin else 'not clearly above'} the margin {margin:g}"
