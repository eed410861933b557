"""Takes the next facts of a record into its catalogue."""

from collections.abc import Sequence
from types import MappingProxyType

from anew.dashboard.catalogue import ABOUT, NAMED, ROUTED, SUCCEEDED, Catalogue, Entry, Kept, Link
from anew.dashboard.digest import Digest, packed
from anew.domain.fact import Fact
from anew.domain.facts import (
    CandidateTrained,
    GateJudged,
    RolledBack,
    RolloutObserved,
    Ticked,
    TrafficShifted,
    TrainingPlanned,
    WindowScored,
)
from anew.domain.persistent_map import PersistentMap
from anew.lineage import named_by, routed_by
from anew.ports.eventlog import Recorded
from anew.registry import Registry, RegistryState, Standing, VersionRecord

__all__ = ["hear"]

_REGISTRY = Registry()
_STANDS_STILL = frozenset(
    {
        "AlertRaised", "CandidateMeasured", "GateJudged", "IncidentRaised", "SnapshotTaken", "TrafficApplied",
        "TrafficOrdered", "WindowClosed", "WindowScored",
    }
)  # fmt: skip
"""Kinds, the most frequent, by which no version comes to stand elsewhere, and no other is the fallback."""


def hear(catalogue: Catalogue, digest: Digest, facts: Sequence[Recorded], mark: str, maker: str) -> None:
    """Take facts in, all or, where it raises, none of them; then `digest` is spoilt.

    Parameters
    ----------
    mark, maker
        What the record is known by up to the last of them, and the code that takes them in.
    """
    with catalogue.changing():
        hearing = _Hearing(catalogue, digest)
        for each in facts:
            hearing.take(each)
        hearing.put()
        catalogue.keep(Kept(head=facts[-1].seq, mark=mark, maker=maker, state=packed(digest)))


class _Hearing:
    """Some facts, before they are written."""

    def __init__(self, catalogue: Catalogue, digest: Digest) -> None:
        self._catalogue, self._digest = catalogue, digest
        self._entries: dict[str, Entry] = {}
        self._facts: list[tuple[int, int]] = []
        self._links: list[Link] = []

    def take(self, recorded: Recorded) -> None:
        """Take in a fact. Ticks and looks of a rollout, which come by the thousand, are neither listed nor linked."""
        fact, seq = recorded.fact, recorded.seq
        trained = {fact.to: self._entry(fact.to).trained} if isinstance(fact, RolledBack) and fact.to else {}
        self._digest.hear(fact, seq, trained)
        if isinstance(fact, Ticked | RolloutObserved):
            return
        kind = self._catalogue.kind(fact.kind)
        self._facts.append((kind, seq))
        for version, what in _links(fact).items():
            self._links.append((self._entry(version).number, kind, seq, what))
        if fact.kind not in _STANDS_STILL:
            self._stand(fact)
        match fact:
            case CandidateTrained():
                self._entry(fact.version).trained = fact.digest
            case GateJudged() if self._entry(fact.version).judged is None:
                self._entry(fact.version).judged = self._digest.judged
                self._digest.judged += 1
            case WindowScored():
                self._catalogue.score(fact.window.start, seq)
            case TrafficShifted():
                self._catalogue.route(fact.epoch, seq)

    def put(self) -> None:
        """Write."""
        self._catalogue.put(self._entries.values())
        self._catalogue.add(self._facts, self._links)

    def _entry(self, name: str) -> Entry:
        entry = self._entries.get(name)
        if entry is None:
            entry = self._catalogue.entry(name)
            if entry is None:
                self._digest.names += 1
                entry = Entry(number=self._digest.names, name=name)
            self._entries[name] = entry
        return entry

    def _stand(self, fact: Fact) -> None:
        """Let the registry say where the versions stand that a fact may move, which are those that it names."""
        names = dict.fromkeys(getattr(fact, each, "") for each in ("version", "to", "previous"))
        before = self._registry([each for each in names if each])
        after = _REGISTRY.apply(before, fact)
        if after is before:
            return
        self._digest.fallback = after.fallback
        for name in names:
            now = after.versions.get(name)
            if now is not None and now is not before.versions.get(name):
                self._move(self._entry(name), now)

    def _registry(self, names: Sequence[str]) -> RegistryState:
        """Return the registry as if there were no other versions."""
        known = [entry for entry in map(self._entry, names) if entry.record is not None]
        versions, numbers = PersistentMap[str, VersionRecord](), dict[Standing, PersistentMap[str, int]]()
        for i, entry in enumerate(known):
            assert entry.record is not None, "they were chosen so"  # noqa: S101  an invariant of ours
            versions, standing = versions.having(entry.name, entry.record), entry.record.standing
            numbers[standing] = numbers.get(standing, PersistentMap[str, int]()).having(entry.name, i)
        return RegistryState(versions=versions, fallback=self._digest.fallback, numbers=MappingProxyType(numbers))

    def _move(self, entry: Entry, now: VersionRecord) -> None:
        digest = self._digest
        if entry.record is None:
            entry.place = digest.runs
            digest.runs += 1
        else:
            digest.standing[entry.record.standing] -= 1
        digest.standing[now.standing] += 1
        digest.moves += 1
        entry.record, entry.moved = now, digest.moves


def _links(fact: Fact) -> dict[str, int]:
    """Return what a fact is to the versions that it names."""
    found: dict[str, int] = {}
    if version := getattr(fact, "version", ""):
        found[version] = ABOUT
    for each in named_by(fact):
        found[each] = found.get(each, 0) | NAMED
    if isinstance(fact, TrafficShifted):
        for each in routed_by(fact):
            found[each] = found.get(each, 0) | ABOUT | ROUTED
    if isinstance(fact, TrainingPlanned) and fact.champion:
        found[fact.champion] = found.get(fact.champion, 0) | SUCCEEDED
    found.pop("", None)
    return found
