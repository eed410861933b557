"""Gate: the candidate keeps the service-level objectives, in absolute terms, on held-out rows."""

from dataclasses import dataclass
from typing import ClassVar

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.domain.verdict import Verdict
from anew.stats.outcome import METRIC_NAMES, measure_metric
from anew.validate._gate import HeldOut, Judgement

__all__ = ["Objective", "SLOs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """A limit on a metric: exactly one of `at_most` and `at_least`."""

    metric: str
    at_most: float | None = None
    at_least: float | None = None

    def __post_init__(self) -> None:
        if self.metric not in METRIC_NAMES:
            raise InvariantError(f"objective on metric {self.metric!r}: known are {', '.join(METRIC_NAMES)}")
        if (self.at_most is None) == (self.at_least is None):
            raise InvariantError(f"objective on {self.metric}: give exactly one of at_most and at_least")

    def kept_by(self, value: float) -> bool:
        """Does `value` keep the objective?"""
        return value <= self.at_most if self.at_most is not None else value >= (self.at_least or 0.0)

    def __str__(self) -> str:
        return (
            f"{self.metric} at most {self.at_most:g}"
            if self.at_most is not None
            else f"{self.metric} at least {self.at_least:g}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SLOs:
    """Require each objective of the project on the held-out rows.

    Parameters
    ----------
    objectives
        From the project's `slos`; none: the gate passes only when there is nothing to keep.
    at_least_rows
        Held-out rows needed; below, INCONCLUSIVE.

    Notes
    -----
    The point value decides, so that the gate and the monitor's objective say the same of the same rows; with few rows
    a good candidate near the limit is refused about every second time.
    """

    needs_champion: ClassVar[bool] = False

    objectives: tuple[Objective, ...] = ()
    at_least_rows: int = 50

    @property
    def key(self) -> str:
        """``slos``."""
        return "slos"

    def measure(self, rows: HeldOut) -> tuple[Evidence, ...]:
        """Measure each objective's metric with its interval."""
        n = len(rows.label)
        if not self.objectives:
            return (Evidence.of(self.key, 0.0, max(n, 1), subject="no objective declared"),)
        return tuple(self._measure(objective, rows, n) for objective in self.objectives)

    def _measure(self, objective: Objective, rows: HeldOut, n: int) -> Evidence:
        if n < self.at_least_rows:
            problem = f"{n} held-out rows, {self.at_least_rows} are needed"
            return Evidence.of(self.key, None, n, subject=str(objective), problem=problem)
        try:
            score = measure_metric(objective.metric, rows.task, rows.label, rows.challenger, positive=rows.positive)
        except InvariantError as exc:
            return Evidence.of(self.key, None, n, subject=str(objective), problem=str(exc))
        interval = None if score.low is None or score.high is None else (score.low, score.high)
        return Evidence.of(self.key, score.value, n, subject=str(objective), interval=interval)

    def judge(self, evidence: tuple[Evidence, ...]) -> Judgement:
        """PASS when every objective was measured and is kept."""
        by_subject = {each.subject: each for each in evidence}
        if not self.objectives:
            return Judgement(verdict=Verdict.PASS, reason="no objective is declared")
        for objective in self.objectives:
            each = by_subject.get(str(objective))
            if each is None or not each.measured or each.value is None:
                return Judgement(
                    verdict=Verdict.INCONCLUSIVE, reason=f"{objective}: {each.problem if each else 'nothing measured'}"
                )
            if not objective.kept_by(each.value):
                return Judgement(
                    verdict=Verdict.FAIL, reason=f"{objective}: measured {each.value:.4g} on {each.n} rows"
                )
        return Judgement(
            verdict=Verdict.PASS,
            reason="; ".join(f"{each.subject}: {each.value:.4g}" for each in evidence if each.value is not None),
        )
