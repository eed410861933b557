"""What a person signs: to approve a gate or a promotion, to reject it, to override a gate; and what may be taken."""

import logging
import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from anew.adapters.fact_reader import read_facts
from anew.adapters.signing import Signer, Verifier
from anew.app.access import check_role
from anew.app.command import Answered, command
from anew.app.gates import chosen_gates
from anew.app.model_card import card_problems, card_seal
from anew.app.person import ACCOUNT, PROGRAMS, access_file, person_here, person_of
from anew.app.record_place import record_place
from anew.app.settings import Settings
from anew.domain.access import Permission
from anew.domain.errors import ConflictError, ForbiddenError, IntegrityError, NotFoundError, PolicyError
from anew.domain.fact import Fact
from anew.domain.facts import (
    ApprovalAsked,
    ApprovalSigned,
    CandidateAccepted,
    CandidateTrained,
    GateJudged,
    OverrideSigned,
    RejectionSigned,
    RolloutApproved,
    RolloutRefused,
)
from anew.domain.verdict import Verdict
from anew.governance import PROMOTION

__all__ = ["Consent", "Signed", "admits", "consent", "ready_consent"]

Signed = ApprovalSigned | OverrideSigned | RejectionSigned

_LOG = logging.getLogger("anew.consent")
_CARD = "model_card"
_KINDS = (
    "ApprovalAsked", "ApprovalSigned", "CandidateAccepted", "CandidateTrained", "GateJudged", "RolloutApproved",
    "RolloutRefused",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """The newest candidate, what its gates said, and whether persons were asked to let it go on."""

    trained: CandidateTrained
    verdicts: dict[str, GateJudged]
    accepted: bool
    asked: ApprovalAsked | None
    signed: frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """What may be signed, by whom, for exactly which artifact.

    Attributes
    ----------
    digest
        Of the artifact that is signed for.
    by
        Who signs, by the name on record.
    """

    settings: Settings
    kind: type[Signed]
    version: str
    digest: str
    gate: str
    by: str
    reason: str

    def sign(self) -> Answered:
        """Sign it and return what the loop decided; see `command`."""
        signer = Signer.load(self.settings.state / "keys")

        def make(_: str, __: str, at: datetime) -> Fact:
            fact = self.kind(
                model=self.settings.model,
                at=at,
                version=self.version,
                digest=self.digest,
                gate=self.gate,
                by=self.by,
                reason=self.reason,
                signature="",
            )
            return replace(fact, signature=signer.sign(fact.signed))

        return command(self.settings, make)


def consent(settings: Settings, kind: type[Signed], version: str, gate: str, reason: str, by: str = "") -> Answered:
    """Sign for `gate` of `version`, or for its promotion, and return what the loop decided; see `ready_consent`."""
    return ready_consent(settings, kind, version, gate, reason, by).sign()


def ready_consent(
    settings: Settings, kind: type[Signed], version: str, gate: str, reason: str, by: str = ""
) -> Consent:
    """Return what would be signed for `gate` of `version`, or for its promotion; nothing is.

    `by` is who signs, proved by a token or a session; unless told the person whose account runs this program. Where the
    policy asks for four eyes or for more than one, nobody signs for a promotion of whom it is not known who that is.

    Raises
    ------
    NotFoundError
        There is no such version, or no such gate has judged it.
    ConflictError
        There is nothing to sign: the gate passed or only advises, the version was accepted, nobody was asked about its
        promotion, a newer one took its place, or the same person has signed.
    PolicyError
        The gate is not one that asks: it has to be overridden, or the other way round.
    ForbiddenError
        The person may not approve, or is let in no more; or it is not known who that, or who asked for the retrain, is.
    """
    candidate = _candidate(settings.state, version)
    asked = _asked(candidate, version) if gate == PROMOTION else None
    four_eyes = settings.policy.governance.four_eyes == "required"
    apart = asked is not None and kind is ApprovalSigned and (four_eyes or asked.needed > 1)
    person = _signer(settings, by, known=apart)
    if asked is not None and apart and four_eyes:
        _check_eyes(settings, asked, person)
    if gate != PROMOTION:
        _check(candidate, kind, version, gate)
    signed = {_name(settings.state, name) for signed_for, name in candidate.signed if signed_for == gate}
    if kind is ApprovalSigned and person in signed:
        raise ConflictError(f"{person} has signed for {gate} of {version} already: to sign again changes nothing")
    if gate == _CARD and kind is ApprovalSigned:
        reason = _with_card(settings, reason)
    digest = candidate.trained.digest
    return Consent(settings=settings, kind=kind, version=version, digest=digest, gate=gate, by=person, reason=reason)


def admits(keys: Path) -> Callable[[Fact], bool]:
    """Return whether a command may be taken: what has to be signed was, with the key in the folder `keys`."""
    verifier = Verifier.load(keys)

    def admitted(fact: Fact) -> bool:
        if not isinstance(fact, Signed):
            return True
        try:
            verifier.verify(fact.signed, fact.signature)
        except IntegrityError as exc:
            _LOG.warning(
                "signature refused kind=%s version=%s gate=%s problem=%s", fact.kind, fact.version, fact.gate, exc
            )
            return False
        return True

    return admitted


def _candidate(state: Path, version: str) -> _Candidate:
    trained: dict[str, CandidateTrained] = {}
    verdicts: dict[str, GateJudged] = {}
    accepted, signed = False, set[tuple[str, str]]()
    asked: ApprovalAsked | None = None
    for recorded in read_facts(record_place(state), kinds=frozenset(_KINDS)):
        match recorded.fact:
            case CandidateTrained() as fact:
                trained[fact.version] = fact
            case GateJudged() as fact if fact.version == version:
                verdicts[fact.gate] = fact
            case CandidateAccepted() as fact if fact.version == version:
                accepted = True
            case ApprovalAsked() as fact if fact.version == version:
                asked = fact
            case RolloutApproved() | RolloutRefused() as fact if fact.version == version:
                asked = None
            case ApprovalSigned() as fact if fact.version == version:
                signed.add((fact.gate, fact.by))
    if version not in trained:
        raise NotFoundError(f"there is no candidate {version!r}; known are {', '.join(trained) or 'none yet'}")
    newest = list(trained)[-1]
    if newest != version:
        raise ConflictError(f"{version} is no candidate any more: {newest} was trained after it; sign for that one")
    return _Candidate(
        trained=trained[version], verdicts=verdicts, accepted=accepted, asked=asked, signed=frozenset(signed)
    )


def _with_card(settings: Settings, reason: str) -> str:
    """Return the reason with the seal of the card that is approved with it, which is then signed as well."""
    missing = card_problems(settings.root, chosen_gates(settings).sections or ())
    if missing:
        raise PolicyError(f"the model card is not complete: {'; '.join(missing)}. Write it, or override the gate")
    return f"{reason} (model card {card_seal(settings.root)[:16]})"


def _signer(settings: Settings, by: str, *, known: bool) -> str:
    """Return who signs: proved to be `by`, or who runs this program; who is nobody's only where that may be unknown."""
    name = by or person_here(settings.state)
    found = person_of(settings.state, name)
    if found is None:
        if known:
            raise ForbiddenError(
                f"nobody has said who {name} is, and it has to be known who signs: {_say_who(settings, name)}"
            )
        return name
    check_role(settings, found, Permission.APPROVE)
    return found.name


def _check_eyes(settings: Settings, asked: ApprovalAsked, person: str) -> None:
    """Refuse a signature of somebody who is barred, under whatever name, or may be."""
    for name in set(asked.barred) - PROGRAMS:
        who = person_of(settings.state, name)
        if who is None:
            raise ForbiddenError(
                f"{name} asked for the retrain of {asked.version} or overrode one of its gates, and nobody has said "
                f"who that is: it may be you. {_say_who(settings, name)}"
            )
        if who.name == person != name:
            raise PolicyError(f"{person} is {name}, who asked for the retrain or overrode one of its gates")


def _name(state: Path, name: str) -> str:
    found = person_of(state, name)
    return name if found is None else found.name


def _say_who(settings: Settings, name: str) -> str:
    """Return what to do about a name of which nobody has said whose it is."""
    tokens = [each.id for each in access_file(settings.state).records() if each.name == name]
    which = f"--token {tokens[-1]}" if tokens else f"--account {shlex.quote(name.removeprefix(ACCOUNT))}"
    return (
        f"Have it said once: anew access link PERSON {which}; who is no person here yet: anew access add-user PERSON "
        "--no-password --role approver"
    )


def _asked(candidate: _Candidate, version: str) -> ApprovalAsked:
    if candidate.asked is None:
        raise ConflictError(f"the promotion of {version} waits for nobody; `anew status` shows what does")
    return candidate.asked


def _check(candidate: _Candidate, kind: type[Signed], version: str, gate: str) -> None:
    verdict = candidate.verdicts.get(gate)
    if verdict is None:
        known = ", ".join(sorted(candidate.verdicts)) or "none yet"
        raise NotFoundError(f"no gate {gate!r} has judged {version}; those that have: {known}")
    if candidate.accepted:
        raise ConflictError(f"{version} was accepted already; there is nothing to sign")
    if verdict.verdict is Verdict.PASS or not verdict.required:
        why = "passed" if verdict.verdict is Verdict.PASS else "only advises"
        raise ConflictError(f"gate {gate} {why} on {version}; there is nothing to sign")
    if kind is ApprovalSigned and not verdict.ask:
        raise PolicyError(
            f"gate {gate} is required and asks nobody; to go on all the same: anew override {version} {gate}"
        )
    if kind is OverrideSigned and verdict.ask:
        raise PolicyError(f"gate {gate} asks to be approved, which needs no override: anew approve {version} {gate}")
