"""What the rollout remembers: who serves, who is on probation, what was seen of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from anew.domain.evidence import Counts
from anew.domain.fact import Fact
from anew.domain.facts import (
    Arm,
    CandidateTrained,
    EffectFailed,
    FreezeBegan,
    FreezeEnded,
    Order,
    ProjectChanged,
    QuarantineReleased,
    RolledBack,
    RolloutObserved,
    RolloutStalled,
    RolloutStarted,
    RolloutSuperseded,
    Stage,
    TrafficApplied,
    TrafficOrdered,
    TrafficShifted,
    VersionPromoted,
)
from anew.domain.persistent_map import PersistentMap
from anew.rollout._quarantine import Quarantine

__all__ = ["Probation", "RolloutState", "state_after"]

Served = tuple[str, str]
"""A version and its digest; two empty strings for none."""

NOBODY: Served = ("", "")

WATCHED = timedelta(days=1)
"""Event time for which a champion counts as a new one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probation:
    """A challenger under way and what mature labels have said of it.

    Attributes
    ----------
    paired_down, paired_up
        All paired evidence since its start, in shadow and canary; see RolloutObserved.
    champion_loss, challenger_loss
        Losses of both arms since its present step began.
    paired_of, arms_of
        What these are losses of; when the policy comes to mean something else, they begin anew.
    looked
        End of the event time that was looked at.
    progress
        Event time of the last step or label, for the expiry.
    stepped
        Event time of the last step.
    stalled
        Was it found to be going nowhere, and has it taken no step since?
    held
        Did a person stop its steps?
    low
        Where the keys that it answers begin; see `Arm`.
    begun
        Epoch under which its present step began.
    compute_s
        CPU seconds that its own processes have taken, as far as looks told.
    """

    challenger: Served
    stage: Stage
    share: float
    since: datetime
    progress: datetime
    stepped: datetime | None = None
    stalled: bool = False
    held: bool = False
    looks: int = 0
    looked: datetime | None = None
    paired_down: Counts | None = None
    paired_up: Counts | None = None
    champion_loss: Counts | None = None
    challenger_loss: Counts | None = None
    paired_of: str = ""
    arms_of: str = ""
    low: float = 0.0
    begun: int = 0
    compute_s: float = 0.0

    @property
    def arm(self) -> Arm:
        """The challenger and its keys."""
        return Arm(version=self.challenger[0], digest=self.challenger[1], low=self.low, share=self.share)


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutState:
    """Where traffic stands.

    Attributes
    ----------
    quarantined
        Versions and digests that were rolled back and not released.
    shifts
        Id of the last TrafficShifted whose publication was asked for.
    failed
        Did that publication fail, and nothing take its place yet?
    serving
        The champion of the last routing that came into force.
    digests
        Of every version that was trained.
    passed_over
        Challengers in a row that gave way to a later candidate, since one came to a decision.
    settings
        Digest of the policy in force.
    frozen
        Does a freeze of the policy keep every challenger where it is?
    promoted
        Event time of the champion's promotion; None of one that was gone back to.
    rivals
        The further arms of a trial, by place; `probation` is the first.
    trial
        Name of the trial under way, or of the last: the version that was its first arm.
    joined
        Arms that have joined it, those that are gone included.
    taken
        Where the keys end that it has given to arms: what one leaves goes to the champion, never to another arm.
    """

    champion: Served = NOBODY
    fallback: Served = NOBODY
    probation: Probation | None = None
    rivals: tuple[Probation, ...] = ()
    trial: str = ""
    joined: int = 0
    taken: float = 0.0
    epoch: int = 0
    applied: int = 0
    shifts: str = ""
    failed: bool = False
    serving: Served = NOBODY
    quarantined: Quarantine = field(default_factory=Quarantine)
    digests: PersistentMap[str, str] = field(default_factory=PersistentMap)
    passed_over: int = 0
    settings: str = ""
    frozen: bool = False
    promoted: datetime | None = None

    @property
    def in_force(self) -> bool:
        """Do the gateways answer by the last routing that was asked for?"""
        return self.applied == self.epoch

    @property
    def arms(self) -> tuple[Probation, ...]:
        """Every challenger on probation: one, or the arms of a trial."""
        return () if self.probation is None else (self.probation, *self.rivals)

    def arm(self, version: str) -> Probation | None:
        """Return the probation of a challenger, None when it is not on probation."""
        return next((each for each in self.arms if each.challenger[0] == version), None)

    def newcomer(self, at: datetime) -> str:
        """Return the champion while it is a new one at `at`, and there is one to go back to; else an empty text."""
        new = self.promoted is not None and at - self.promoted < WATCHED
        return self.champion[0] if new and self.fallback[0] else ""

    def with_arms(self, arms: Sequence[Probation]) -> "RolloutState":
        """Return the state with these on probation alone."""
        return replace(self, probation=arms[0] if arms else None, rivals=tuple(arms[1:]))

    def with_arm(self, changed: Probation) -> "RolloutState":
        """Return the state with one of them changed."""
        return self.with_arms([changed if each.challenger == changed.challenger else each for each in self.arms])

    def digest(self, version: str) -> str:
        """Return the digest of a version that was trained, empty when unknown."""
        return self.digests.get(version, "")


