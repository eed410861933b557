"""What signing in asks of the world: whose token or password it is, and whom a provider of identity vouches for."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from anew.domain.access import Principal

__all__ = ["Ended", "Entrance", "Errand", "Ways"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """How people may sign in besides by a token: with passwords, and at a provider of this title, empty for none.

    `session` is how long the provider's word is good.
    """

    passwords: bool = False
    provider: str = ""
    session: timedelta = timedelta(hours=8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """One way to the provider and back: three texts that nobody can guess, and the address to come back to."""

    state: str
    nonce: str
    verifier: str
    back: str


class Entrance(Protocol):
    """Who somebody is. Thread-safe; what cannot be told raises an `AnewError`, and lets nobody in."""

    def ways(self) -> Ways:
        """Return how people may sign in."""
        ...

    def holder(self, token: str) -> Principal | None:
        """Return whose token it is; None for nobody's."""
        ...

    def by_password(self, name: str, password: str) -> Principal | None:
        """Return who has this name and this password; None for nobody, after as long a time."""
        ...

    def principal(self, id: str) -> Principal | None:
        """Return who has this id; None once the token is revoked or expired, the password another, the person gone."""
        ...

    def provider(self, errand: Errand) -> str:
        """Return the provider's address for a browser to be sent to."""
        ...

    def by_provider(self, errand: Errand, answer: Mapping[str, str]) -> Principal:
        """Return whom the provider vouches for by its `answer`, the query it sent the browser back with.

        Raises
        ------
        ForbiddenError
            It vouches for nobody, or for nobody who has a role here.
        UnavailableError
            It cannot be asked.
        """
        ...


class Ended(Protocol):
    """Sessions that somebody has signed out of; they stay so when the dashboard begins anew. Thread-safe."""

    def add(self, nonce: str, until: datetime) -> None:
        """Remember a session that would have been good until then."""
        ...

    def __contains__(self, nonce: object) -> bool:
        """Was this session ended?"""
        ...
