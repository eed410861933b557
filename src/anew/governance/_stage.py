"""Governance: who consents to a retrain and to a rollout, and when nothing may be promoted."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from anew.domain.fact import Fact
from anew.domain.facts import (
    ApprovalAsked,
    ApprovalCounted,
    ApprovalRefused,
    ApprovalSigned,
    CandidateAccepted,
    FreezeBegan,
    FreezeEnded,
    ProjectChanged,
    RejectionSigned,
    RetrainAdmitted,
    RetrainApproved,
    RetrainHeld,
    RetrainRequested,
    RolledBack,
    RolloutApproved,
    RolloutDelayed,
    RolloutRefused,
    Ticked,
    VersionPromoted,
)
from anew.domain.severity import Severity
from anew.governance._state import GovernanceState, Request, Waiting, state_after
from anew.governance.approvals import PROMOTION, Approvals, Reason
from anew.governance.freeze import Freeze, Once

__all__ = ["Governance"]


class _Frozen(NamedTuple):
    """A freeze in force: the wall time at which it ends, and how it stands in the policy."""

    until: datetime
    window: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Governance:
    """Consent by policy: at once where it asks for nobody, else by the signatures of persons and outside of freezes.

    An accepted candidate goes to traffic only if the champion and the project's files are still those that it was
    judged under: what was signed is not what would happen otherwise. Where anything depends on wall time, it is decided
    at a tick; `due` says when one is needed.

    Parameters
    ----------
    by
        In whose name consent is given where no person has to.
    freezes
        When nothing is promoted.
    holds_retrains
        Do requests to retrain wait for the end of a freeze, too?
    sensitive
        Does the project declare sensitive columns?
    shares
        Do requests to retrain wait for their turn at compute that is shared with other models?
    """

    by: str = "policy"
    approvals: Approvals = Approvals()
    freezes: tuple[Freeze | Once, ...] = ()
    holds_retrains: bool = False
    sensitive: bool = False
    shares: bool = False

    def initial(self) -> GovernanceState:
        """Return the state before any fact."""
        return GovernanceState()

    def apply(self, state: GovernanceState, fact: Fact) -> GovernanceState:
        """Fold a fact."""
        return state_after(state, fact)

    def due(self, state: GovernanceState, wall: datetime) -> bool:
        """Would a tick at `wall` change anything?"""
        waiting = state.waiting
        if self._frozen(wall) != _in_force(state) or self._left(state) is not None:
            return True
        if waiting is None:
            return False
        if waiting.asked is None:
            return not waiting.delayed
        return wall >= waiting.asked.expires and len(waiting.signed) < waiting.asked.needed

    def decide(self, state: GovernanceState, fact: Fact) -> tuple[Fact, ...]:
        """Answer requests, accepted candidates and signatures; at a tick what has waited for it."""
        match fact:
            case RetrainRequested() if self.shares:
                return ()  # its turn is decided where all models are seen
            case RetrainRequested():
                return (self._consent_to_retrain(state, fact, state.request),)
            case RetrainAdmitted() if state.unanswered is not None and state.unanswered.id == fact.request:
                return (self._consent_to_retrain(state, fact, state.unanswered),)
            case CandidateAccepted() if state.waiting is not None:
                return self._accepted(state, state.waiting, fact)
            case ProjectChanged() | VersionPromoted() | RolledBack() if state.waiting is not None:
                changed = state.waiting.ground.changed(state.ground)
                return (self._refused(state.waiting, fact, _since(changed)),) if changed else ()
            case ApprovalSigned() if fact.gate == PROMOTION:
                return self._signed(state, fact)
            case RejectionSigned():
                return self._rejected(state, fact)
            case Ticked():
                return self._ticked(state, fact)
        return ()

    def _frozen(self, wall: datetime) -> _Frozen | None:
        """Return the freeze in force that ends last."""
        return max(
            (_Frozen(until, each.name) for each in self.freezes if (until := each.until(wall)) is not None),
            default=None,
        )

    def _consent_to_retrain(self, state: GovernanceState, fact: Fact, request: Request) -> Fact:
        frozen = _in_force(state)
        if frozen is not None and self.holds_retrains:
            return RetrainHeld(model=fact.model, at=fact.at, by=self.by, reason=_frozen_by(frozen), until=frozen.until)
        return self._released(state, request, fact)

    def _left(self, state: GovernanceState) -> Request | None:
        """Return a request that waits for a turn that nobody gives any more: compute is not shared now."""
        waits = state.held is not None and state.frozen is not None
        return None if self.shares or waits else state.unanswered

    def _accepted(self, state: GovernanceState, waiting: Waiting, fact: CandidateAccepted) -> tuple[Fact, ...]:
        passed_over = () if state.passed_over is None else (self._refused(state.passed_over, fact, _newer(fact)),)
        changed = waiting.ground.changed(state.ground)
        if changed:
            return (*passed_over, self._refused(waiting, fact, _since(changed)))
        if self._needed(waiting)[0] or self.freezes:
            return passed_over  # the next tick brings the wall time that this depends on
        return (*passed_over, self._approved(waiting, fact, self.by))

    def _needed(self, waiting: Waiting) -> tuple[int, tuple[str, ...]]:
        candidate = waiting.candidate
        return self.approvals.needed(
            Reason(
                high_severity=candidate.request.severity >= Severity.HIGH,
                sensitive_data=self.sensitive,
                advisory=bool(candidate.advised),
                overridden=bool(candidate.overridden),
            )
        )

    def _ticked(self, state: GovernanceState, fact: Ticked) -> tuple[Fact, ...]:
        frozen, decided = self._frozen(fact.wall), list[Fact]()
        if frozen is not None and frozen != _in_force(state):
            decided.append(FreezeBegan(model=fact.model, at=fact.at, window=frozen.window, until=frozen.until))
        if frozen is None and state.frozen is not None:
            decided.append(FreezeEnded(model=fact.model, at=fact.at, window=state.frozen.window))
        if frozen is None and state.held is not None and not self.shares:
            decided.append(self._released(state, state.held, fact))
        elif (left := self._left(state)) is not None:
            decided.append(self._consent_to_retrain(state, fact, left))
        if state.waiting is not None:
            decided += self._advanced(state.waiting, fact, frozen)
        return tuple(decided)

    def _released(self, state: GovernanceState, request: Request, fact: Fact) -> RetrainApproved:
        """Consent as of now, so that what came while it waited is learned from; to a first champion as of its request.

        That is of the end of the history that there is, which may lie long before the present.
        """
        as_asked = fact.at if state.ground.champion or request.at is None else min(request.at, fact.at)
        return RetrainApproved(
            model=fact.model,
            at=as_asked,
            by=self.by,
            corrected=request.corrected,
            revive=request.revive,
            request="" if fact.id == request.id else request.id,
        )

    def _advanced(self, waiting: Waiting, fact: Ticked, frozen: _Frozen | None) -> Sequence[Fact]:
        """Ask persons, let go, let it wait for the end of a freeze, or give up on signatures that did not come."""
        if waiting.asked is None:
            needed, why = self._needed(waiting)
            if needed:
                return (self._asked(waiting, fact, needed, why),)
        elif len(waiting.signed) < waiting.asked.needed:
            if fact.wall < waiting.asked.expires:
                return ()
            said = (
                f"{len(waiting.signed)} of {waiting.asked.needed} approvals came before {_time(waiting.asked.expires)}"
            )
            return (self._refused(waiting, fact, f"{said}, when they expired; ask for a retrain"),)
        return self._complete(waiting, fact, frozen)

    def _complete(self, waiting: Waiting, fact: Fact, frozen: _Frozen | None) -> Sequence[Fact]:
        """Let a candidate go that has all the consent it needs, or have it wait for the end of a freeze."""
        if frozen is None:
            return (self._approved(waiting, fact, ", ".join(waiting.signed) or self.by),)
        if waiting.delayed:
            return ()
        return (
            RolloutDelayed(
                model=fact.model,
                at=fact.at,
                version=waiting.accepted.version,
                digest=waiting.accepted.digest,
                reason=_frozen_by(frozen),
                until=frozen.until,
            ),
        )

    def _asked(self, waiting: Waiting, fact: Ticked, needed: int, why: tuple[str, ...]) -> ApprovalAsked:
        requester, barred = waiting.candidate.request.requester, set[str]()
        if self.approvals.four_eyes:
            barred = {requester, *waiting.candidate.overridden} - {""}
        return ApprovalAsked(
            model=fact.model,
            at=fact.at,
            version=waiting.accepted.version,
            champion=waiting.accepted.champion,
            digest=waiting.accepted.digest,
            needed=needed,
            why=why,
            requester=requester,
            barred=tuple(sorted(barred)),
            expires=fact.wall + self.approvals.expires,
        )

    def _signed(self, state: GovernanceState, fact: ApprovalSigned) -> tuple[Fact, ...]:
        waiting = state.waits(fact.version, fact.digest)
        objection = self._objection(state, fact)
        if objection or waiting is None or waiting.asked is None:
            return (_not_counted(fact, objection),)
        signed = (*waiting.signed, fact.by)
        counted = ApprovalCounted(
            model=fact.model,
            at=fact.at,
            version=fact.version,
            digest=fact.digest,
            by=fact.by,
            given=len(signed),
            needed=waiting.asked.needed,
        )
        if len(signed) < waiting.asked.needed:
            return (counted,)
        return (counted, *self._complete(replace(waiting, signed=signed), fact, _in_force(state)))

    def _objection(self, state: GovernanceState, fact: ApprovalSigned | RejectionSigned) -> str:
        """Say why a signature comes to nothing; empty when it counts."""
        waiting = state.waits(fact.version, fact.digest)
        if waiting is None or waiting.asked is None:
            now = state.waiting.accepted.version if state.waiting is not None and state.waiting.asked else "none"
            return f"{fact.version} with the digest {fact.digest[:12]} waits for no approval; what waits: {now}"
        if isinstance(fact, RejectionSigned):
            return self.approvals.objection(fact.by, (), ())
        if len(waiting.signed) >= waiting.asked.needed:
            return f"all {waiting.asked.needed} approvals are there already"
        return self.approvals.objection(fact.by, waiting.signed, waiting.asked.barred)

    def _rejected(self, state: GovernanceState, fact: RejectionSigned) -> tuple[Fact, ...]:
        objection, waiting = self._objection(state, fact), state.waiting
        if objection or waiting is None:
            return (_not_counted(fact, objection),)
        return (self._refused(waiting, fact, f"{fact.by} said no: {fact.reason}", by=fact.by),)

    def _approved(self, waiting: Waiting, fact: Fact, by: str) -> RolloutApproved:
        accepted = waiting.accepted
        return RolloutApproved(
            model=fact.model,
            at=fact.at,
            version=accepted.version,
            champion=accepted.champion,
            digest=accepted.digest,
            by=by,
        )

    def _refused(self, waiting: Waiting, fact: Fact, reason: str, by: str = "") -> RolloutRefused:
        """Refuse it in the name of a person, of the policy where there is none."""
        version, digest = waiting.accepted.version, waiting.accepted.digest
        return RolloutRefused(
            model=fact.model, at=fact.at, version=version, digest=digest, by=by or self.by, reason=reason
        )


def _not_counted(fact: ApprovalSigned | RejectionSigned, reason: str) -> ApprovalRefused:
    return ApprovalRefused(
        model=fact.model, at=fact.at, version=fact.version, digest=fact.digest, by=fact.by, reason=reason
    )


def _in_force(state: GovernanceState) -> _Frozen | None:
    """Return the freeze on record; a tick brings it there before anything that a person asks is taken."""
    return None if state.frozen is None else _Frozen(state.frozen.until, state.frozen.window)


def _since(changed: str) -> str:
    return f"since its gates were asked, {changed}; ask for a retrain"


def _newer(fact: CandidateAccepted) -> str:
    return f"{fact.version} was accepted while this one was waiting"


def _frozen_by(freeze: _Frozen) -> str:
    return f"freeze {freeze.window}, until {_time(freeze.until)}"


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
