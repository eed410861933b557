"""What the trigger was asked, and by what."""

from dataclasses import dataclass
from datetime import datetime

from anew.domain.severity import Severity

__all__ = ["Question"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Why a retrain is asked for, before it is known whether it may be.

    Attributes
    ----------
    revive
        The retired version to bring back instead of fitting one.
    fresh
        Would a retrain learn something new although no label has come: from other code, from corrected rows?
    withheld
        For what was asked and said no by itself: a word and a sentence.
    """

    triggers: tuple[str, ...]
    reason: str
    severity: Severity = Severity.MEDIUM
    considered: tuple[tuple[str, str], ...] = ()
    intended: datetime | None = None
    past_cooldown: bool = False
    corrected: bool = False
    revive: str = ""
    fresh: bool = False
    withheld: tuple[str, str] | None = None
