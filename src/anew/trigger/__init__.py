"""Alerts in, retrain requests out: persistence, cooldown, budget."""

from anew.trigger._stage import Trigger, TriggerState

__all__ = ["Trigger", "TriggerState"]
