"""Train: an approved request in, a training plan out; and the end of each run."""

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import TypeVar

from anew.domain.errors import InvariantError
from anew.domain.fact import Fact
from anew.domain.facts import (
    CandidateAccepted,
    CandidateHeld,
    CandidateMeasured,
    CandidateRefused,
    CandidateTrained,
    EffectFailed,
    IncidentRaised,
    ProjectChanged,
    RetrainApproved,
    RolledBack,
    SnapshotTaken,
    SourceCapped,
    SourcePurged,
    SpanComparisonAsked,
    SpanFitAsked,
    SpanFitted,
    SpansCompared,
    TrainingEnded,
    TrainingPlanned,
    VersionPromoted,
)
from anew.domain.interval import Interval
from anew.train._spans import SpanRecord
from anew.train.auto_span import AutoSpan, SpanPlan
from anew.train.since_change import SinceChange
from anew.train.sources import NAMED_SOURCES, Sources
from anew.train.span import BEGINNING, Span

__all__ = ["Train", "TrainState"]

T = TypeVar("T")

_OF_SPANS = (SpanFitAsked.asks, SpanComparisonAsked.asks)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainState:
    """What the stage remembers: how many versions were named, who is champion, and the runs that have not ended.

    `runs` maps the id of the fact that asked for a run's present effect to the run's version; `broken` has the windows
    in which broken data was found, joined where they touch; `purged` the sources that nothing is learned from any more;
    `caps` what a source may have by version, while its snapshot is being taken; `spans` what a span is chosen
    by; `compute_s` what runs took so far, by version: a fit beside that ends late counts in the run after.
    """

    planned: int = 0
    champion: str = ""
    code: str = ""
    settings: str = ""
    runs: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    compute_s: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    broken: tuple[Interval, ...] = ()
    purged: tuple[str, ...] = ()
    caps: Mapping[str, Sources] = field(default_factory=lambda: MappingProxyType({}))
    spans: SpanRecord = SpanRecord()

    def is_running(self, version: str) -> bool:
        """Has the run of `version` not ended yet?"""
        return version in self.runs.values()

    @property
    def next(self) -> str:
        """The version that the next run will make: it is charged with what is measured for it before it is planned."""
        return f"v{self.planned + 1}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Train:
    """Fixes all that a run needs to be repeated: span, seed, hold-out, code and settings.

    Parameters
    ----------
    span
        Where training rows come from.
    holdout_share, holdout_most, holdout_least
        Newest share of the span's rows that is kept from training for the gates, in (0, 1); the rows that are enough of
        them, however long the span is, and those that a gate asks for, however short; 0: as many as the share says.
    sources
        How much of a snapshot may come from one source, and which sources' rows may be held out.
    rehearsal
        Share of the rows trained on that are drawn from before the span, against forgetting; in [0, 1).
    """

    span: Span | SinceChange | AutoSpan = Span()
    holdout_share: float = 0.15
    holdout_most: int = 0
    holdout_least: int = 0
    sources: Sources = Sources()
    rehearsal: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.holdout_share < 1:
            raise InvariantError(f"a hold-out of {self.holdout_share}: use a share between 0 and 1, e.g. 0.15")
        if not 0 <= self.rehearsal < 1:
            raise InvariantError(f"a rehearsal of {self.rehearsal}: use a share from 0 up to 1, e.g. 0.2")

    def initial(self) -> TrainState:
        """Return the state before any run."""
        return TrainState()

    def apply(self, state: TrainState, fact: Fact) -> TrainState:
        """Fold a fact."""
        spans = state.spans.after(fact)
        if spans is not state.spans:
            state = replace(state, spans=spans)
        match fact:
            case ProjectChanged():
                return replace(state, code=fact.code, settings=fact.settings)
            case IncidentRaised():
                return replace(state, broken=_joined(state.broken, fact.window))
            case SourcePurged() if fact.source not in state.purged:
                return replace(state, purged=(*state.purged, fact.source))
            case TrainingPlanned():
                cap = Sources(max_share=fact.max_source_share, uncapped=fact.uncapped_sources)
                return replace(
                    state,
                    planned=state.planned + 1,
                    runs=_with(state.runs, fact.id, fact.version),
                    caps=_with(state.caps, fact.version, cap),
                )
            case SnapshotTaken():
                runs = _with(_without(state.runs, fact.version), fact.id, fact.version)
                return _charged(replace(state, runs=runs), fact, fact.version)
            case CandidateTrained():
                runs = _with(_without(state.runs, fact.version), fact.id, fact.version)
                return _charged(replace(state, runs=runs), fact, fact.version)
            case SpanFitted() | CandidateMeasured() | EffectFailed() if state.is_running(fact.version):
                return _charged(state, fact, fact.version)
            case SpansCompared() | SpanFitted():
                return _charged(state, fact, state.next)
            case EffectFailed() if fact.effect in _OF_SPANS:
                return _charged(state, fact, state.next)
            case TrainingEnded():
                return replace(
                    state,
                    runs=_without(state.runs, fact.version),
                    compute_s=_but(state.compute_s, fact.version),
                    caps=_but(state.caps, fact.version),
                )
            case VersionPromoted():
                return replace(state, champion=fact.version)
            case RolledBack():
                return replace(state, champion=fact.to or state.champion)
        return state

    def decide(self, state: TrainState, fact: Fact) -> tuple[Fact, ...]:
        """Plan an approved run; end a run when its candidate was accepted or refused, or an effect of it failed."""
        match fact:
            case RetrainApproved():
                return self._ask_or_plan(state, fact)
            case SpansCompared() | EffectFailed() if state.spans.waits_for(fact):
                waiting = state.spans.waiting
                return () if waiting is None else (self._plan(state, fact, waiting.cause, waiting.corrected),)
            case SnapshotTaken():
                return _alarms(state, fact, fact.sources)
            case CandidateTrained():
                learned = fact.both.sources if fact.both else ()
                return (*_alarms(state, fact, learned), *state.spans.fit_beside(fact))
            case CandidateAccepted() if state.is_running(fact.version):
                return (_end(state, fact, fact.version, "accepted", "each required gate passed or was signed for"),)
            case CandidateHeld() if state.is_running(fact.version):
                return (_end(state, fact, fact.version, "held", fact.reason),)
            case CandidateRefused() if state.is_running(fact.version):
                return (_end(state, fact, fact.version, "refused", fact.reason),)
            case EffectFailed() if fact.cause in state.runs and fact.effect in ("snapshot", "train"):
                return (_end(state, fact, state.runs[fact.cause], "failed", f"{fact.reason}: {fact.detail}"),)
        return ()

    def _ask_or_plan(self, state: TrainState, fact: RetrainApproved) -> tuple[Fact, ...]:
        """Have the last two spans compared first, where there are two and one has to be chosen."""
        pair = state.spans.pair
        if fact.revive:
            plan = self._plan(state, fact, fact.id, corrected=False)
            return (replace(plan, revive=fact.revive, beside_s=0.0, span_weight=1.0),)
        if isinstance(self.span, AutoSpan) and pair is not None and pair.beside and pair.since < fact.at:
            return (
                SpanComparisonAsked(
                    model=fact.model,
                    at=fact.at,
                    version=pair.version,
                    candidate=pair.candidate,
                    beside=pair.beside,
                    rows=Interval(start=pair.since, end=fact.at),
                    window_s=self.span.window.total_seconds(),
                    corrected=fact.corrected,
                ),
            )
        return (self._plan(state, fact, fact.id, fact.corrected),)

    def _plan(self, state: TrainState, fact: Fact, approval: str, corrected: bool) -> TrainingPlanned:
        chosen = self._span(state, fact.at)
        span = chosen.span
        # what is rehearsed, and what the second model learns from, is older than the span
        looked_at = replace(span, start=BEGINNING) if self.rehearsal or chosen.beside else span
        return TrainingPlanned(
            model=fact.model,
            at=fact.at,
            version=state.next,
            champion=state.champion,
            span=span,
            holdout_share=self.holdout_share,
            holdout_most=self.holdout_most,
            holdout_least=self.holdout_least if state.champion else 0,
            seed=_seed(approval),
            code=state.code,
            settings=state.settings,
            corrected=corrected,
            left_out=_within(state.broken, looked_at),
            why_span=chosen.why,
            rehearsal=self.rehearsal,
            max_source_share=self.sources.max_share,
            uncapped_sources=self.sources.uncapped,
            holdout_sources=self.sources.holdout,
            purged=state.purged,
            beside_s=0.0 if chosen.beside is None else chosen.beside.total_seconds(),
            span_weight=1.0 if corrected else chosen.weight,  # the rows beside are not repaired
        )

    def _span(self, state: TrainState, end: datetime) -> SpanPlan:
        if isinstance(self.span, AutoSpan):
            return self.span.plan(state.spans.oldest, state.spans.seen, end)
        if isinstance(self.span, SinceChange):
            span, why = self.span.since(state.spans.change, end)
            return SpanPlan(span=span, why=why)
        return SpanPlan(span=self.span.before(end), why="")


