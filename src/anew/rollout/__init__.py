"""Accepted candidate in, traffic shifts out."""

from anew.rollout._judge import Judge, Outcome, Ruling
from anew.rollout._kpi import KPI
from anew.rollout._quarantine import Quarantine
from anew.rollout._side import Side, Sides, held_by, sides_after
from anew.rollout._split import answered_by, position
from anew.rollout._stage import Rollout, next_look
from anew.rollout._state import WATCHED, Probation, RolloutState

__all__ = [
    "KPI",
    "WATCHED",
    "Judge",
    "Outcome",
    "Probation",
    "Quarantine",
    "Rollout",
    "RolloutState",
    "Ruling",
    "Side",
    "Sides",
    "answered_by",
    "held_by",
    "next_look",
    "position",
    "sides_after",
]
