"""Moves of traffic, each as the facts that it is made of."""

from collections.abc import Sequence
from dataclasses import replace

from anew.domain.evidence import Evidence
from anew.domain.fact import Fact
from anew.domain.facts import (
    Arm,
    RolledBack,
    RolloutHeld,
    RolloutSuperseded,
    Stage,
    TrafficShifted,
    VersionPromoted,
)
from anew.rollout._state import NOBODY, Probation, RolloutState, Served

__all__ = ["back", "give_way", "promote", "restate", "shift", "steady", "to_fallback", "trial"]


def promote(
    state: RolloutState, fact: Fact, challenger: Served, evidence: tuple[Evidence, ...], reason: str
) -> tuple[Fact, ...]:
    """Make `challenger` the champion; the present one becomes its fallback, and the other arms of a trial give way."""
    others = [each for each in state.arms if each.challenger != challenger]
    return (
        *give_way(others, fact, challenger[0], f"{challenger[0]} has won their trial"),
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


def give_way(arms: Sequence[Probation], fact: Fact, by: str, reason: str) -> tuple[Fact, ...]:
    """Let challengers go that nothing is held against."""
    return tuple(
        RolloutSuperseded(model=fact.model, at=fact.at, version=each.challenger[0], by=by, reason=reason)
        for each in arms
    )


def back(
    state: RolloutState, fact: Fact, gone: Sequence[Probation], reason: str, evidence: tuple[Evidence, ...]
) -> tuple[Fact, ...]:
    """Take challengers off traffic; the champion was serving all along, and other arms of the trial go on."""
    taken = {each.challenger for each in gone}
    left = [each for each in state.arms if each.challenger not in taken]
    fallback = NOBODY if state.fallback[1] in {digest for _, digest in taken} else state.fallback
    return (
        *(
            RolledBack(
                model=fact.model, at=fact.at, version=version, to=state.champion[0], evidence=evidence, reason=reason
            )
            for version, _ in (each.challenger for each in gone)
        ),
        restate(replace(state.with_arms(left), fallback=fallback), fact),
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


def trial(state: RolloutState, fact: Fact, arms: Sequence[Arm], name: str) -> TrafficShifted:
    """Route to the champion with the arms of a trial beside it."""
    return TrafficShifted(
        model=fact.model,
        at=fact.at,
        epoch=state.epoch + 1,
        stage=Stage.AB,
        share=arms[0].share,
        champion=state.champion,
        challenger=arms[0].pair,
        fallback=state.fallback,
        arms=tuple(arms),
        trial=name,
    )


def restate(state: RolloutState, fact: Fact) -> TrafficShifted:
    """Route as things stand, under a new epoch."""
    if state.probation is None:
        return steady(state, fact, state.champion, state.fallback)
    if state.probation.stage is Stage.AB:
        return trial(state, fact, [each.arm for each in state.arms], state.trial)
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
