"""Rollout: an approved candidate in, shifts of traffic out; promotion, rollback, quarantine."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from anew.domain.duration import write_duration
from anew.domain.errors import InvariantError
from anew.domain.fact import Fact
from anew.domain.facts import (
    Arm,
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
    TrafficShifted,
)
from anew.rollout._judge import Judge, Outcome, Ruling
from anew.rollout._move import back, give_way, promote, shift, steady, to_fallback, trial
from anew.rollout._order import answered
from anew.rollout._state import NOBODY, Probation, RolloutState, Served, state_after
from anew.rollout.ab import AB
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
    arms
        Shares of traffic of the arms of an A/B, by place, together below 1; none: no A/B. A candidate that is approved
        while a trial has places left joins it at once; who is approved later waits until it has ended, or stalls.
    ab
        Judge of each arm.
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
    arms: tuple[float, ...] = ()
    ab: Judge = AB()
    blue_green: bool = False
    expire: timedelta = timedelta(days=30)
    patience: timedelta = timedelta(days=3)

    def __post_init__(self) -> None:
        if list(self.steps) != sorted(set(self.steps)) or not all(0 < step < 1 for step in self.steps):
            raise InvariantError(f"canary steps {self.steps}: use ascending shares between 0 and 1, e.g. [0.1, 0.5]")
        if not all(share > 0 for share in self.arms) or sum(self.arms) >= 1:
            raise InvariantError(f"arms {self.arms}: use shares above 0 that leave the champion some, e.g. [0.2, 0.2]")

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
            case RolloutObserved() if arm := state.arm(fact.version):
                return () if self.blue_green and arm.stage is not Stage.AB else self._look(state, arm, fact)
            case TrafficApplied() if self.blue_green and probation:
                return self._switched(state, probation, fact)
            case FreezeBegan() if probation and not probation.held:
                return tuple(_frozen(each, fact) for each in state.arms)
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
            case Ticked() if probation:
                return self._waited(state, fact)
        return ()

    def _waited(self, state: RolloutState, fact: Ticked) -> tuple[Fact, ...]:
        """End what has waited too long, the challengers one by one; or say that it stalls."""
        for each in state.arms:
            if fact.at - each.progress > self.expire:
                said = f"expired: no step, and no label that counts, since {each.progress}"
                return back(state, fact, (each,), said, ())
            if fact.at - each.since > _MOST_EXPIRIES * self.expire:
                return back(state, fact, (each,), f"expired: labels came, but no decision since {each.since}", ())
        stall = (each for each in state.arms if self._stalls(state, each, fact.at))
        return tuple(self._stalled(each, fact, self._ruling(each)) for each in stall)

    def _start(self, state: RolloutState, fact: RolloutApproved) -> tuple[Fact, ...]:
        challenger = (fact.version, fact.digest)
        if state.quarantined.bars(fact.version, fact.digest):
            reason = "this version or one with the same digest is quarantined; release it first (anew rollout release)"
            return (
                RolledBack(
                    model=fact.model, at=fact.at, version=fact.version, to=state.champion[0], evidence=(), reason=reason
                ),
            )
        if hindrance := self._hindrance(state, fact):
            by, reason = hindrance
            return (RolloutSuperseded(model=fact.model, at=fact.at, version=fact.version, by=by, reason=reason),)
        started = RolloutStarted(
            model=fact.model, at=fact.at, version=fact.version, digest=fact.digest, champion=state.champion[0]
        )
        if state.champion == NOBODY:
            return (
                started,
                *promote(state, fact, challenger, (), "the first champion: there is nobody to compare with"),
            )
        if not self._joins(state):
            given_way = _given_way(state, fact)
            return (*given_way, started, self._first(state, fact, challenger))
        arm = Arm(version=fact.version, digest=fact.digest, low=state.taken, share=self.arms[state.joined])
        return (started, trial(state, fact, [*(each.arm for each in state.arms), arm], state.trial))

    def _first(self, state: RolloutState, fact: RolloutApproved, challenger: Served) -> TrafficShifted:
        """Route for a challenger that is alone on probation."""
        if not self.arms:
            return shift(state, fact, Stage.SHADOW, 0.0, challenger)
        arm = Arm(version=fact.version, digest=fact.digest, share=self.arms[0])
        return trial(state, fact, [arm], fact.version)

    def _joins(self, state: RolloutState) -> bool:
        """Has the trial under way a place for one more arm?"""
        if state.probation is None or state.probation.stage is not Stage.AB or state.joined >= len(self.arms):
            return False
        return state.taken + self.arms[state.joined] < 1

    def _hindrance(self, state: RolloutState, fact: RolloutApproved) -> tuple[str, str] | None:
        """Return to whom it gives way, and why: nothing is held against it."""
        champion = state.champion[0]
        if fact.digest == state.champion[1]:
            return champion, f"its bytes are those of the champion {champion}: nothing would change"
        if fact.champion != champion:
            against, now = fact.champion or "nobody", champion or "nobody"
            return champion, f"validated against {against}, but the champion is {now} now"
        joins = self._joins(state)
        for each in state.arms:
            if each.held:
                return each.challenger[0], f"{each.challenger[0]} is on probation already, and held by a person"
            if fact.digest == each.challenger[1] or not (each.stalled or joins):
                return each.challenger[0], f"{each.challenger[0]} is on probation already"
        return None

    def _stalls(self, state: RolloutState, probation: Probation, at: datetime) -> bool:
        """Is the challenger going nowhere, and nobody has said so yet?"""
        waited = at - (probation.stepped or probation.since)
        return not (probation.stalled or probation.held) and waited > self.patience * 2 ** min(state.passed_over, 20)

    @staticmethod
    def _stalled(probation: Probation, fact: Fact, ruling: Ruling) -> RolloutStalled:
        waited = fact.at - (probation.stepped or probation.since)
        reason = f"{probation.stage}, no step for {write_duration(waited)}: {ruling.reason}"
        return RolloutStalled(
            model=fact.model, at=fact.at, version=probation.challenger[0], evidence=ruling.evidence, reason=reason
        )

    def _ruling(self, probation: Probation) -> Ruling:
        judges = {Stage.SHADOW: self.shadow, Stage.AB: self.ab}
        return judges.get(probation.stage, self.canary).rule(probation)

    def _switched(self, state: RolloutState, probation: Probation, fact: Fact) -> tuple[Fact, ...]:
        """Promote a blue-green challenger that every worker has loaded, unless something holds it."""
        if not state.in_force or probation.held or state.frozen or probation.stage is Stage.AB:
            return ()
        reason = "blue-green: every worker has it loaded, and its gates have passed"
        return promote(state, fact, probation.challenger, (), reason)

    def _thawed(self, state: RolloutState, probation: Probation, fact: FreezeEnded) -> tuple[Fact, ...]:
        reason = f"the freeze {fact.window} has ended"
        resumed = (
            RolloutResumed(model=fact.model, at=fact.at, version=each.challenger[0], reason=reason)
            for each in state.arms
        )
        return (*resumed, *(self._switched(state, probation, fact) if self.blue_green else ()))

    def _look(self, state: RolloutState, probation: Probation, fact: RolloutObserved) -> tuple[Fact, ...]:
        ruling = self._ruling(probation)
        if ruling.outcome is Outcome.HARM:
            return back(state, fact, (probation,), f"{probation.stage}: {ruling.reason}", ruling.evidence)
        if ruling.outcome is Outcome.HOLD or probation.held or state.frozen or not state.in_force:
            return (self._stalled(probation, fact, ruling),) if self._stalls(state, probation, fact.at) else ()
        if probation.stage is Stage.AB:
            probation, ruling = self._best(state)
        following = [step for step in self.steps if step > probation.share and probation.stage is not Stage.AB]
        if following:
            return (shift(state, fact, Stage.CANARY, following[0], probation.challenger),)
        return promote(state, fact, probation.challenger, ruling.evidence, f"{probation.stage}: {ruling.reason}")

    def _best(self, state: RolloutState) -> tuple[Probation, Ruling]:
        """Return the arm with the least loss among those that are shown to be better than the champion."""
        ruled = [(each, self._ruling(each)) for each in state.arms]
        shown = [(each, ruling) for each, ruling in ruled if ruling.outcome is Outcome.ADVANCE]
        return min(shown, key=lambda pair: _excess(pair[0]))


def _frozen(probation: Probation, fact: FreezeBegan) -> RolloutHeld:
    reason = (
        f"freeze {fact.window}, until {fact.until:%Y-%m-%d %H:%M} UTC: no step and no promotion; harm is taken back"
    )
    return RolloutHeld(model=fact.model, at=fact.at, version=probation.challenger[0], reason=reason)


def _excess(probation: Probation) -> float:
    ours, theirs = probation.challenger_loss, probation.champion_loss
    return ((ours.mean if ours else None) or 0.0) - ((theirs.mean if theirs else None) or 0.0)


def _given_way(state: RolloutState, fact: RolloutApproved) -> tuple[Fact, ...]:
    if state.probation is None:
        return ()
    since = state.probation.stepped or state.probation.since
    reason = f"no step since {since}, and a later candidate has passed its gates"
    return give_way(state.arms, fact, fact.version, reason)


def _commanded(state: RolloutState, fact: RollbackCommanded) -> tuple[Fact, ...]:
    reason = f"{fact.by}: {fact.reason}"
    if state.probation:
        return back(state, fact, state.arms, reason, ())
    return to_fallback(state, fact, reason)


def _tripped(state: RolloutState, fact: GuardrailTripped) -> tuple[Fact, ...]:
    """Go back: a limit was broken by the challenger, or by a champion that there is a way back from.

    A champion that fails while a challenger is on probation ends the probation first: there is nothing to compare with.
    It goes back itself when the guardrail is found broken under the routing after that.
    """
    reason = f"guardrail {fact.guardrail}: {fact.reason}"
    arm = state.arm(fact.version)
    if arm is not None:
        return back(state, fact, (arm,), reason, fact.evidence)
    if fact.version != state.champion[0] or state.fallback == NOBODY:
        return ()
    if state.probation:
        ended = f"not to blame: its champion {fact.version} broke {reason}; release it to try it on another"
        return back(state, fact, state.arms, ended, fact.evidence)
    return to_fallback(state, fact, reason, fact.evidence)


def _not_shifted(state: RolloutState, fact: EffectFailed) -> tuple[Fact, ...]:
    """Take back what cannot be published; a champion that was serving all along is published again at the next tick."""
    reason = f"traffic could not be shifted: {fact.reason}: {fact.detail}"
    if state.probation:
        fresh = [each for each in state.arms if each.begun > state.applied]
        return back(state, fact, fresh or state.arms, reason, ())
    return () if state.champion == state.serving else to_fallback(state, fact, reason)


def next_look(probation: Probation) -> tuple[int, datetime]:
    """Return the number of the next look at a probation, and the event time from which it counts."""
    return probation.looks + 1, max(probation.since, probation.looked or probation.since)