def _seed(id: str) -> int:
    return int(hashlib.sha256(id.encode()).hexdigest()[:8], 16) & 0x7FFFFFFF


def _end(state: TrainState, fact: Fact, version: str, outcome: str, detail: str) -> TrainingEnded:
    return TrainingEnded(
        model=fact.model,
        at=fact.at,
        version=version,
        outcome=outcome,
        detail=detail,
        compute_s=state.compute_s.get(version, 0.0),
    )


def _charged(
    state: TrainState,
    fact: SnapshotTaken | CandidateTrained | SpanFitted | CandidateMeasured | SpansCompared | EffectFailed,
    version: str,
) -> TrainState:
    """Add what a part of the run of `version` took; also what came to nothing."""
    so_far = state.compute_s.get(version, 0.0)
    return replace(state, compute_s=_with(state.compute_s, version, so_far + fact.compute_s))


def _alarms(
    state: TrainState, fact: SnapshotTaken | CandidateTrained, sources: tuple[tuple[str, int, int], ...]
) -> tuple[SourceCapped, ...]:
    """Name each source that had more of a snapshot's rows than it may have."""
    total, cap = sum(came for _, came, _ in sources), state.caps.get(fact.version, Sources())
    return tuple(
        SourceCapped(
            model=fact.model,
            at=fact.at,
            version=fact.version,
            source=source,
            rows=came,
            kept=kept,
            share=came / total,
            at_most=cap.max_share,
        )
        for source, came, kept in sources[:NAMED_SOURCES]  # those summed up are nobody
        if kept < came and cap.is_above(source, came, total)
    )


