"""What waits for a person, with what would change, and what persons have said so far."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from anew.dashboard.asking import Asking
from anew.dashboard.part import Gate, Said, champions_own, gates_of, sentences
from anew.dashboard.record import Record
from anew.domain.fact import Fact
from anew.domain.facts import CandidateTrained, GateJudged, SnapshotTaken, TrainingPlanned
from anew.domain.verdict import Verdict
from anew.registry import Standing

__all__ = ["ApprovalsPage", "Asked", "Change", "Promotion", "approvals_page"]

_SAID = (
    "ApprovalSigned", "OverrideSigned", "RejectionSigned", "ApprovalRefused", "RolloutApproved", "RolloutRefused",
    "QuarantineReleased",
)  # fmt: skip
_MOST = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A gate that waits for a signature: ``approve`` where it asks, ``override`` where it stands in the way."""

    gate: str
    how: str
    verdict: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """An accepted candidate that persons have to let go on; `barred` may not sign."""

    needed: int
    signed: tuple[str, ...]
    why: tuple[str, ...]
    barred: tuple[str, ...]
    expires: datetime | None
    delayed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One line of the difference between who serves and who would."""

    what: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalsPage:
    """All of it; `version` is empty while nothing waits."""

    version: str
    digest: str
    champion: str
    promotion: Promotion | None
    asked: tuple[Asked, ...]
    changes: tuple[Change, ...]
    gates: tuple[Gate, ...]
    frozen: str
    said: tuple[Said, ...]


def approvals_page(asking: Asking) -> ApprovalsPage:
    """Make the page."""
    record, narrate = asking.record, asking.source.narrate
    version, promotion = _waiting(record)
    about = record.about(version)
    trained = next((each for each in about if isinstance(each, CandidateTrained)), None)
    champion = record.champion.version if record.champion else ""
    frozen = record.governance.frozen
    said = sorted(record.of_kind(*_SAID, most=_MOST), key=lambda each: each.at)[-_MOST:]
    return ApprovalsPage(
        version=version,
        digest=trained.digest if trained else "",
        champion=champion,
        promotion=promotion,
        asked=() if promotion else _asked(about),
        changes=_changes(record, champion, version) if version else (),
        gates=gates_of(about),
        frozen=f"{frozen.window}, until {frozen.until:%d %b %Y, %H:%M} UTC" if frozen else "",
        said=sentences(reversed(said), narrate),
    )


def _waiting(record: Record) -> tuple[str, Promotion | None]:
    """Return the version that a person may let through, and what its promotion needs; gates wait before that."""
    waiting = record.governance.waiting
    if waiting is not None and waiting.asked is not None:
        asked = waiting.asked
        return asked.version, Promotion(
            needed=asked.needed,
            signed=waiting.signed,
            why=asked.why,
            barred=asked.barred,
            expires=asked.expires,
            delayed=waiting.delayed,
        )
    trained = record.last("CandidateTrained")
    newest = record.version(trained.version) if isinstance(trained, CandidateTrained) else None
    if newest is None or newest.standing not in (Standing.HELD, Standing.REFUSED):
        return "", None
    return newest.version, None


def _asked(about: Sequence[Fact]) -> tuple[Asked, ...]:
    last = {each.gate: each for each in about if isinstance(each, GateJudged)}
    signed = {getattr(each, "gate", "") for each in about if each.kind in ("ApprovalSigned", "OverrideSigned")}
    return tuple(
        Asked(gate=each.gate, how="approve" if each.ask else "override", verdict=each.verdict.name, reason=each.reason)
        for each in last.values()
        if each.verdict is not Verdict.PASS and each.required and each.gate not in signed
    )


def _changes(record: Record, champion: str, version: str) -> tuple[Change, ...]:
    about = record.about(version)
    old, new = _facets(record.about(champion)), _facets(about)
    made = [
        Change(what=name, before=old.get(name, "nothing"), after=value)
        for name, value in new.items()
        if old.get(name) != value
    ]
    return (*made, *_measured(about))


def _measured(about: Sequence[Fact]) -> Iterator[Change]:
    """Return what gates measured of both on the same rows; a champion's own gates were asked about other rows."""
    for gate in gates_of(about):
        for each in gate.evidence:
            theirs = champions_own(gate.gate, each)
            if each.value is not None and theirs is not None and theirs != each.value:
                what = f"{gate.gate}: {each.subject or each.name}"
                yield Change(what=what, before=f"{theirs:.4g}", after=f"{each.value:.4g}")


def _facets(about: Sequence[Fact]) -> dict[str, str]:
    """Return what a version was made of, by name."""
    found: dict[str, str] = {}
    for fact in about:
        match fact:
            case TrainingPlanned():
                found["settings"], found["pipeline"] = fact.settings[:12], fact.code[:12]
                found["rows from"] = f"{fact.span.start:%d %b %Y}" if fact.span.start.year > 1970 else "the beginning"
                found["rows to"] = f"{fact.span.end:%d %b %Y}"
            case SnapshotTaken():
                found["rows"] = str(fact.rows)
            case CandidateTrained():
                found["artifact"] = fact.digest[:12]
    return found
