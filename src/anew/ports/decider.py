"""The contract of a stage: pure, synchronous, repeatable."""

from datetime import datetime
from typing import Protocol, TypeVar, runtime_checkable

from anew.domain.fact import Fact

__all__ = ["Decider", "Timed"]

S = TypeVar("S")
S_contra = TypeVar("S_contra", contravariant=True)


class Decider(Protocol[S]):
    """A stage of the loop as two pure functions over facts.

    No clock, chance, disk, network, log or global is read or written; time and seeds come in facts. The same state
    and fact give the same facts with the same ids, always.
    """

    def initial(self) -> S:
        """Return the state before any fact."""
        ...

    def apply(self, state: S, fact: Fact) -> S:
        """Return the state after `fact`, which is on record; knows no threshold, never refuses."""
        ...

    def decide(self, state: S, fact: Fact) -> tuple[Fact, ...]:
        """Return the facts that follow from `fact`, already applied to `state`; knows the thresholds.

        Facts are returned without id and cause: the engine adds both.
        """
        ...


@runtime_checkable
class Timed(Protocol[S_contra]):
    """A stage in which something may wait for the clock on the wall, whether or not rows come."""

    def due(self, state: S_contra, wall: datetime) -> bool:
        """Would a tick at `wall` change anything? Pure."""
        ...
