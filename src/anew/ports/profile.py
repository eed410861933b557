"""Where the profiles of windows are kept: counted once, added up whenever a longer period is asked for."""

from collections.abc import Iterator
from typing import Protocol

from anew.domain.interval import Interval

__all__ = ["ProfileStore"]


class ProfileStore(Protocol):
    """Keeps one packed profile for each window of a version, which is named by its artifact's digest. Process-safe."""

    def put(self, digest: str, window: Interval, rows: str, packed: bytes) -> None:
        """Store the profile of the window's rows, which have the content address `rows`; what is there is replaced.

        Raises
        ------
        UnavailableError
            It cannot be written now; nothing counts as stored.
        """
        ...

    def get(self, digest: str, window: Interval, rows: str) -> bytes | None:
        """Return the profile of exactly these rows; None when there is none."""
        ...

    def within(self, digest: str, span: Interval) -> Iterator[tuple[Interval, bytes]]:
        """Yield the windows that lie whole in `span`, in order of time, with their profiles."""
        ...
