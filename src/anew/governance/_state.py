"""What governance remembers: the ground that verdicts rest on, what waits for persons, the freeze in force."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import TypeVar

from anew.domain.fact import Fact
from anew.domain.facts import (
    ApprovalAsked,
    ApprovalCounted,
    CandidateAccepted,
    CandidateHeld,
    CandidateRefused,
    FreezeBegan,
    FreezeEnded,
    GateJudged,
    OverrideSigned,
    ProjectChanged,
    RetrainApproved,
    RetrainCommanded,
    RetrainHeld,
    RetrainQueued,
    RetrainRefused,
    RetrainRequested,
    RolledBack,
    RolloutApproved,
    RolloutDelayed,
    RolloutRefused,
    TrainingPlanned,
    VersionPromoted,
)
from anew.domain.severity import Severity
from anew.domain.verdict import Verdict

__all__ = ["Candidate", "GovernanceState", "Ground", "Request", "Waiting", "state_after"]

T = TypeVar("T")

_KEPT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What a verdict rests on besides the candidate: the champion, and the project's files."""

    champion: str = ""
    settings: str = ""
    code: str = ""

    def changed(self, now: "Ground") -> str:
        """Say in what `now` differs; empty when it does not."""
        if self.champion != now.champion:
            return f"the champion was {self.champion or 'nobody'} and is {now.champion or 'nobody'} now"
        named = {"anew.yaml": self.settings != now.settings, "the pipeline": self.code != now.code}
        return " and ".join(f"{name} has changed" for name, differs in named.items() if differs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The last request to retrain: its fact's id, of when it is, who asked (empty: nobody), and how severe it was."""

    id: str = ""
    at: datetime | None = None
    requester: str = ""
    severity: Severity = Severity.LOW
    corrected: bool = False
    revive: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A candidate: who asked for it, which advice it did not follow, and who overrode a gate of it."""

    version: str = ""
    request: Request = Request()
    advised: frozenset[str] = frozenset()
    overridden: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An accepted candidate that has not been answered: what was asked of whom, who signed, does a freeze delay it?"""

    accepted: CandidateAccepted
    candidate: Candidate
    ground: Ground
    asked: ApprovalAsked | None = None
    signed: tuple[str, ...] = ()
    delayed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GovernanceState:
    """How things stand.

    Attributes
    ----------
    stopped
        How they stood when a candidate was stopped that a person may still let through: that is the newest, of which
        some are kept with those before it.
    commanded
        Id of the last command to retrain, and who gave it.
    passed_over
        What was waiting when the last candidate was accepted.
    held
        A request that waits for the end of a freeze.
    frozen
        The freeze in force.
    unanswered
        The request that has not been consented to; where compute is shared it waits for its turn.
    queued
        Why it waits for shared compute, and since when.
    """

    ground: Ground = Ground()
    stopped: Mapping[str, Ground] = field(default_factory=lambda: MappingProxyType({}))
    commanded: tuple[str, str] = ("", "")
    request: Request = Request()
    candidates: Mapping[str, Candidate] = field(default_factory=lambda: MappingProxyType({}))
    waiting: Waiting | None = None
    passed_over: Waiting | None = None
    held: Request | None = None
    frozen: FreezeBegan | None = None
    unanswered: Request | None = None
    queued: RetrainQueued | None = None

    def waits(self, version: str, digest: str) -> Waiting | None:
        """Return what waits under exactly this name and digest."""
        found = self.waiting
        if found is None or (found.accepted.version, found.accepted.digest) != (version, digest):
            return None
        return found


def state_after(state: GovernanceState, fact: Fact) -> GovernanceState:
    """Fold a fact; knows no threshold."""
    match fact:
        case FreezeBegan():
            return replace(state, frozen=fact)
        case FreezeEnded():
            waiting = None if state.waiting is None else replace(state.waiting, delayed=False)
            return replace(state, frozen=None, waiting=waiting)
        case ProjectChanged():
            return replace(state, ground=replace(state.ground, settings=fact.settings, code=fact.code))
        case VersionPromoted():
            return replace(state, ground=replace(state.ground, champion=fact.version))
        case RolledBack():
            return replace(state, ground=replace(state.ground, champion=fact.to or state.ground.champion))
        case RetrainCommanded() | RetrainRequested() | TrainingPlanned():
            return _retraining(state, fact)
        case RetrainHeld() | RetrainQueued() | RetrainApproved() | RetrainRefused():
            return _consenting(state, fact)
    return _judging(state, fact)


def _retraining(state: GovernanceState, fact: Fact) -> GovernanceState:
    match fact:
        case RetrainCommanded():
            return replace(state, commanded=(fact.id, fact.by))
        case RetrainRequested():
            command, by = state.commanded
            request = Request(
                id=fact.id,
                at=fact.at,
                requester=by if fact.cause == command else "",
                severity=fact.severity,
                corrected=fact.corrected,
                revive=fact.revive,
            )
            return replace(state, request=request, unanswered=request, queued=None)
        case TrainingPlanned():
            return _with(state, Candidate(version=fact.version, request=state.request))
    return state


def _consenting(state: GovernanceState, fact: Fact) -> GovernanceState:
    match fact:
        case RetrainHeld():
            return replace(state, held=state.request)
        case RetrainQueued():
            return replace(state, queued=fact)
        case RetrainApproved() | RetrainRefused():
            return replace(state, held=None, unanswered=None, queued=None)
    return state


def _with(state: GovernanceState, candidate: Candidate) -> GovernanceState:
    """Return the state with a candidate, and with as many before it as may still be let through by a person."""
    return replace(state, candidates=_newest(state.candidates, candidate.version, candidate))


def _newest(kept: Mapping[str, T], version: str, value: T) -> Mapping[str, T]:
    return MappingProxyType(dict(list({**kept, version: value}.items())[-_KEPT:]))


def _of(state: GovernanceState, version: str) -> Candidate:
    """Return a candidate; one that is forgotten has all against it, so that it needs the most consent."""
    forgotten = Candidate(
        version=version,
        request=Request(severity=Severity.HIGH),
        advised=frozenset({"unknown"}),
        overridden=frozenset({"unknown"}),
    )
    return state.candidates.get(version, forgotten)


def _judging(state: GovernanceState, fact: Fact) -> GovernanceState:
    match fact:
        case GateJudged() if not fact.required and fact.verdict is not Verdict.PASS:
            candidate = _of(state, fact.version)
            return _with(state, replace(candidate, advised=candidate.advised | {fact.gate}))
        case OverrideSigned():
            candidate = _of(state, fact.version)
            return _with(state, replace(candidate, overridden=candidate.overridden | {fact.by}))
        case CandidateHeld() | CandidateRefused() if fact.version not in state.stopped:
            return replace(state, stopped=_newest(state.stopped, fact.version, state.ground))
        case CandidateAccepted():
            ground = state.stopped.get(fact.version, state.ground)
            waiting = Waiting(accepted=fact, candidate=_of(state, fact.version), ground=ground)
            return replace(state, waiting=waiting, passed_over=state.waiting)
        case ApprovalAsked() | ApprovalCounted() | RolloutDelayed() | RolloutApproved() | RolloutRefused():
            found = state.waits(fact.version, fact.digest)
            return state if found is None else replace(state, waiting=_answered(found, fact))
    return state


def _answered(waiting: Waiting, fact: Fact) -> Waiting | None:
    match fact:
        case ApprovalAsked():
            return replace(waiting, asked=fact)
        case ApprovalCounted():
            return replace(waiting, signed=(*waiting.signed, fact.by))
        case RolloutDelayed():
            return replace(waiting, delayed=True)
    return None
