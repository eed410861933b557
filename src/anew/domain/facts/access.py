"""Facts about who may use a model over the network."""

from dataclasses import dataclass
from datetime import datetime

from anew.domain.fact import Fact

__all__ = ["AccessGranted", "AccessRevoked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessGranted(Fact):
    """Somebody got a token.

    Attributes
    ----------
    token
        Id of the token; its secret is nowhere on record.
    expires
        Wall time from which the token is refused; None for never.
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
    """A token is refused from now on."""

    token: str
    name: str
    by: str

    @property
    def key(self) -> str:
        """One per token."""
        return self.token
