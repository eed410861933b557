"""Shift of the answers: the model says other things than it said to its training rows."""

from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from anew.domain.evidence import Evidence
from anew.monitor._detector import Finding, ScoredRows, SeenRows, Yardstick
from anew.monitor._shift import Test, check_limits, judge_shift, measure_shift

__all__ = ["PredictionShift"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionShift:
    """Alert when the answers of a window are distributed otherwise than those to the training rows.

    Parameters
    ----------
    test
        ``psi``: the population stability index exceeds `above`; ``chi2``: the two-sample chi-squared test gives a
        p-value below `p_below`. The evidence has both. Numbers are compared in ten groups by deciles.
    at_least_rows
        Below it nothing is judged.
    period
        Answers that are compared, back from the window's end (in the file: ``over``), measured when it is scored; None
        for one window.

    Notes
    -----
    It needs no labels, and sees what drift does to the model rather than drift itself. A model answers its own training
    rows with more confidence than new ones, so small shifts of the classes are to be expected; hence the index first.
    """

    test: Test = "psi"
    p_below: float = 0.01
    above: float = 0.25
    at_least_rows: int = 100
    period: timedelta | None = None

    def __post_init__(self) -> None:
        check_limits("prediction_shift", self.p_below, self.above, self.at_least_rows)

    @property
    def labels(self) -> bool:
        """Answers of a period come with the scores of a window."""
        return self.period is not None

    @property
    def key(self) -> str:
        """``prediction_shift(psi>limit)`` or ``prediction_shift(p<limit)``, with its period if it has one."""
        over = "" if self.period is None else f" over {self.period / timedelta(hours=1):g}h"
        limit = f"p<{self.p_below:g}" if self.test == "chi2" else f"psi>{self.above:g}"
        return f"prediction_shift({limit}{over})"

    @property
    def over(self) -> timedelta | None:
        """The period; None for one window."""
        return self.period

    def measure_seen(self, seen: SeenRows) -> tuple[Evidence, ...]:
        """Measure the shift, with the share of each class."""
        return () if self.labels else self._measured(seen.yardstick, seen.rows)

    def measure_scored(self, rows: ScoredRows) -> tuple[Evidence, ...]:
        """Measure the same of all answers of the period, labelled or not."""
        return self._measured(rows.yardstick, rows.answers) if self.labels else ()

    def _measured(self, yardstick: Yardstick | None, rows: pl.DataFrame) -> tuple[Evidence, ...]:
        if yardstick is None or yardstick.outputs is None:
            return (Evidence.of(self.key, None, rows.height, problem="the version was stored without its own answers"),)
        return measure_shift(self.key, yardstick.outputs, rows.get_column("_output"), self.at_least_rows)

    def judge(self, evidence: tuple[Evidence, ...]) -> Finding | None:
        """Find a shift beyond the limit; HIGH from a PSI of 0.25 on."""
        return judge_shift("answers", self.test, self.p_below if self.test == "chi2" else self.above, evidence)