def state_after(state: RolloutState, fact: Fact) -> RolloutState:
    """Fold a fact; knows no threshold."""
    match fact:
        case CandidateTrained():
            return replace(state, digests=state.digests.having(fact.version, fact.digest))
        case RolloutStarted():
            return _started(state, fact)
        case TrafficShifted():
            return _shifted(state, fact)
        case TrafficApplied():
            return _applied(state, fact)
        case EffectFailed() if fact.cause == state.shifts:
            return replace(state, failed=True)
        case RolloutObserved() if arm := state.arm(fact.version):
            return state.with_arm(_observed(arm, fact, in_force=state.applied >= arm.begun))
        case TrafficOrdered():
            return _ordered(state, fact)
        case RolloutStalled() if arm := state.arm(fact.version):
            return state.with_arm(replace(arm, stalled=True))
        case RolloutSuperseded() if arm := state.arm(fact.version):
            left = _without(state, arm)
            return left if left.arms else replace(left, passed_over=state.passed_over + 1)
        case VersionPromoted():
            return _promoted(state, fact)
        case RolledBack():
            return _rolled_back(state, fact)
        case ProjectChanged():
            return replace(state, settings=fact.settings)
        case FreezeBegan() | FreezeEnded():
            return replace(state, frozen=isinstance(fact, FreezeBegan))
        case QuarantineReleased():
            return replace(state, quarantined=state.quarantined.without(fact.version))
    return state


def _started(state: RolloutState, fact: RolloutStarted) -> RolloutState:
    probation = Probation(
        challenger=(fact.version, fact.digest), stage=Stage.SHADOW, share=0.0, since=fact.at, progress=fact.at
    )
    joins = bool(state.arms)
    return replace(
        state.with_arms((*state.arms, probation)),
        trial=state.trial if joins else fact.version,
        joined=state.joined + 1 if joins else 1,
        taken=state.taken if joins else 0.0,
    )


def _without(state: RolloutState, arm: Probation) -> RolloutState:
    return state.with_arms([each for each in state.arms if each.challenger != arm.challenger])


def _shifted(state: RolloutState, fact: TrafficShifted) -> RolloutState:
    state = replace(state, epoch=fact.epoch, shifts=fact.id, failed=False, fallback=fact.fallback)
    return _in_step(state, fact)


def _in_step(state: RolloutState, fact: TrafficShifted | TrafficOrdered) -> RolloutState:
    """Take those on probation to the steps of a routing; one that is published again changes nothing."""
    for arm in fact.challengers:
        probation = state.arm(arm.version)
        if probation is None or probation.challenger != arm.pair:
            continue
        same = (fact.stage, arm.low, arm.share) == (probation.stage, probation.low, probation.share)
        if probation.stepped is None or not same:
            state = state.with_arm(_stepped(probation, fact, arm))
        state = replace(state, taken=max(state.taken, arm.low + arm.share))
    return state


