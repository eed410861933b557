"""The gateway's own disk: what is acknowledged is in it."""

from collections.abc import Callable, Sequence
from typing import Protocol

from anew.domain.observation import Observation, ShadowAnswer

__all__ = ["Batch", "Journal", "JournalReader", "JournalWriter", "Written"]

Written = Callable[[Exception | None, float], None]
"""Is told once, on the event loop, why records do not count as written (None: they are on disk) and how many seconds it
took."""


class Journal(Protocol):
    """Append-only, one writer process each; durable (fsynced) when `append` returns. Thread-safe."""

    def append(self, observations: Sequence[Observation | ShadowAnswer]) -> int:
        """Write and sync; returns the sequence number of the last one.

        A prediction with a `shadow_version` and neither `shadow` nor `shadow_problem` is open: a ShadowAnswer appended
        after it completes it, and the reader waits for that a while.

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


class JournalWriter(Protocol):
    """Brings records to a `Journal` while the event loop goes on. Belongs to one loop; takes one group at a time."""

    async def open(self) -> None:
        """Have the journal open: once, before the first group.

        Raises
        ------
        ConflictError
            Another process writes it.
        IntegrityError
            It is damaged.
        UnavailableError
            It cannot be opened now.
        """
        ...

    def write(self, records: Sequence[Observation | ShadowAnswer], told: Written) -> None:
        """Begin to write and sync; `told` hears what `Journal.append` came to.

        What it raises itself (a record that cannot be encoded, say) is all that becomes of the group: nobody is told.
        """
        ...

    async def close(self) -> None:
        """Close the journal; nothing is being written any more."""
        ...


class Batch(Protocol):
    """What was read from a journal in one go, with the position after it."""

    @property
    def journal(self) -> str:
        """Name of the journal (one per worker)."""
        ...

    @property
    def position(self) -> int:
        """Sequence number up to which the batch has everything; grows with every record, never reused."""
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
        """Return up to `most` observations with sequence numbers above `after`; stops before a torn tail.

        What is returned is on disk. The batch's position may exceed that of its last observation, never fall behind it.

        Raises
        ------
        IntegrityError
            Bytes between good ones are damaged, or observations above `after` are gone; names file and offset.
        ConflictError
            It was trimmed meanwhile: another process drains it.
        """
        ...

    def trim(self, journal: str, *, upto: int) -> None:
        """Delete whole segments whose observations all have sequence numbers up to `upto`."""
        ...
