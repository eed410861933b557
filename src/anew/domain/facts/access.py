"""Facts about who may use a model over the network."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from anew.domain.fact import Fact

__all__ = ["OF_THE_WALL", "AccessChanged", "AccessGranted", "AccessRevoked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessGranted(Fact):
    """Somebody got a token, or became known as a person who may sign in.

    Attributes
    ----------
    token
        Id of the token, or of the person; no secret is on record.
    by
        Who gave it: a person, or the provider of identity that vouched for one whom nobody here had known.
    expires
        Wall time from which it is refused; None for never.
    """

    token: str
    name: str
    role: str
    by: str
    expires: datetime | None = None

    @property
    def key(self) -> str:
        """One per token."""
        return self.token


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRevoked(Fact):
    """A token is refused from now on, or a person is let in no more."""

    token: str
    name: str
    by: str

    @property
    def key(self) -> str:
        """One per token."""
        return self.token


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessChanged(Fact):
    """What a person is known by, or may, is another from now on.

    Attributes
    ----------
    user
        Id of the person.
    change
        What it is: ``password``, ``account NAME``, ``subject ISSUER SUBJECT``, ``name NAME`` of one
        whom a provider brought and who is this person, ``token ID`` or ``role ROLE``.
    """

    user: str
    name: str
    change: str
    by: str

    @property
    def key(self) -> str:
        """One per change."""
        return f"{self.user}/{self.at.isoformat()}/{self.change}"


OF_THE_WALL: Final = (AccessChanged, AccessGranted, AccessRevoked)
"""Facts whose `at` is an instant of the wall clock, where event time may come with the data."""
