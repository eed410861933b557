"""Gate: what the candidate says of its own certainty holds."""

from dataclasses import dataclass
from typing import ClassVar

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.stats.interval import mean_interval
from anew.validate._gate import HeldOut, Judgement
from anew.validate._limit import all_of, at_most, unmeasured

__all__ = ["Calibration"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Limit the calibration error of probabilities; of numbers, how far the mean answer is off.

    Parameters
    ----------
    at_most
        For classes the expected calibration error in ten bins; for numbers the absolute mean error, over the range of
        the labels. FAIL when clearly above, INCONCLUSIVE when above and not clearly.
    at_least_rows
        Rows needed. Noise alone makes a calibration error of some ``0.8 * sqrt(p (1 - p) / (n / 10))``, 0.04 of 1,000
        rows near one half: a limit below that refuses everybody.
    confidence
        Level of the interval.

    Notes
    -----
    Do not use it where only the order of the answers matters. Of independent rows that are calibrated just at the
    limit about ``(1 - confidence) / 2`` are refused.

    References
    ----------
    Guo et al. (2017), "On calibration of modern neural networks", ICML; with bins of equal mass.

    Examples
    --------
    >>> import numpy as np
    >>> from anew.domain.column import Task
    >>> label = np.array(["0", "1"] * 500)
    >>> sure = np.tile([0.02, 0.98], (1000, 1))
    >>> rows = HeldOut(task=Task.BINARY, label=label, challenger=label, challenger_loss=np.zeros(1000),
    ...                classes=("0", "1"), challenger_chance=sure)
    >>> Calibration().judge(Calibration().measure(rows)).verdict
    <Verdict.FAIL: 3>
    """

    needs_champion: ClassVar[bool] = False

    at_most: float = 0.1
    at_least_rows: int = 200
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if not (0 < self.at_most < 1 and 0 < self.confidence < 1 and self.at_least_rows > 1):
            raise InvariantError(f"{self} is no gate: at_most in (0, 1), confidence in (0, 1), at least 2 rows")

    @property
    def key(self) -> str:
        """``calibration``."""
        return "calibration"

    def measure(self, rows: HeldOut) -> tuple[Evidence, ...]:
        """Measure the error, beside the champion's."""
        subject = "calibration error" if rows.task.classifies else "mean error over the range"
        if rows.n < self.at_least_rows:
            return (unmeasured(self.key, subject, f"{rows.n} rows, {self.at_least_rows} are needed", rows.n),)
        try:
            return (self._probabilities(rows, subject) if rows.task.classifies else self._numbers(rows, subject),)
        except InvariantError as exc:
            return (unmeasured(self.key, subject, str(exc), rows.n),)

    def _probabilities(self, rows: HeldOut, subject: str) -> Evidence:
        score = rows.score("calibration_error")
        known = rows.champion is not None and rows.champion_chance is not None
        theirs = rows.score("calibration_error", of_champion=True).value if known else None
        interval = None if score.low is None or score.high is None else (score.low, score.high)
        return Evidence.of(self.key, score.value, score.n, subject=subject, interval=interval, reference=theirs)

    def _numbers(self, rows: HeldOut, subject: str) -> Evidence:
        off = (rows.challenger - rows.label) / rows.loss_scale
        mean = float(off.mean())
        low, high = mean_interval(rows.n, mean, float(off.var(ddof=1)), self.confidence)
        near = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
        return Evidence.of(self.key, abs(mean), rows.n, subject=subject, interval=(near, max(abs(low), abs(high))))

    def judge(self, evidence: tuple[Evidence, ...]) -> Judgement:
        """PASS when the error keeps its limit."""
        return all_of(at_most(each, self.at_most, self.at_least_rows) for each in evidence)
