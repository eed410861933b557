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
    TrafficApplied,
    TrafficShifted,
    VersionPromoted,
)
from anew.rollout._judge import Judge, Outcome
from anew.rollout._state import NOBODY, Probation, RolloutState, Served, state_after
from anew.rollout.canary import Canary
from anew.rollout.shadow import Shadow

__all__ = ["Rollout", "next_look"]

_MOST_EXPIRIES = 4
"""Expiries that a whole rollout may last while labels come: an undecidable one must not block the next for ever."""


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
    blue_green
        No probation by labels: the challenger takes all traffic as soon as every worker has it loaded, on the proof of
        its gates alone; the guardrails and the way back stay.
    expire
        Event time without a step or a label after which a rollout is given up; one that gets labels and never decides
        is given up after four times that.
    """

    shadow: Judge = Shadow()
    steps: tuple[float, ...] = (0.1, 0.5)
    canary: Judge = Canary()
    blue_green: bool = False
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
            case RolloutObserved() if probation and not self.blue_green and fact.version == probation.challenger[0]:
                return self._look(state, probation, fact)
            case TrafficApplied() if self.blue_green and probation and state.in_force:
                reason = "blue-green: every worker has it loaded, and its gates have passed"
                return _promote(state, fact, probation.challenger, (), reason)
            case GuardrailTripped():
                return _tripped(state, fact)
            case RollbackCommanded():
                return self._commanded(state, fact)
            case EffectFailed() if fact.cause == state.shifts:
                return _not_shifted(state, fact)
            case Ticked() if state.failed:
                return (_steady(state, fact, state.champion, state.fallback),)
            case Ticked() if probation and fact.at - probation.progress > self.expire:
                return _back(state, fact, f"expired: no step and no label since {probation.progress}", ())
            case Ticked() if probation and fact.at - probation.since > _MOST_EXPIRIES * self.expire:
                return _back(state, fact, f"expired: labels came, but no decision since {probation.since}", ())
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
        if ruling.outcome is Outcome.HOLD or not state.in_force:
            return ()
        following = [step for step in self.steps if step > probation.share]
        if following:
            return (_shift(state, fact, Stage.CANARY, following[0], probation.challenger),)
        return _promote(state, fact, probation.challenger, ruling.evidence, f"{probation.stage}: {ruling.reason}")

    def _commanded(self, state: RolloutState, fact: RollbackCommanded) -> tuple[Fact, ...]:
        reason = f"{fact.by}: {fact.reason}"
        if state.probation:
            return _back(state, fact, reason, ())
        return _to_fallback(state, fact, reason)


def _hindrance(state: RolloutState, fact: RolloutApproved) -> str:
    if any(fact.version == version or fact.digest == digest for version, digest in state.quarantined):
        return "this version or one with the same digest is quarantined; a person has to release it first"
    if state.probation:
        return f"{state.probation.challenger[0]} is on probation already"
    if fact.digest == state.champion[1]:
        return f"its bytes are those of the champion {state.champion[0]}: nothing would change"
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


def _tripped(state: RolloutState, fact: GuardrailTripped) -> tuple[Fact, ...]:
    """Go back: a limit was broken by the challenger, or by a champion that there is a way back from.

    A champion that fails while a challenger is on probation ends the probation first: there is nothing to compare with.
    It goes back itself when the guardrail is found broken under the routing after that.
    """
    reason = f"guardrail {fact.guardrail}: {fact.reason}"
    if state.probation and fact.version == state.probation.challenger[0]:
        return _back(state, fact, reason, fact.evidence)
    if fact.version != state.champion[0] or state.fallback == NOBODY:
        return ()
    if state.probation:
        ended = f"not to blame: its champion {fact.version} broke {reason}; release it to try it on another"
        return _back(state, fact, ended, fact.evidence)
    return _to_fallback(state, fact, reason, fact.evidence)


def _not_shifted(state: RolloutState, fact: EffectFailed) -> tuple[Fact, ...]:
    """Take back what cannot be published; a champion that was serving all along is published again at the next tick."""
    reason = f"traffic could not be shifted: {fact.reason}: {fact.detail}"
    if state.probation:
        return _back(state, fact, reason, ())
    return () if state.champion == state.serving else _to_fallback(state, fact, reason)


def _back(state: RolloutState, fact: Fact, reason: str, evidence: tuple[Evidence, ...]) -> tuple[Fact, ...]:
    """Take a challenger off traffic; the champion was serving all along."""
    version, digest = state.probation.challenger if state.probation else NOBODY
    fallback = NOBODY if state.fallback[1] == digest else state.fallback
    return (
        RolledBack(
            model=fact.model, at=fact.at, version=version, to=state.champion[0], evidence=evidence, reason=reason
        ),
        _steady(state, fact, state.champion, fallback),
    )


def _to_fallback(state: RolloutState, fact: Fact, reason: str, evidence: tuple[Evidence, ...] = ()) -> tuple[Fact, ...]:
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
        _steady(state, fact, state.fallback, NOBODY),
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
