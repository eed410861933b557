"""Which artifacts may go: never one that serves, that is to serve, or that may have to serve again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from anew.adapters.fact_reader import read_facts
from anew.app.kept import kept_artifacts
from anew.app.order import routed
from anew.app.record_place import record_place
from anew.app.status import state_folder
from anew.domain.errors import PolicyError
from anew.domain.facts import CandidateTrained, SpanFitted, VersionPromoted
from anew.registry import Registry, Standing

__all__ = ["Pruned", "prune"]

_DONE = (Standing.RETIRED, Standing.REFUSED, Standing.FAILED, Standing.QUARANTINED)
_KEPT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """Versions whose artifacts were deleted, and those that are pinned."""

    deleted: Sequence[str]
    pinned: Sequence[str]


def prune(project: Path, *, keep: int = _KEPT, version: str = "", dry_run: bool = False) -> Pruned:
    """Delete the artifacts of versions that are done with; of `version` alone, when it is given.

    With `dry_run` nothing is deleted, and what would be is returned.

    Pinned are whoever the routing names (champion, challenger, fallback), the last `keep` champions, every candidate
    that is still on its way, and the last two models that are compared to choose a span. A model that was fitted beside
    a version for such a comparison goes by the name "VERSION beside".

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
    digests, pinned = _recorded(state, keep)
    routing = routed(project)
    pinned |= {version for version, _ in routing.named}
    kept = {digests[each] for each in pinned if each in digests}
    kept |= {digest for _, digest in routing.named if digest}
    store = kept_artifacts(state)
    wanted = [version] if version else [each for each in digests if each not in pinned]
    deleted = []
    for each in wanted:
        digest = digests.get(each, "")
        if not version and digest in kept:
            continue  # the same bytes under another name
        if dry_run and digest in kept:
            raise PolicyError(f"{each} is pinned: it serves, or may have to serve again")
        if store.has(digest) if dry_run else store.forget(digest, pinned=kept):
            deleted.append(each)
    return Pruned(deleted=tuple(deleted), pinned=tuple(sorted(pinned)))


def _recorded(state: Path, keep: int) -> tuple[Mapping[str, str], set[str]]:
    """Return the digest of every version and of every model beside one, and those that the record pins."""
    registry = Registry()
    versions = registry.initial()
    digests: dict[str, str] = {}
    champions: list[str] = []
    compared: set[str] = set()
    for each in read_facts(record_place(state)):
        versions = registry.apply(versions, each.fact)
        match each.fact:
            case CandidateTrained():
                digests[each.fact.version] = each.fact.digest
            case VersionPromoted():
                champions = [*(name for name in champions if name != each.fact.version), each.fact.version]
            case SpanFitted():
                beside = f"{each.fact.version} beside"
                digests[beside] = each.fact.digest
                compared = {each.fact.version, beside}
    on_their_way = {name for name, record in versions.versions.items() if record.standing not in _DONE}
    return digests, on_their_way | compared | set(champions[-keep:])
