"""The contract of a stage: pure, synchronous, repeatable."""

from typing import Protocol, TypeVar

from anew.domain.fact import Fact

__all__ = ["Decider"]

S = TypeVar("S")


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
