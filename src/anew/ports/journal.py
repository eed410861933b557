"""The gateway's own disk: what is acknowledged is in it."""

from collections.abc import Sequence
from typing import Protocol

from anew.domain.observation import Observation

__all__ = ["Batch", "Journal", "JournalReader"]


class Journal(Protocol):
    """Append-only, one writer process each; durable (fsynced) when `append` returns. Thread-safe."""

    def append(self, observations: Sequence[Observation]) -> int:
        """Write and sync; returns the sequence number of the last one.

        Raises
        ------
        UnavailableError
            The disk is full or failed; nothing of the call counts as written. After a failed sync the segment is
            never written again: a new one is begun.
        """
        ...

    def close(self) -> None:
        """Sync and close."""
        ...


class Batch(Protocol):
    """What was read from a journal in one go, with the position after it."""

    @property
    def journal(self) -> str:
        """Name of the journal (one per worker)."""
        ...

    @property
    def position(self) -> int:
        """Sequence number of the last observation in the batch; grows by one per observation, never reused."""
        ...

    @property
    def observations(self) -> Sequence[Observation]:
        """The observations, oldest first."""
        ...


class JournalReader(Protocol):
    """Reads the journals of all workers for the one drainer."""

    def journals(self) -> Sequence[str]:
        """Names of the journals that exist."""
        ...

    def read(self, journal: str, *, after: int, most: int) -> Batch:
        """Return up to `most` observations with sequence numbers above `after`; stops before a torn tail."""
        ...

    def trim(self, journal: str, *, upto: int) -> None:
        """Delete whole segments whose observations all have sequence numbers up to `upto`."""
        ...
