"""What the stage remembers of spans: where rows begin, the last change, two models to compare, what was learned."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType

from anew.domain.fact import Fact
from anew.domain.facts import (
    AlertRaised,
    CandidateTrained,
    SnapshotTaken,
    SpanComparisonAsked,
    SpanFitAsked,
    SpanFitted,
    SpansCompared,
    TrainingEnded,
    TrainingPlanned,
)
from anew.stats.hedge import SpanComparison, SpanFit
from anew.train.span import asked_beside

__all__ = ["SpanRecord"]

_KEPT = 200
"""Comparisons kept: older ones weigh nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """A run under way: its plan, and the snapshot once it is taken."""

    plan: TrainingPlanned
    taken: SnapshotTaken | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """A candidate and the model beside it (empty: not fitted), what they were trained on, and since when to compare."""

    version: str
    candidate: str
    lengths_s: tuple[float, float]
    since: datetime
    beside: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanRecord:
    """A fold of facts; knows no settings but those that stand in them."""

    oldest: datetime | None = None
    change: datetime | None = None
    runs: Mapping[str, _Run] = field(default_factory=lambda: MappingProxyType({}))
    pair: _Pair | None = None
    waiting: SpanComparisonAsked | None = None
    seen: tuple[SpanComparison, ...] = ()

    def after(self, fact: Fact) -> "SpanRecord":
        """Fold a fact."""
        match fact:
            case AlertRaised():
                return replace(self, change=fact.since or fact.window.start)
            case TrainingPlanned():
                return replace(self, runs=_with(self.runs, fact.version, _Run(plan=fact)), waiting=None)
            case SnapshotTaken() if fact.version in self.runs:
                run = replace(self.runs[fact.version], taken=fact)
                oldest = fact.span.start if self.oldest is None else min(self.oldest, fact.span.start)
                return replace(self, runs=_with(self.runs, fact.version, run), oldest=oldest)
            case CandidateTrained():
                pair = self._paired(fact)
                return self if pair is None else replace(self, pair=pair)
            case SpanFitted() if self.pair is not None and self.pair.version == fact.version:
                return replace(self, pair=replace(self.pair, beside=fact.digest))
            case SpanComparisonAsked():
                return replace(self, waiting=fact)
            case SpansCompared():
                return self._learned(fact)
            case TrainingEnded():
                return replace(self, runs=MappingProxyType({k: v for k, v in self.runs.items() if k != fact.version}))
        return self

    def waits_for(self, fact: Fact) -> bool:
        """Does `fact` end the comparison that a plan waits for?"""
        return self.waiting is not None and fact.cause == self.waiting.id

    def fit_beside(self, fact: CandidateTrained) -> tuple[SpanFitAsked, ...]:
        """Ask for the model beside a candidate whose plan names a second length, unless it was tried already."""
        run = self.runs.get(fact.version)
        tried = fact.blend is not None or fact.alone_because
        if run is None or run.taken is None or not run.plan.beside_s or tried:
            return ()
        return (asked_beside(run.plan, run.taken),)

    def _paired(self, fact: CandidateTrained) -> _Pair | None:
        run = self.runs.get(fact.version)
        if run is None or run.taken is None or not run.plan.beside_s:
            return None
        length_s = (run.taken.span.end - run.taken.span.start).total_seconds()
        return _Pair(
            version=fact.version,
            candidate=fact.digest if fact.blend is None else fact.blend.alone,
            lengths_s=(length_s, run.plan.beside_s),
            since=run.taken.span.end,
            beside="" if fact.blend is None else fact.blend.beside,
        )

    def _learned(self, fact: SpansCompared) -> "SpanRecord":
        asked, pair = self.waiting, self.pair
        if asked is None or pair is None or asked.id != fact.cause or pair.version != fact.version:
            return self
        seen, since = list(self.seen), pair.since
        for each in fact.evidence:
            if each.value is None or each.high is None:
                continue
            since = max(since, datetime.fromisoformat(each.subject))
            first, second = (length / asked.window_s for length in pair.lengths_s)
            seen.append(
                SpanComparison(
                    at=datetime.fromisoformat(each.subject).timestamp() / asked.window_s,
                    first=SpanFit(name=fact.version, length=first),
                    second=SpanFit(name=f"{fact.version} beside", length=second),
                    difference=each.value,
                    error=each.high - each.value,
                )
            )
        return replace(self, seen=tuple(seen[-_KEPT:]), pair=replace(pair, since=since))


def _with(runs: Mapping[str, _Run], version: str, run: _Run) -> Mapping[str, _Run]:
    return MappingProxyType({**runs, version: run})
