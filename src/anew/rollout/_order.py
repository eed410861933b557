"""What the record makes of an order that the gateways obey already: what serves and what is on record are one again."""

from anew.domain.fact import Fact
from anew.domain.facts import Order, RolledBack, RolloutHeld, RolloutResumed, TrafficOrdered
from anew.rollout._move import back, restate, steady
from anew.rollout._state import NOBODY, RolloutState

__all__ = ["answered"]


def answered(state: RolloutState, fact: TrafficOrdered) -> tuple[Fact, ...]:
    """Bring the record to where the gateways stand since the order, and publish that under an epoch of the loop's."""
    reason = f"{fact.by}: {fact.reason}"
    about_challenger = bool(state.arm(fact.version) or (state.arms and fact.trial and fact.trial == state.trial))
    if fact.action in (Order.ABORT, Order.ROLLBACK):
        if about_challenger:
            return back(state, fact, state.arms, reason, ())
        if _never_left(state, fact) or (state.champion[0] == fact.version and fact.champion not in state.quarantined):
            return _gone_back(state, fact, reason)
    elif fact.action is Order.HOLD and _never_left(state, fact) and _names_champion(state, fact):
        met = f"the hold met a promotion that no gateway had heard of; release {state.champion[0]} to try it again"
        return _gone_back(state, fact, f"{reason}; {met}")
    elif about_challenger and fact.action is Order.RESUME:
        said = f"{reason}{_so(state, fact, 'does')}"
        return (
            RolloutResumed(model=fact.model, at=fact.at, version=fact.version, reason=said),
            restate(state, fact),
        )
    elif about_challenger:
        said = f"{reason}{_so(state, fact, 'is')}"
        return (
            RolloutHeld(model=fact.model, at=fact.at, version=fact.version, reason=said),
            restate(state, fact),
        )
    late = f"{reason}; it came too late for {fact.version}: {state.champion[0]} serves"
    return (
        RolloutHeld(model=fact.model, at=fact.at, version=state.champion[0], reason=late),
        restate(state, fact),
    )


def _so(state: RolloutState, fact: TrafficOrdered, verb: str) -> str:
    """Say that an order about one arm of a trial is about all of them."""
    others = ", ".join(arm.challenger[0] for arm in state.arms if arm.challenger[0] != fact.version)
    return f"; so {verb} that of {others}" if others else ""


def _never_left(state: RolloutState, fact: TrafficOrdered) -> bool:
    """Do the gateways answer by the champion before the one on record, whose promotion none of them had heard of?"""
    return fact.champion == state.fallback != NOBODY


def _names_champion(state: RolloutState, fact: TrafficOrdered) -> bool:
    """Is the champion on record among those that are on probation by the order?"""
    return state.champion in {arm.pair for arm in fact.challengers}


def _gone_back(state: RolloutState, fact: TrafficOrdered, reason: str) -> tuple[Fact, ...]:
    """Record that the champion gave way to whom the gateways answer by; with it ends what was on probation beside it.

    They keep the fallback that they have, unless it is among what is taken back.
    """
    ended = f"its champion {state.champion[0]} was taken back; release it to try it on another"
    beside = back(state, fact, state.arms, ended, ())[:-1]
    gone = RolledBack(
        model=fact.model, at=fact.at, version=state.champion[0], to=fact.champion[0], evidence=(), reason=reason
    )
    barred = state.quarantined
    for pair in (state.champion, *(each.challenger for each in state.arms)):
        barred = barred.having(pair)
    fallback = NOBODY if barred.bars(*fact.fallback) else fact.fallback
    return (*beside, gone, steady(state, fact, fact.champion, fallback))
