"""What a step of a rollout says about the challenger at a look."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from anew.domain.evidence import Evidence
from anew.rollout._state import Probation

__all__ = ["Judge", "Outcome", "Ruling"]


class Outcome(StrEnum):
    """HOLD keeps the traffic as it is, ADVANCE takes the next step, HARM goes back."""

    HOLD = "hold"
    ADVANCE = "advance"
    HARM = "harm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """An outcome with its evidence and reason."""

    outcome: Outcome
    reason: str
    evidence: tuple[Evidence, ...] = ()


class Judge(Protocol):
    """A step's judgement, valid however often it is asked; a frozen dataclass whose fields are its settings."""

    def rule(self, probation: Probation) -> Ruling:
        """Rule on all that was seen so far; nothing seen is HOLD."""
        ...
