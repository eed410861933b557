"""Who answers now: one immutable reference, replaced as a whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from anew.domain.column import Columns, Value
from anew.domain.facts.rollout import Arm, Stage
from anew.domain.observation import Answer
from anew.gateway.challenger import Challenger
from anew.gateway.guard import Guard
from anew.ports.traffic import VersionHealth

__all__ = ["Answerer", "Contest", "Route", "Switch", "VersionLoader"]


class Answerer(Protocol):
    """As much of `anew.ports.predictor.Predictor` as serving needs."""

    @property
    def version(self) -> str:
        """Name of the version."""
        ...

    @property
    def digest(self) -> str:
        """Digest of its artifact."""
        ...

    @property
    def columns(self) -> Columns:
        """The row contract it was trained under."""
        ...

    def answer(self, rows: Sequence[Mapping[str, Value]]) -> Sequence[Answer]:
        """Answer each of `rows`, in order."""
        ...


class VersionLoader(Protocol):
    """As much of `anew.ports.predictor.Loader` as serving needs."""

    def load(self, folder: Path, *, version: str, digest: str) -> Answerer:
        """Load and warm up."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """A challenger on probation, the keys that are its own, and who watches it."""

    arm: Arm
    challenger: Challenger
    guard: Guard

    def health(self) -> VersionHealth:
        """Return how it behaves, and what it took, for the control plane."""
        return replace(self.guard.health(), cpu_s=self.challenger.cpu_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Everything that one request needs to know, consistent in itself.

    Attributes
    ----------
    guard
        Watches the champion.
    fallback
        The champion before it, loaded and ready to answer in its place; None when there is none, or not yet.
    contests
        The challengers: one, or the arms of a trial.
    trial
        By whose name keys find their arm; empty where there is no trial.
    """

    epoch: int
    stage: Stage
    champion: Answerer
    guard: Guard
    fallback: Answerer | None = None
    contests: tuple[Contest, ...] = ()
    trial: str = ""


@dataclass(slots=True)
class Switch:
    """Holds the route in force. A request reads `route` once; a swap assigns it once: nothing is ever mixed."""

    route: Route | None = None