def _stepped(probation: Probation, fact: TrafficShifted | TrafficOrdered, arm: Arm) -> Probation:
    return replace(
        probation,
        stage=fact.stage,
        share=arm.share,
        low=arm.low,
        begun=fact.epoch,
        progress=fact.at,
        stepped=fact.at,
        stalled=False,
        looks=0,
        champion_loss=None,
        challenger_loss=None,
    )


def _ordered(state: RolloutState, fact: TrafficOrdered) -> RolloutState:
    """Take over the epoch, above which everything is published from now on, and what holds the steps."""
    state = replace(state, epoch=max(state.epoch, fact.epoch), shifts=fact.id, failed=False)
    if not {arm.pair for arm in fact.challengers} & {each.challenger for each in state.arms}:
        return state
    held = {Order.HOLD: True, Order.RESUME: False}.get(fact.action)
    if held is not None:
        state = state.with_arms([replace(each, held=held) for each in state.arms])
    return _in_step(state, fact)  # the gateways may never have taken the last step


def _promoted(state: RolloutState, fact: VersionPromoted) -> RolloutState:
    previous = state.champion if state.champion[0] == fact.previous else NOBODY
    return replace(
        state,
        champion=(fact.version, fact.digest),
        fallback=previous,
        probation=None,
        rivals=(),
        passed_over=0,
        promoted=fact.at,
    )


def _applied(state: RolloutState, fact: TrafficApplied) -> RolloutState:
    applied = replace(state, applied=max(state.applied, fact.epoch))
    return replace(applied, serving=state.champion) if fact.epoch == state.epoch else applied


def _observed(probation: Probation, fact: RolloutObserved, *, in_force: bool) -> Probation:
    if probation.looked is not None and fact.span.start < probation.looked:
        return probation  # looks may not overlap: it would count requests twice

    def added(before: Counts | None, new: Counts, *, alike: bool) -> Counts:
        return new if before is None or not alike else before + new

    paired, arms = fact.paired_of == probation.paired_of, fact.arms_of == probation.arms_of
    seen = replace(
        probation,
        looks=fact.look,
        looked=fact.span.end,
        compute_s=probation.compute_s + fact.compute_s,
        progress=fact.at if fact.paired_down.n or fact.challenger_loss.n else probation.progress,
        paired_of=fact.paired_of,
        paired_down=added(probation.paired_down, fact.paired_down, alike=paired),
        paired_up=added(probation.paired_up, fact.paired_up, alike=paired),
    )
    if not (in_force and fact.stage is probation.stage):  # before, the arms were those of the step before it
        return seen
    return replace(
        seen,
        arms_of=fact.arms_of,
        champion_loss=added(probation.champion_loss, fact.champion_loss, alike=arms),
        challenger_loss=added(probation.challenger_loss, fact.challenger_loss, alike=arms),
    )


def _rolled_back(state: RolloutState, fact: RolledBack) -> RolloutState:
    arm = state.arm(fact.version)
    if arm is not None:
        return replace(
            _without(state, arm),
            passed_over=0,
            quarantined=state.quarantined.having(arm.challenger),
            fallback=NOBODY if state.fallback[1] == arm.challenger[1] else state.fallback,
        )
    if state.champion[0] == fact.version and fact.to:
        to = state.fallback if state.fallback[0] == fact.to else (fact.to, state.digest(fact.to))
        quarantined = state.quarantined.having(state.champion)
        state = replace(state, champion=to, fallback=NOBODY, promoted=None, quarantined=quarantined)
        return replace(state, probation=None, rivals=())
    # Turned away before it got traffic: nothing was seen of its bytes, which may serve by another name.
    return replace(state, quarantined=state.quarantined.having((fact.version, "")))
