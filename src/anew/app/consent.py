"""What a person signs: to approve a gate or a promotion, to reject it, to override a gate; and what may be taken."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from anew.adapters.fact_reader import read_facts
from anew.adapters.signing import Signer, Verifier
from anew.app.asker import who_asks
from anew.app.command import Answered, command
from anew.app.record_place import record_place
from anew.app.settings import Settings
from anew.domain.errors import ConflictError, IntegrityError, NotFoundError, PolicyError
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

__all__ = ["Signed", "admits", "consent"]

Signed = ApprovalSigned | OverrideSigned | RejectionSigned

_LOG = logging.getLogger("anew.consent")
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
    asked: bool
    signed: frozenset[tuple[str, str]]


def consent(settings: Settings, kind: type[Signed], version: str, gate: str, reason: str, by: str = "") -> Answered:
    """Sign for `gate` of `version`, or for its promotion, and return what the loop decided; see `command`.

    `by` is who signs, proved by a token; unless told the user who runs this program.

    Raises
    ------
    NotFoundError
        There is no such version, or no such gate has judged it.
    ConflictError
        There is nothing to sign: the gate passed or only advises, the version was accepted, nobody was asked about its
        promotion, a newer one took its place, or the same person has signed.
    PolicyError
        The gate is not one that asks: it has to be overridden, or the other way round.
    """
    candidate = _candidate(settings.state, version)
    person = by or who_asks()
    if gate == PROMOTION:
        _check_promotion(candidate, version)
    else:
        _check(candidate, kind, version, gate)
    if kind is ApprovalSigned and (gate, person) in candidate.signed:
        raise ConflictError(f"{person} has signed for {gate} of {version} already, and counts once")
    signer = Signer.load_or_create(settings.state / "keys")

    def make(_: str, __: str, at: datetime) -> Fact:
        fact = kind(
            model=settings.model,
            at=at,
            version=version,
            digest=candidate.trained.digest,
            gate=gate,
            by=person,
            reason=reason,
            signature="",
        )
        return replace(fact, signature=signer.sign(fact.signed))

    return command(settings, make)


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
    accepted, asked, signed = False, False, set[tuple[str, str]]()
    for recorded in read_facts(record_place(state), kinds=frozenset(_KINDS)):
        match recorded.fact:
            case CandidateTrained() as fact:
                trained[fact.version] = fact
            case GateJudged() as fact if fact.version == version:
                verdicts[fact.gate] = fact
            case CandidateAccepted() as fact if fact.version == version:
                accepted = True
            case ApprovalAsked() as fact if fact.version == version:
                asked = True
            case RolloutApproved() | RolloutRefused() as fact if fact.version == version:
                asked = False
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


def _check_promotion(candidate: _Candidate, version: str) -> None:
    if not candidate.asked:
        raise ConflictError(f"the promotion of {version} waits for nobody; `anew status` shows what does")


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
