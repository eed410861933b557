"""Gate: the candidate is not clearly worse than the champion on the same newest held-out rows."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.domain.verdict import Verdict
from anew.stats.interval import mean_interval
from anew.validate._gate import HeldOut, Judgement

__all__ = ["BeatsChampion"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BeatsChampion:
    """Compare paired losses; refuse a candidate that is clearly worse, and one that too little is known about.

    Parameters
    ----------
    margin
        Excess loss that is tolerated, in units of the loss in [0, 1]; 0.005 is half a point of error rate.
    at_least_rows
        Paired rows needed; below, INCONCLUSIVE.
    at_most_width
        Width of the interval above which nothing can be said: INCONCLUSIVE.
    confidence
        Level of the two-sided interval; 0.68 is one standard error to each side.

    Notes
    -----
    FAIL when the whole interval of the mean excess loss lies above the margin. This asks for no proof of being better:
    a gate that does refuses a third of good challengers, and the rollout proves non-inferiority afterwards on live
    traffic. Do not use it alone when there is no rollout behind it. Rows are treated as independent; on autocorrelated
    streams the interval is too narrow.
    """

    needs_champion: ClassVar[bool] = True

    margin: float = 0.005
    at_least_rows: int = 200
    at_most_width: float = 0.2
    confidence: float = 0.68

    def __post_init__(self) -> None:
        if not (0 <= self.margin < 1 and 0 < self.confidence < 1 and self.at_least_rows > 1 and self.at_most_width > 0):
            raise InvariantError(
                f"{self} is no gate: margin in [0, 1), confidence in (0, 1), at least 2 rows, a width > 0"
            )

    @property
    def key(self) -> str:
        """``beats_champion``."""
        return "beats_champion"

    def measure(self, rows: HeldOut) -> tuple[Evidence, ...]:
        """Measure the mean excess loss of the candidate with its interval; `reference` is the champion's mean loss."""
        n = len(rows.label)
        if rows.champion_loss is None:
            return (
                Evidence.of(self.key, None, n, subject="excess loss", problem="there is no champion to compare with"),
            )
        if n < self.at_least_rows:
            problem = f"{n} paired rows, {self.at_least_rows} are needed"
            return (Evidence.of(self.key, None, n, subject="excess loss", problem=problem),)
        excess = rows.challenger_loss - rows.champion_loss
        lost = n - int(np.isfinite(excess).sum())
        if lost:
            return (Evidence.of(self.key, None, n, subject="excess loss", problem=f"{lost} of {n} losses not finite"),)
        interval = mean_interval(n, float(excess.mean()), float(excess.var(ddof=1)), confidence=self.confidence)
        return (
            Evidence.of(
                self.key,
                float(excess.mean()),
                n,
                subject="excess loss",
                reference=float(rows.champion_loss.mean()),
                interval=(interval.low, interval.high),
                confidence=self.confidence,
            ),
        )

    def judge(self, evidence: tuple[Evidence, ...]) -> Judgement:
        """PASS when measured on enough rows, narrowly enough, and not clearly worse."""
        for each in evidence:
            if not each.measured or each.value is None or each.low is None or each.high is None:
                return Judgement(verdict=Verdict.INCONCLUSIVE, reason=each.problem or "no interval was measured")
            found = f"excess loss {each.value:+.4f} ({each.low:+.4f} to {each.high:+.4f}) on {each.n} rows"
            if each.n < self.at_least_rows:
                return Judgement(verdict=Verdict.INCONCLUSIVE, reason=f"{found}; {self.at_least_rows} are needed")
            if each.low > self.margin:
                return Judgement(verdict=Verdict.FAIL, reason=f"{found}; clearly above the margin {self.margin:g}")
            if each.high - each.low > self.at_most_width:
                return Judgement(
                    verdict=Verdict.INCONCLUSIVE,
                    reason=f"{found}; the interval may be {self.at_most_width:g} wide at most",
                )
            return Judgement(verdict=Verdict.PASS, reason=f"{found}; not clearly above the margin {self.margin:g}")
        return Judgement(verdict=Verdict.INCONCLUSIVE, reason="nothing measured")
