"""Moves of traffic, each as the facts that it is made of."""

from anew.domain.evidence import Evidence
from anew.domain.fact import Fact
from anew.domain.facts import RolledBack, RolloutHeld, Stage, TrafficShifted, VersionPromoted
from anew.rollout._state import NOBODY, RolloutState, Served

__all__ = ["back", "promote", "restate", "shift", "steady", "to_fallback"]


def promote(
    state: RolloutState, fact: Fact, challenger: Served, evidence: tuple[Evidence, ...], reason: str
) -> tuple[Fact, ...]:
    """Make `challenger` the champion; the present one becomes its fallback."""
    return (
        VersionPromoted(
            model=fact.model,
            at=fact.at,
            version=challenger[0],
            digest=challenger[1],
            previous=state.champion[0],
            evidence=evidence,
            reason=reason,
            settings=state.settings,
        ),
        steady(state, fact, challenger, state.champion),
    )


def back(state: RolloutState, fact: Fact, reason: str, evidence: tuple[Evidence, ...]) -> tuple[Fact, ...]:
    """Take a challenger off traffic; the champion was serving all along."""
    version, digest = state.probation.challenger if state.probation else NOBODY
    fallback = NOBODY if state.fallback[1] == digest else state.fallback
    return (
        RolledBack(
            model=fact.model, at=fact.at, version=version, to=state.champion[0], evidence=evidence, reason=reason
        ),
        steady(state, fact, state.champion, fallback),
    )


def to_fallback(state: RolloutState, fact: Fact, reason: str, evidence: tuple[Evidence, ...] = ()) -> tuple[Fact, ...]:
    """Take the champion off traffic, for the champion before it."""
    if state.fallback == NOBODY:
        reason = f"{reason}; there is no fallback to go to"
        return (RolloutHeld(model=fact.model, at=fact.at, version=state.champion[0], reason=reason),)
    return (
        RolledBack(
            model=fact.model,
            at=fact.at,
            version=state.champion[0],
            to=state.fallback[0],
            evidence=evidence,
            reason=reason,
        ),
        steady(state, fact, state.fallback, NOBODY),
    )


def shift(state: RolloutState, fact: Fact, stage: Stage, share: float, challenger: Served) -> TrafficShifted:
    """Route to the champion with `challenger` beside it."""
    return TrafficShifted(
        model=fact.model,
        at=fact.at,
        epoch=state.epoch + 1,
        stage=stage,
        share=share,
        champion=state.champion,
        challenger=challenger,
        fallback=state.fallback,
    )


def restate(state: RolloutState, fact: Fact) -> TrafficShifted:
    """Route as things stand, under a new epoch."""
    if state.probation is None:
        return steady(state, fact, state.champion, state.fallback)
    return shift(state, fact, state.probation.stage, state.probation.share, state.probation.challenger)


def steady(state: RolloutState, fact: Fact, champion: Served, fallback: Served) -> TrafficShifted:
    """Route to `champion` alone."""
    return TrafficShifted(
        model=fact.model,
        at=fact.at,
        epoch=state.epoch + 1,
        stage=Stage.STEADY,
        share=0.0,
        champion=champion,
        fallback=fallback,
    )
