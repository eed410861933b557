"""Rollout: an approved candidate in, shifts of traffic out; promotion, rollback, quarantine."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from anew.domain.errors import InvariantError
from anew.domain.fact import Fact
from anew.domain.facts import (
    EffectFailed,
    FreezeBegan,
    FreezeEnded,
    GuardrailTripped,
    RollbackCommanded,
    RolledBack,
    RolloutApproved,
    RolloutHeld,
    RolloutObserved,
    RolloutResumed,
    RolloutStalled,
    RolloutStarted,
    RolloutSuperseded,
    Stage,
    Ticked,
    TrafficApplied,
    TrafficOrdered,
)
from anew.rollout._judge import Judge, Outcome, Ruling
from anew.rollout._move import back, promote, shift, steady, to_fallback
from anew.rollout._order import answered
from anew.rollout._state import NOBODY, Probation, RolloutState, state_after
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
    patience
        Event time without a step after which a challenger gives way to a later candidate, should one come; twice as
        long after each that did, so that in the end one is seen through.
    """

    shadow: Judge = Shadow()
    steps: tuple[float, ...] = (0.1, 0.5)
    canary: Judge = Canary()
    blue_green: bool = False
    expire: timedelta = timedelta(days=30)
    patience: timedelta = timedelta(days=3)

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
            case TrafficApplied() if self.blue_green and probation:
                return self._switched(state, probation, fact)
            case FreezeBegan() if probation and not probation.held:
                return (_frozen(probation, fact),)
            case FreezeEnded() if probation and not probation.held:
                return self._thawed(state, probation, fact)
            case GuardrailTripped():
                return _tripped(state, fact)
            case RollbackCommanded():
                return _commanded(state, fact)
            case TrafficOrdered():
                return answered(state, fact)
            case EffectFailed() if fact.cause == state.shifts:
                return _not_shifted(state, fact)
            case Ticked() if state.failed:
                return (steady(state, fact, state.champion, state.fallback),)
            case Ticked() if probation and fact.at - probation.progress > self.expire:
                return back(state, fact, f"expired: no step and no label since {probation.progress}", ())
            case Ticked() if probation and fact.at - probation.since > _MOST_EXPIRIES * self.expire:
                return back(state, fact, f"expired: labels came, but no decision since {probation.since}", ())
            case Ticked() if probation and self._stalls(state, probation, fact.at):
                return (self._stalled(probation, fact, self._ruling(probation)),)
        return ()

    def _start(self, state: RolloutState, fact: RolloutApproved) -> tuple[Fact, ...]:
        challenger = (fact.version, fact.digest)
        hindrance = self._hindrance(state, fact)
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
                *promote(state, fact, challenger, (), "the first champion: there is nobody to compare with"),
            )
        given_way = () if state.probation is None else (_give_way(state.probation, fact),)
        return (*given_way, started, shift(state, fact, Stage.SHADOW, 0.0, challenger))

    def _hindrance(self, state: RolloutState, fact: RolloutApproved) -> str:
        probation = state.probation
        if any(fact.version == version or fact.digest == digest for version, digest in state.quarantined):
            return "this version or one with the same digest is quarantined; a person has to release it first"
        if fact.digest == state.champion[1]:
            return f"its bytes are those of the champion {state.champion[0]}: nothing would change"
        if fact.champion != state.champion[0]:
            against, now = fact.champion or "nobody", state.champion[0] or "nobody"
            return f"validated against {against}, but the champion is {now} now"
        if probation and probation.held:
            return f"{probation.challenger[0]} is on probation already, and held by a person"
        if probation and (not probation.stalled or fact.digest == probation.challenger[1]):
            return f"{probation.challenger[0]} is on probation already"
        return ""

    def _stalls(self, state: RolloutState, probation: Probation, at: datetime) -> bool:
        """Is the challenger going nowhere, and nobody has said so yet?"""
        waited = at - (probation.stepped or probation.since)
        return not (probation.stalled or probation.held) and waited > self.patience * 2 ** min(state.passed_over, 20)

    @staticmethod
    def _stalled(probation: Probation, fact: Fact, ruling: Ruling) -> RolloutStalled:
        waited = fact.at - (probation.stepped or probation.since)
        reason = f"{probation.stage}, no step for {waited}: {ruling.reason}"
        return RolloutStalled(
            model=fact.model, at=fact.at, version=probation.challenger[0], evidence=ruling.evidence, reason=reason
        )

    def _ruling(self, probation: Probation) -> Ruling:
        return (self.shadow if probation.stage is Stage.SHADOW else self.canary).rule(probation)

    def _switched(self, state: RolloutState, probation: Probation, fact: Fact) -> tuple[Fact, ...]:
        """Promote a blue-green challenger that every worker has loaded, unless something holds it."""
        if not state.in_force or probation.held or state.frozen:
            return ()
        reason = "blue-green: every worker has it loaded, and its gates have passed"
        return promote(state, fact, probation.challenger, (), reason)

    def _thawed(self, state: RolloutState, probation: Probation, fact: FreezeEnded) -> tuple[Fact, ...]:
        resumed = RolloutResumed(
            model=fact.model, at=fact.at, version=probation.challenger[0], reason=f"the freeze {fact.window} has ended"
        )
        return (resumed, *(self._switched(state, probation, fact) if self.blue_green else ()))

    def _look(self, state: RolloutState, probation: Probation, fact: RolloutObserved) -> tuple[Fact, ...]:
        ruling = self._ruling(probation)
        if ruling.outcome is Outcome.HARM:
            return back(state, fact, f"{probation.stage}: {ruling.reason}", ruling.evidence)
        if ruling.outcome is Outcome.HOLD or probation.held or state.frozen or not state.in_force:
            return (self._stalled(probation, fact, ruling),) if self._stalls(state, probation, fact.at) else ()
        following = [step for step in self.steps if step > probation.share]
        if following:
            return (shift(state, fact, Stage.CANARY, following[0], probation.challenger),)
        return promote(state, fact, probation.challenger, ruling.evidence, f"{probation.stage}: {ruling.reason}")


