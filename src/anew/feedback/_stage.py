"""Feedback: which windows are closed and which are scored, folded from facts."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType

from anew.domain.fact import Fact
from anew.domain.facts import Ticked, VersionPromoted, WindowClosed, WindowScored
from anew.domain.interval import Interval
from anew.feedback._by_day import ByDay

__all__ = ["Feedback", "FeedbackState", "Scored"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """How a window was scored last: `digest` addresses the numbers, so that the same are not recorded twice."""

    window: Interval
    revision: int
    labelled: int
    digest: str

    @classmethod
    def of(cls, fact: WindowScored) -> "Scored":
        """Return what `fact` says."""
        numbers = f"{fact.version} {fact.n} {fact.labelled} {fact.unmatched} {fact.evidence}"
        digest = hashlib.sha256(numbers.encode()).hexdigest()[:16]
        return cls(window=fact.window, revision=fact.revision, labelled=fact.labelled, digest=digest)


def _nothing() -> Mapping[str, int]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackState:
    """How far windows have come, in event time.

    Attributes
    ----------
    served
        When the first champion was promoted: nothing can have been answered before.
    closed
        End of the last closed window.
    unscored
        Closed windows whose labels have not been scored, oldest first.
    scored
        Windows that were scored, oldest first; those whose score stands for good are forgotten by whole days.
    ticked
        Event time of the last tick.
    read
        Versions of the lake's tables up to which what came late was looked through.
    """

    served: datetime | None = None
    closed: datetime | None = None
    unscored: ByDay[None] = field(default_factory=ByDay)
    scored: ByDay[Scored] = field(default_factory=ByDay)
    ticked: datetime | None = None
    read: Mapping[str, int] = field(default_factory=_nothing)


@dataclass(frozen=True, slots=True)
class Feedback:
    """A fold that decides nothing: after a restart the observer goes on where the record ends."""

    def initial(self) -> FeedbackState:
        """Return the state before any window."""
        return FeedbackState()

    def apply(self, state: FeedbackState, fact: Fact) -> FeedbackState:
        """Fold a fact."""
        match fact:
            case WindowClosed() if state.closed is None or fact.window.start >= state.closed:
                return replace(state, closed=fact.window.end, unscored=state.unscored.having(fact.window, None))
            case WindowScored():
                return _scored(state, fact)
            case VersionPromoted():
                return replace(state, served=state.served or fact.at)
            case Ticked():
                read = MappingProxyType({**state.read, **dict(fact.tables)}) if fact.tables else state.read
                scored = state.scored if fact.final is None else state.scored.since(fact.final)
                return replace(state, ticked=_later(state.ticked, fact.at), read=read, scored=scored)
        return state

    def decide(self, state: FeedbackState, fact: Fact) -> tuple[Fact, ...]:  # noqa: ARG002  the decider's contract
        """Decide nothing."""
        return ()


def _scored(state: FeedbackState, fact: WindowScored) -> FeedbackState:
    before = state.scored.get(fact.window)
    if before is not None and before.revision >= fact.revision:
        return state
    unscored = state.unscored.without(fact.window)
    return replace(state, unscored=unscored, scored=state.scored.having(fact.window, Scored.of(fact)))


def _later(one: datetime | None, other: datetime) -> datetime:
    return other if one is None else max(one, other)
