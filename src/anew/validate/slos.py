"""Gate: the candidate keeps the service-level objectives, in absolute terms, on held-out rows."""

from dataclasses import dataclass
from math import isfinite
from typing import ClassVar

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.domain.verdict import Verdict
from anew.stats.outcome import METRIC_NAMES, is_known
from anew.validate._gate import HeldOut, Judgement
from anew.validate._paired import Comparison

__all__ = ["BESIDE", "Objective", "SLOs"]

_NO_OBJECTIVE = "no objective to ask held-out rows for"
BESIDE = ", excess over the champion"


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """A limit on a metric: exactly one of `at_most` and `at_least`."""

    metric: str
    at_most: float | None = None
    at_least: float | None = None

    def __post_init__(self) -> None:
        if not is_known(self.metric):
            raise InvariantError(f"objective on metric {self.metric!r}: known are {', '.join(METRIC_NAMES)}")
        if (self.at_most is None) == (self.at_least is None):
            raise InvariantError(f"objective on {self.metric}: give exactly one of at_most and at_least")
        if not all(limit is None or isfinite(limit) for limit in (self.at_most, self.at_least)):
            raise InvariantError(f"objective on {self.metric}: a limit is a finite number, found {self}")

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
        From the project's `slos`; none: there is nothing to keep, and enough rows are all that the gate asks for.
    at_least_rows
        Held-out rows needed; below, INCONCLUSIVE.
    or_closer
        Does a candidate that misses an objective pass when it is not clearly further from it than the champion on the
        same rows? Refusing it would keep what is no better in service. A first champion has to keep every objective
        all the same.
    unasked
        Objectives of the project that held-out rows are not asked for: those on its own metrics, under `business`, are
        of what was served. A PASS names them, so that nobody takes it for more than it is.

    Notes
    -----
    The point value decides, so that the gate and the monitor's objective say the same of the same rows; with few rows
    a good candidate near the limit is refused about every second time.
    """

    needs_champion: ClassVar[bool] = False

    objectives: tuple[Objective, ...] = ()
    at_least_rows: int = 50
    or_closer: bool = False
    unasked: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """``slos``."""
        return "slos"

    def measure(self, rows: HeldOut) -> tuple[Evidence, ...]:
        """Measure each objective's metric with its interval."""
        n = len(rows.label)
        if not self.objectives:
            problem = "" if n >= self.at_least_rows else f"{n} held-out rows, {self.at_least_rows} are needed"
            return (Evidence.of(self.key, 0.0, n, subject=_NO_OBJECTIVE, problem=problem),)
        found = [self._measure(objective, rows, n) for objective in self.objectives]
        if self.or_closer and rows.champion is not None:
            missed = [
                objective
                for objective, each in zip(self.objectives, found, strict=True)
                if each.value is not None and each.measured and not objective.kept_by(each.value)
            ]
            found += [self._beside(objective, rows) for objective in missed]
        return tuple(found)

    def _beside(self, objective: Objective, rows: HeldOut) -> Evidence:
        """Measure by how much the candidate is further from an objective that it misses than the champion."""
        comparison = Comparison(metric=objective.metric, at_least_rows=self.at_least_rows)
        return comparison.evidence(self.key, f"{objective}{BESIDE}", rows)

    def _measure(self, objective: Objective, rows: HeldOut, n: int) -> Evidence:
        if n < self.at_least_rows:
            problem = f"{n} held-out rows, {self.at_least_rows} are needed"
            return Evidence.of(self.key, None, n, subject=str(objective), problem=problem)
        try:
            score = rows.score(objective.metric)
        except InvariantError as exc:
            return Evidence.of(self.key, None, n, subject=str(objective), problem=str(exc))
        interval = None if score.low is None or score.high is None else (score.low, score.high)
        champion = self._champion(objective, rows)
        return Evidence.of(self.key, score.value, n, subject=str(objective), interval=interval, reference=champion)

    @staticmethod
    def _champion(objective: Objective, rows: HeldOut) -> float | None:
        if rows.champion is None:
            return None
        try:
            score = rows.score(objective.metric, of_champion=True)
        except InvariantError:
            return None
        return score.value if isfinite(score.value) else None

    def judge(self, evidence: tuple[Evidence, ...]) -> Judgement:
        """PASS when every objective was measured and is kept."""
        by_subject = {each.subject: each for each in evidence}
        for subject in tuple(str(objective) for objective in self.objectives) or (_NO_OBJECTIVE,):
            lacking = self._lacking(by_subject.get(subject))
            if lacking:
                return Judgement(verdict=Verdict.INCONCLUSIVE, reason=f"{subject}: {lacking}")
        for objective in self.objectives:
            each = by_subject[str(objective)]
            beside = by_subject.get(f"{objective}{BESIDE}")
            if each.value is None or not (objective.kept_by(each.value) or self._closer(beside)):
                return Judgement(
                    verdict=Verdict.FAIL, reason=f"{objective}: measured {each.value:.4g} on {each.n} rows"
                )
        said = [self._said(each) for each in evidence if each.value is not None]
        said += [f"{each}: not asked of held-out rows, but of what is served" for each in self.unasked]
        return Judgement(verdict=Verdict.PASS, reason="; ".join(said))

    @staticmethod
    def _said(evidence: Evidence) -> str:
        champion = "" if evidence.reference is None else f" (champion {evidence.reference:.4g})"
        return f"{evidence.subject}: {evidence.value:.4g}{champion}"

    def _closer(self, beside: Evidence | None) -> bool:
        """Is the candidate not clearly further from the objective than the champion, where that is enough?"""
        return self.or_closer and beside is not None and beside.measured and beside.low is not None and beside.low <= 0

    def _lacking(self, evidence: Evidence | None) -> str:
        if evidence is None:
            return "nothing measured"
        if not evidence.measured:
            return evidence.problem or "nothing measured"
        return "" if evidence.n >= self.at_least_rows else f"{evidence.n} rows, {self.at_least_rows} are needed"
