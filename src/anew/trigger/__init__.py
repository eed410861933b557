"""Alerts, schedules and commands in, retrain requests out: conditions, cooldown, budget."""

from anew.trigger._condition import Changes, Condition, NewData, Schedule
from anew.trigger._economy import Economy
from anew.trigger._sharing import SHARED, Sharing, SharingState
from anew.trigger._stage import Trigger, TriggerState

__all__ = [
    "SHARED",
    "Changes",
    "Condition",
    "Economy",
    "NewData",
    "Schedule",
    "Sharing",
    "SharingState",
    "Trigger",
    "TriggerState",
]
