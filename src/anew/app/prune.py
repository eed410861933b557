"""Which artifacts may go: never one that serves, that is to serve, or that may have to serve again."""

import uuid
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from anew.adapters.fact_reader import read_facts
from anew.adapters.sql_eventlog import SQLEventLog
from anew.adapters.sql_inbox import SQLInbox
from anew.adapters.system_clock import SystemClock
from anew.app.accepted import accepted
from anew.app.command import latest_time
from anew.app.kept import kept_artifacts
from anew.app.person import person_here
from anew.app.record import open_record
from anew.app.record_place import record_place
from anew.app.routed import routed
from anew.app.status import state_folder
from anew.domain.errors import PolicyError
from anew.domain.facts import CandidateTrained, SpanFitted, VersionArchived, VersionPromoted
from anew.registry import DONE, Registry, RegistryState, Standing

__all__ = ["Pruned", "prune"]

_KEPT = 3
_REASON = "pruned to make room"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """Versions whose artifacts were deleted, and those that are pinned."""

    deleted: Sequence[str]
    pinned: Sequence[str]


def prune(project: Path, *, keep: int = _KEPT, version: str = "", dry_run: bool = False) -> Pruned:
    """Delete the artifacts of versions that are done with; of `version` alone, when it is given.

    With `dry_run` nothing is deleted, and what would be is returned.

    Pinned are whoever the routing names (champion, challenger, fallback), the last `keep` champions, the first one,
    which gates may ask as an anchor, every candidate that is still on its way, and the last two models that are
    compared to choose a span. A model that was fitted beside a version for that goes by the name "VERSION beside".
    Where the version is made of both, the other is "VERSION alone", and both are kept as long as it is.

    That a version is archived is posted to the loop before its artifact goes; a loop that is not there takes it later.

    Raises
    ------
    PolicyError
        `version` is pinned, or `keep` is less than 2: there would be nobody to go back to.
    NotFoundError
        The project never served, or has no record.
    """
    if keep < 2:
        raise PolicyError(f"--keep {keep}: keep 2 champions at least, the one that serves and the one before it")
    state = state_folder(project)
    recorded, routing = _recorded(state, keep), routed(project)
    digests = recorded.digests
    pinned = recorded.pinned | {version for version, _ in routing.named}
    serving = {digest for _, digest in routing.named} | {digests[each] for each in pinned if each in digests}
    pinned |= {member for each in serving for member in recorded.members.get(each, ())}
    kept = {digests[each] for each in pinned if each in digests}
    kept |= {digest for _, digest in routing.named if digest}
    if version and (version in pinned or digests.get(version, "") in kept):
        raise PolicyError(f"{version} is pinned: it serves, or may have to serve again")
    store = kept_artifacts(state)
    wanted = [version] if version in digests else [] if version else [each for each in digests if each not in pinned]
    # The same bytes may stand under another name, which is kept.
    going = [each for each in wanted if digests[each] not in kept and store.has(digests[each])]
    if not dry_run:
        _archive(project, {each: digests[each] for each in going}, recorded.versions)
        for each in going:
            store.forget(digests[each], pinned=kept)
    return Pruned(deleted=tuple(going), pinned=tuple(sorted(pinned)))


def _archive(project: Path, going: Mapping[str, str], versions: RegistryState) -> None:
    """Post that each of these versions that the record knows is archived."""
    settings, clock = accepted(project), SystemClock()
    by = person_here(settings.state)
    with closing(open_record(settings.state)) as database:
        inbox = SQLInbox(database, clock=clock)
        at = latest_time(SQLEventLog(database, clock=clock)) or clock.now()
        for name, digest in going.items():
            known = versions.versions.get(name)
            if known is not None and known.standing is not Standing.ARCHIVED:
                fact = VersionArchived(
                    model=settings.model,
                    at=at,
                    command=uuid.uuid4().hex,
                    version=name,
                    digest=digest,
                    by=by,
                    reason=_REASON,
                )
                inbox.post(fact.caused_by(""))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recorded:
    """What the record says: the versions, the digest of each model by its name, and the names that it pins.

    `members` has for the digest of each version that is made of two models the names of both: one that was brought back
    is made of them under a new name.
    """

    versions: RegistryState
    digests: Mapping[str, str]
    pinned: frozenset[str]
    members: Mapping[str, tuple[str, str]]


def _recorded(state: Path, keep: int) -> _Recorded:
    registry = Registry()
    versions = registry.initial()
    digests: dict[str, str] = {}
    members: dict[str, tuple[str, str]] = {}
    champions: list[str] = []
    compared: set[str] = set()
    for each in read_facts(record_place(state)):
        versions = registry.apply(versions, each.fact)
        match each.fact:
            case CandidateTrained():
                version, pair = each.fact.version, each.fact.blend
                digests[version] = each.fact.digest
                if pair is not None:
                    compared = {f"{version} alone", f"{version} beside"}
                    digests |= {f"{version} alone": pair.alone, f"{version} beside": pair.beside}
                    members[each.fact.digest] = (f"{version} alone", f"{version} beside")
            case VersionPromoted():
                champions = [*(name for name in champions if name != each.fact.version), each.fact.version]
            case SpanFitted():
                beside = f"{each.fact.version} beside"
                digests[beside] = each.fact.digest
                compared = {each.fact.version, beside}
    on_their_way = {name for name, record in versions.versions.items() if record.standing not in DONE}
    return _Recorded(
        versions=versions,
        digests=digests,
        pinned=frozenset(on_their_way | compared | {*champions[-keep:], *versions.served[:1]}),
        members=members,
    )