def _joined(broken: tuple[Interval, ...], window: Interval) -> tuple[Interval, ...]:
    """Return the intervals with `window` among them, ascending, those that touch made one."""
    first = bisect_left(broken, window.start, key=_ends)
    past = bisect_right(broken, window.end, key=_begins)
    met = broken[first:past]
    if met:
        window = Interval(start=min(window.start, met[0].start), end=max(window.end, met[-1].end))
    return (*broken[:first], window, *broken[past:])


def _within(broken: tuple[Interval, ...], span: Interval) -> tuple[Interval, ...]:
    """Return those of the intervals that overlap `span`; they ascend, and none touches another."""
    return broken[bisect_right(broken, span.start, key=_ends) : bisect_left(broken, span.end, key=_begins)]


def _begins(interval: Interval) -> datetime:
    return interval.start


def _ends(interval: Interval) -> datetime:
    return interval.end


def _with(mapping: Mapping[str, T], key: str, value: T) -> Mapping[str, T]:
    return MappingProxyType({**mapping, key: value})


def _but(mapping: Mapping[str, T], key: str) -> Mapping[str, T]:
    return MappingProxyType({each: value for each, value in mapping.items() if each != key})


def _without(runs: Mapping[str, str], version: str) -> Mapping[str, str]:
    return MappingProxyType({id: each for id, each in runs.items() if each != version})
