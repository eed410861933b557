"""The trial under way, as far as the trigger has to know: is there a place for one more arm?"""

from dataclasses import dataclass, replace

from anew.domain.fact import Fact
from anew.domain.facts import RolloutStalled, Stage, TrafficShifted

__all__ = ["Trial", "trial_after"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Arms that answer side by side; none while there is no trial.

    Attributes
    ----------
    arms
        Versions that answer.
    joined
        How many have joined it, those that are gone included: no place is given twice.
    stalled
        Those that were found to be going nowhere.
    """

    name: str = ""
    arms: tuple[str, ...] = ()
    joined: int = 0
    stalled: frozenset[str] = frozenset()

    def full(self, places: int) -> bool:
        """Would a further candidate find no place among so many, and nobody to give way?"""
        return bool(self.arms) and self.joined >= places and not self.stalled.issuperset(self.arms)


def trial_after(trial: Trial, fact: Fact) -> Trial:
    """Fold a fact."""
    match fact:
        case TrafficShifted() if fact.stage is not Stage.AB:
            return trial if trial == Trial() else Trial()
        case TrafficShifted():
            before = trial if trial.name == fact.trial else Trial(name=fact.trial)
            arms = tuple(arm.version for arm in fact.arms)
            fresh = sum(arm not in before.arms for arm in arms)
            return replace(before, arms=arms, joined=before.joined + fresh)
        case RolloutStalled() if fact.version in trial.arms:
            return replace(trial, stalled=trial.stalled | {fact.version})
    return trial
