"""In whose code a process is, for whoever comes after it when it ends there."""

from typing import Protocol

__all__ = ["VersionMark"]


class VersionMark(Protocol):
    """Says in which version's code this process is. Calls are of one thread; loads may be of others."""

    def enter(self, version: str) -> None:
        """Say that an answer of `version` is asked for."""
        ...

    def leave(self) -> None:
        """Say that it has been given, or refused."""
        ...

    def load(self, version: str) -> None:
        """Say that `version` is being loaded."""
        ...

    def loaded(self, version: str) -> None:
        """Say that it is not any more; of several at once, the last to begin counts."""
        ...

    @property
    def answered(self) -> bool:
        """Did the process before this one end while an answer was asked for?"""
        ...

    def blame(self) -> None:
        """Hold it against the version in whose code the process before this one was that it ended by itself.

        Where it answered, what it loaded beside that is not to blame.
        """
        ...

    def forget(self) -> None:
        """Say that this process ends because it was asked to."""
        ...

    def ends(self, version: str, *, loading: bool = False) -> int:
        """Return how many processes of this gateway ended within the last minutes while it answered, or was loaded."""
        ...
