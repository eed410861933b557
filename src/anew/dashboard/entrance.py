"""What signing in asks of the world: whose token or password it is, and whom a provider of identity vouches for."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from anew.domain.access import Principal

__all__ = ["Ended", "Entrance", "Errand", "Vouched", "Ways"]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Vouched:
    """Of whom a provider said at `at`, by its own clock, that they signed in.

    `ties` are what it can end the session by: the person, and its own session of that person.
    """

    who: Principal
    at: datetime
    ties: tuple[str, ...] = ()


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

    def by_provider(self, errand: Errand, answer: Mapping[str, str]) -> Vouched:
        """Return whom the provider vouches for by its `answer`, the query it sent the browser back with.

        Raises
        ------
        ForbiddenError
            It vouches for nobody, or for nobody who has a role here.
        UnavailableError
            It cannot be asked.
        """
        ...

    def signed_out(self, word: str) -> tuple[datetime, tuple[str, ...]]:
        """Return when somebody signed out at the provider, by its clock, and the ties by which sessions end.

        Raises
        ------
        ForbiddenError
            This is no word of the provider's that somebody signed out.
        UnavailableError
            It cannot be asked for the keys that it signs with.
        """
        ...


class Ended(Protocol):
    """Sessions that are over before their time; they stay so when the dashboard begins anew. Thread-safe."""

    def era(self) -> str:
        """Return what sessions that are opened now bear; another one once it is no longer known which have ended."""
        ...

    def add(self, nonce: str, until: datetime) -> None:
        """Remember a session that would have been good until then."""
        ...

    def cut(self, ties: Collection[str], at: datetime, until: datetime) -> None:
        """Remember until then that sessions with one of these ties are over which began at `at` or before."""
        ...

    def is_over(self, nonce: str, ties: Collection[str], began: datetime) -> bool:
        """Was this session ended?"""
        ...
