"""Rollout: an approved candidate in, shifts of traffic out; promotion, rollback, quarantine."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.domain.fact import Fact
from anew.domain.facts import (
    EffectFailed,
    GuardrailTripped,
    RollbackCommanded,
    RolledBack,
    RolloutApproved,
    RolloutHeld,
    RolloutObserved,
    RolloutStarted,
    Stage,
    Ticked,
    TrafficShifted,
    VersionPromoted,
)
from anew.rollout._judge import Judge, Outcome
from anew.rollout._state import NOBODY, Probation, RolloutState, Served, state_after
from anew.rollout.canary import Canary
from anew.rollout.shadow import Shadow

__all__ = ["Rollout", "next_look"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """Takes a challenger through shadow and canary steps, judged at every look, and back at once.

    Parameters
    ----------
    shadow
        Judge of the paired stage.
    steps
        Shares of traffic of the canary steps, ascending in (0, 1); none: promotion straight from shadow.
    canary
        Judge of each canary step.
    expire
        Event time without a step or a label after which a rollout is given up.
    """

    shadow: Judge = Shadow()
    steps: tuple[float, ...] = (0.1, 0.5)
    canary: Judge = Canary()
    expire: timedelta = timedelta(days=30)

    def __post_init__(self) -> None:
        if list(self.steps) != sorted(set(self.steps)) or not all(0 < step < 1 for step in self.steps):
            raise InvariantError(f"canary steps {self.steps}: use ascending shares between 0 and 1, e.g. [0.1, 0.5]")

    def initial(self) -> RolloutState:
        """Return the state before any version."""
        return RolloutState()

    def apply(self, state: RolloutState, fact: Fact) -> RolloutState:
        """Fold a fact."""
        return state_after(state, fact)

    def decide(self, state: RolloutState, fact: Fact) -> tuple[Fact, ...]:
        """Start, advance, promote or roll back."""
        probation = state.probation
        match fact:
            case RolloutApproved():
                return self._start(state, fact)
            case RolloutObserved() if probation and fact.version == probation.challenger[0]:
                return self._look(state, probation, fact)
            case GuardrailTripped() if probation and fact.version == probation.challenger[0]:
                return _back(state, fact, f"guardrail {fact.guardrail}: {fact.reason}", fact.evidence)
            case RollbackCommanded():
                return self._commanded(state, fact)
            case EffectFailed() if fact.cause == state.shifts and probation:
                return _back(state, fact, f"traffic could not be shifted: {fact.reason}: {fact.detail}", ())
            case Ticked() if probation and fact.at - probation.progress > self.expire:
                return _back(state, fact, f"expired: no step and no label since {probation.progress}", ())
        return ()

    def _start(self, state: RolloutState, fact: RolloutApproved) -> tuple[Fact, ...]:
        challenger = (fact.version, fact.digest)
        hindrance = _hindrance(state, fact)
        if hindrance:
            return (
                RolledBack(
                    model=fact.model,
                    at=fact.at,
                    version=fact.version,
                    to=state.champion[0],
                    evidence=(),
                    reason=hindrance,
                ),
            )
        started = RolloutStarted(
            model=fact.model, at=fact.at, version=fact.version, digest=fact.digest, champion=state.champion[0]
        )
        if state.champion == NOBODY:
            return (
                started,
                *_promote(state, fact, challenger, (), "the first champion: there is nobody to compare with"),
            )
        return (started, _shift(state, fact, Stage.SHADOW, 0.0, challenger))

    def _look(self, state: RolloutState, probation: Probation, fact: RolloutObserved) -> tuple[Fact, ...]:
        judge = self.shadow if probation.stage is Stage.SHADOW else self.canary
        ruling = judge.rule(probation)
        if ruling.outcome is Outcome.HARM:
            return _back(state, fact, f"{probation.stage}: {ruling.reason}", ruling.evidence)
        if ruling.outcome is Outcome.HOLD:
            return ()
        following = [step for step in self.steps if step > probation.share]
        if following:
            return (_shift(state, fact, Stage.CANARY, following[0], probation.challenger),)
        return _promote(state, fact, probation.challenger, ruling.evidence, f"{probation.stage}: {ruling.reason}")

    def _commanded(self, state: RolloutState, fact: RollbackCommanded) -> tuple[Fact, ...]:
        reason = f"{fact.by}: {fact.reason}"
        if state.probation:
            return _back(state, fact, reason, ())
        if state.fallback == NOBODY:
            return (
                RolloutHeld(
                    model=fact.model,
                    at=fact.at,
                    version=state.champion[0],
                    reason=f"{reason}; there is no fallback to go to",
                ),
            )
        return (
            RolledBack(
                model=fact.model,
                at=fact.at,
                version=state.champion[0],
                to=state.fallback[0],
                evidence=(),
                reason=reason,
            ),
            _steady(state, fact, state.fallback, NOBODY),
        )


def _hindrance(state: RolloutState, fact: RolloutApproved) -> str:
    if any(fact.version == version or fact.digest == digest for version, digest in state.quarantined):
        return "this version or one with the same digest is quarantined; a person has to release it first"
    if state.probation:
        return f"{state.probation.challenger[0]} is on probation already"
    if fact.champion != state.champion[0]:
        return f"validated against {fact.champion or 'nobody'}, but the champion is {state.champion[0] or 'nobody'} now"
    return ""


def _promote(
    state: RolloutState, fact: Fact, challenger: Served, evidence: tuple[Evidence, ...], reason: str
) -> tuple[Fact, ...]:
    return (
        VersionPromoted(
            model=fact.model,
            at=fact.at,
            version=challenger[0],
            digest=challenger[1],
            previous=state.champion[0],
            evidence=evidence,
            reason=reason,
        ),
        _steady(state, fact, challenger, state.champion),
    )


def _back(state: RolloutState, fact: Fact, reason: str, evidence: tuple[Evidence, ...]) -> tuple[Fact, ...]:
    """Take a challenger off traffic; the champion was serving all along."""
    version = state.probation.challenger[0] if state.probation else ""
    return (
        RolledBack(
            model=fact.model, at=fact.at, version=version, to=state.champion[0], evidence=evidence, reason=reason
        ),
        _steady(state, fact, state.champion, state.fallback),
    )


def _shift(state: RolloutState, fact: Fact, stage: Stage, share: float, challenger: Served) -> TrafficShifted:
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


def _steady(state: RolloutState, fact: Fact, champion: Served, fallback: Served) -> TrafficShifted:
    return TrafficShifted(
        model=fact.model,
        at=fact.at,
        epoch=state.epoch + 1,
        stage=Stage.STEADY,
        share=0.0,
        champion=champion,
        fallback=fallback,
    )


def next_look(probation: Probation) -> tuple[int, datetime]:
    """Return the number of the next look at a probation, and the event time from which it counts."""
    return probation.looks + 1, max(probation.since, probation.looked or probation.since)