def _frozen(probation: Probation, fact: FreezeBegan) -> RolloutHeld:
    reason = (
        f"freeze {fact.window}, until {fact.until:%Y-%m-%d %H:%M} UTC: no step and no promotion; harm is taken back"
    )
    return RolloutHeld(model=fact.model, at=fact.at, version=probation.challenger[0], reason=reason)


def _give_way(probation: Probation, fact: RolloutApproved) -> RolloutSuperseded:
    return RolloutSuperseded(
        model=fact.model,
        at=fact.at,
        version=probation.challenger[0],
        by=fact.version,
        reason=f"no step since {probation.stepped or probation.since}, and a later candidate has passed its gates",
    )


def _commanded(state: RolloutState, fact: RollbackCommanded) -> tuple[Fact, ...]:
    reason = f"{fact.by}: {fact.reason}"
    if state.probation:
        return back(state, fact, reason, ())
    return to_fallback(state, fact, reason)


def _tripped(state: RolloutState, fact: GuardrailTripped) -> tuple[Fact, ...]:
    """Go back: a limit was broken by the challenger, or by a champion that there is a way back from.

    A champion that fails while a challenger is on probation ends the probation first: there is nothing to compare with.
    It goes back itself when the guardrail is found broken under the routing after that.
    """
    reason = f"guardrail {fact.guardrail}: {fact.reason}"
    if state.probation and fact.version == state.probation.challenger[0]:
        return back(state, fact, reason, fact.evidence)
    if fact.version != state.champion[0] or state.fallback == NOBODY:
        return ()
    if state.probation:
        ended = f"not to blame: its champion {fact.version} broke {reason}; release it to try it on another"
        return back(state, fact, ended, fact.evidence)
    return to_fallback(state, fact, reason, fact.evidence)


def _not_shifted(state: RolloutState, fact: EffectFailed) -> tuple[Fact, ...]:
    """Take back what cannot be published; a champion that was serving all along is published again at the next tick."""
    reason = f"traffic could not be shifted: {fact.reason}: {fact.detail}"
    if state.probation:
        return back(state, fact, reason, ())
    return () if state.champion == state.serving else to_fallback(state, fact, reason)


def next_look(probation: Probation) -> tuple[int, datetime]:
    """Return the number of the next look at a probation, and the event time from which it counts."""
    return probation.looks + 1, max(probation.since, probation.looked or probation.since)
