"""Shift of the answers: the model says other things than it said to its training rows."""

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from anew.domain.evidence import Evidence
from anew.monitor._detector import Finding, ScoredRows, SeenRows
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

    Notes
    -----
    It needs no labels, and sees what drift does to the model rather than drift itself. A model answers its own training
    rows with more confidence than new ones, so small shifts of the classes are to be expected; hence the index first.
    """

    labels: ClassVar[bool] = False

    test: Test = "psi"
    p_below: float = 0.01
    above: float = 0.25
    at_least_rows: int = 100

    def __post_init__(self) -> None:
        check_limits("prediction_shift", self.p_below, self.above, self.at_least_rows)

    @property
    def key(self) -> str:
        """``prediction_shift(psi>limit)`` or ``prediction_shift(p<limit)``."""
        return (
            f"prediction_shift(p<{self.p_below:g})" if self.test == "chi2" else f"prediction_shift(psi>{self.above:g})"
        )

    @property
    def over(self) -> timedelta | None:
        """One window."""
        return None

    def measure_seen(self, seen: SeenRows) -> tuple[Evidence, ...]:
        """Measure the shift, with the share of each class."""
        if seen.yardstick.outputs is None:
            return (Evidence.of(self.key, None, seen.n, problem="the version was stored without its own answers"),)
        return measure_shift(self.key, seen.yardstick.outputs, seen.rows.get_column("_output"), self.at_least_rows)

    def measure_scored(self, rows: ScoredRows) -> tuple[Evidence, ...]:  # noqa: ARG002  the detector's contract
        """Measure nothing: this detector needs no labels."""
        return ()

    def judge(self, evidence: tuple[Evidence, ...]) -> Finding | None:
        """Find a shift beyond the limit; HIGH from a PSI of 0.25 on."""
        return judge_shift("answers", self.test, self.p_below if self.test == "chi2" else self.above, evidence)
