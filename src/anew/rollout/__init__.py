"""Accepted candidate in, traffic shifts out."""

from anew.rollout._judge import Judge, Outcome, Ruling
from anew.rollout._kpi import KPI
from anew.rollout._split import answered_by_challenger, position
from anew.rollout._stage import Rollout, next_look
from anew.rollout._state import Probation, RolloutState

__all__ = [
    "KPI",
    "Judge",
    "Outcome",
    "Probation",
    "Rollout",
    "RolloutState",
    "Ruling",
    "answered_by_challenger",
    "next_look",
    "position",
]
