"""Somebody outside who is told of facts."""

from typing import Protocol

from anew.ports.eventlog import Recorded

__all__ = ["Cursor", "Sink"]


class Sink(Protocol):
    """Takes facts one by one, in order, at least once: after a crash the last one may come again, with the same id."""

    @property
    def name(self) -> str:
        """Names the sink among others: for its cursor and for messages."""
        ...

    def take(self, recorded: Recorded) -> None:
        """Deliver a fact, or pass over one that is none of its business.

        Raises
        ------
        UnavailableError
            It cannot be delivered now; it is offered again later, before any other.
        """
        ...


class Cursor(Protocol):
    """Remembers how far something has read the record; survives crashes."""

    def read(self) -> int:
        """Return the ``seq`` of the last fact that was taken, 0 before the first."""
        ...

    def move(self, seq: int) -> None:
        """Remember `seq`."""
        ...
