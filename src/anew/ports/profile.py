"""Where the profiles of windows are kept: counted once, added up whenever a longer period is asked for."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from anew.domain.interval import Interval

if TYPE_CHECKING:
    from anew.stats.profile import Profile

__all__ = ["ProfileStore"]


class ProfileStore(Protocol):
    """Keeps one profile for each window of a version; the version is named by its artifact's digest. Process-safe."""

    def put(self, digest: str, window: Interval, rows: str, profile: "Profile") -> None:
        """Store the profile of the window's rows, which have the content address `rows`; a repeat changes nothing.

        Raises
        ------
        UnavailableError
            It cannot be written now; nothing counts as stored.
        """
        ...

    def get(self, digest: str, window: Interval, rows: str) -> "Profile | None":
        """Return the profile of exactly these rows; None when there is none that can be read."""
        ...

    def within(self, digest: str, span: Interval) -> "Iterator[tuple[Interval, Profile]]":
        """Yield the windows that lie whole in `span`, in order of time, with their profiles.

        Raises
        ------
        IntegrityError
            A stored profile cannot be read.
        """
        ...
