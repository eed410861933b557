"""Shift of the labels: what the world answers is distributed otherwise than in training."""

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from anew.domain.evidence import Evidence
from anew.monitor._detector import Finding, ScoredRows, SeenRows
from anew.monitor._shift import Test, check_limits, judge_shift, measure_shift

__all__ = ["LabelShift"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelShift:
    """Alert when the labels that came for a window are distributed otherwise than the training labels.

    Parameters
    ----------
    test
        ``chi2``: the two-sample chi-squared test gives a p-value below `p_below`; ``psi``: the population stability
        index exceeds `above`. The evidence has both. Regression labels are compared in ten groups by the deciles of the
        training labels.
    period
        Rows that are compared, back from the window's end (in the file: ``over``); None for one window.
    at_least_rows
        Labelled rows needed; below, nothing is judged.

    Notes
    -----
    Labels that come sooner for one class than for another shift a young window by themselves: let `monitor.label_delay`
    cover the slower ones. A shift says nothing of whether the model is worse; use an SLO for that.
    """

    labels: ClassVar[bool] = True

    test: Test = "chi2"
    p_below: float = 0.01
    above: float = 0.25
    period: timedelta | None = None
    at_least_rows: int = 50

    def __post_init__(self) -> None:
        check_limits("label_shift", self.p_below, self.above, self.at_least_rows)

    @property
    def key(self) -> str:
        """``label_shift(p<limit)`` or ``label_shift(psi>limit)``."""
        return f"label_shift(p<{self.p_below:g})" if self.test == "chi2" else f"label_shift(psi>{self.above:g})"

    @property
    def over(self) -> timedelta | None:
        """The period."""
        return self.period

    def measure_seen(self, seen: SeenRows) -> tuple[Evidence, ...]:  # noqa: ARG002  the detector's contract
        """Measure nothing: this detector needs labels."""
        return ()

    def measure_scored(self, rows: ScoredRows) -> tuple[Evidence, ...]:
        """Measure the shift, with the share of each class."""
        if rows.yardstick is None or rows.yardstick.labels is None:
            return (Evidence.of(self.key, None, rows.n, problem="the version was stored without its training labels"),)
        return measure_shift(self.key, rows.yardstick.labels, rows.table.get_column("_label"), self.at_least_rows)

    def judge(self, evidence: tuple[Evidence, ...]) -> Finding | None:
        """Find a shift beyond the limit; HIGH from a PSI of 0.25 on."""
        return judge_shift("labels", self.test, self.p_below if self.test == "chi2" else self.above, evidence)
