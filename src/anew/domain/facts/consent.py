"""Facts of governance: freezes, what waits for persons, and which of their signatures count."""

from dataclasses import dataclass
from datetime import datetime

from anew.domain.fact import Fact

__all__ = [
    "ApprovalAsked",
    "ApprovalCounted",
    "ApprovalRefused",
    "FreezeBegan",
    "FreezeEnded",
    "RetrainHeld",
    "RolloutDelayed",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeBegan(Fact):
    """A freeze of the policy is in force up to the wall time `until`: nothing is promoted, harm is taken back."""

    window: str
    until: datetime

    @property
    def key(self) -> str:
        """One per end of a freeze."""
        return self.until.isoformat()


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeEnded(Fact):
    """No freeze of the policy is in force any more."""

    window: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainHeld(Fact):
    """Governance keeps the request that caused this fact until a freeze has ended, at the wall time `until`."""

    by: str
    reason: str
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutDelayed(Fact):
    """An accepted candidate, approved as far as needed, waits for the end of a freeze at the wall time `until`."""

    version: str
    digest: str
    reason: str
    until: datetime

    @property
    def key(self) -> str:
        """One per version."""
        return self.version


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalAsked(Fact):
    """An accepted candidate waits for persons: exactly this digest, against exactly this champion.

    Attributes
    ----------
    needed
        Persons who have to sign; each counts once.
    why
        Keys of the policy that ask for it, e.g. ``promotion``.
    requester
        Who asked for the retrain; empty when no person or program did.
    barred
        Who may not sign: they asked for the retrain, or overrode one of its gates.
    expires
        Wall time from which no signature counts any more.
    """

    version: str
    champion: str
    digest: str
    needed: int
    why: tuple[str, ...]
    requester: str
    barred: tuple[str, ...]
    expires: datetime

    @property
    def key(self) -> str:
        """One per version."""
        return self.version


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalCounted(Fact):
    """The signature that caused this fact counts: `given` of `needed` are there."""

    version: str
    digest: str
    by: str
    given: int
    needed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRefused(Fact):
    """The signature that caused this fact does not count."""

    version: str
    digest: str
    by: str
    reason: str
