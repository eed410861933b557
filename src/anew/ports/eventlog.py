"""The record of facts: the only truth about control."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from anew.domain.fact import Fact

__all__ = ["EventLog", "Grant", "Lease", "Recorded"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A fact on record: its place `seq` in the log (from 1, no gaps) and the wall time of its recording."""

    seq: int
    recorded_at: datetime
    fact: Fact


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """The right to write, given by a lease: `epoch` grows with each new holder and fences off the former ones."""

    holder: str
    epoch: int


class EventLog(Protocol):
    """Appends facts atomically and reads them in order.

    Thread-safe. Appends are atomic (all facts of a call or none), durable when the call returns, and idempotent by
    id: facts whose ids are all on record already change nothing. Order of `seq` is order of appending.
    """

    def append(self, facts: Sequence[Fact], *, grant: Grant) -> int:
        """Append `facts` in one transaction and return the log's head afterwards.

        Raises
        ------
        FencedError
            `grant` is no longer the lease's; checked in the same transaction.
        ConflictError
            Some of the ids are on record and others are not.
        InvariantError
            A fact has no id, two have the same, or one would not be read back as it is.
        UnavailableError
            The store does not answer (locked, full, gone); nothing was appended.
        """
        ...

    def read(self, *, after: int = 0) -> Iterator[Recorded]:
        """Yield the facts with ``seq > after``, in order."""
        ...

    def find(self, id: str) -> Recorded | None:
        """Return the fact with this id, or None."""
        ...

    def head(self) -> int:
        """Return the greatest `seq`, 0 when empty."""
        ...


class Lease(Protocol):
    """One writer at a time, by a lease with fencing epochs, whose term no setting of a clock changes. Thread-safe."""

    def acquire(self, holder: str, ttl_s: float) -> Grant | None:
        """Take the lease when it is free or has expired (by the store's monotonic clock); None when another has it."""
        ...

    def renew(self, grant: Grant, ttl_s: float) -> None:
        """Extend the lease.

        Raises
        ------
        FencedError
            It has passed to another holder.
        """
        ...

    def release(self, grant: Grant) -> None:
        """Give the lease back; without effect when it is no longer held."""
        ...

    def current(self) -> Grant | None:
        """Return the grant in force, None when the lease is free or has expired: who to name to the one refused."""
        ...
