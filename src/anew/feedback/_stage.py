"""Feedback: which windows are closed and which are scored, folded from facts."""

from dataclasses import dataclass, replace
from datetime import datetime

from anew.domain.fact import Fact
from anew.domain.facts import Ticked, VersionPromoted, WindowClosed, WindowScored

__all__ = ["Feedback", "FeedbackState"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackState:
    """How far windows have come, in event time.

    Attributes
    ----------
    served
        When the first champion was promoted: nothing can have been answered before.
    began, closed
        Start of the first closed window, and end of the last.
    scored
        End of the last scored window.
    ticked
        Event time of the last tick.
    """

    served: datetime | None = None
    began: datetime | None = None
    closed: datetime | None = None
    scored: datetime | None = None
    ticked: datetime | None = None


@dataclass(frozen=True, slots=True)
class Feedback:
    """A fold that decides nothing: after a restart the observer goes on where the record ends."""

    def initial(self) -> FeedbackState:
        """Return the state before any window."""
        return FeedbackState()

    def apply(self, state: FeedbackState, fact: Fact) -> FeedbackState:
        """Fold a fact."""
        match fact:
            case WindowClosed():
                return replace(
                    state, began=state.began or fact.window.start, closed=_later(state.closed, fact.window.end)
                )
            case WindowScored():
                return replace(state, scored=_later(state.scored, fact.window.end))
            case VersionPromoted():
                return replace(state, served=state.served or fact.at)
            case Ticked():
                return replace(state, ticked=_later(state.ticked, fact.at))
        return state

    def decide(self, state: FeedbackState, fact: Fact) -> tuple[Fact, ...]:  # noqa: ARG002  the decider's contract
        """Decide nothing."""
        return ()


def _later(one: datetime | None, other: datetime) -> datetime:
    return other if one is None else max(one, other)
