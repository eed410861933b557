"""Commands of people and programs on their way to the loop."""

from collections.abc import Sequence
from typing import Protocol

from anew.domain.fact import Fact

__all__ = ["Inbox"]


class Inbox(Protocol):
    """A durable queue of facts from outside; many may post, the holder of the lease takes. Thread- and process-safe."""

    def post(self, fact: Fact) -> None:
        """Put `fact` (a fact without cause, with its derived id) into the queue; durable on return.

        Idempotent by id: a repeat changes nothing, not even after the first was taken.
        """
        ...

    def pending(self) -> Sequence[Fact]:
        """Return what was posted and not yet taken, oldest first."""
        ...

    def take(self, ids: Sequence[str]) -> None:
        """Strike these ids off; call it after the facts are on record."""
        ...
