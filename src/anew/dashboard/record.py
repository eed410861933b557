"""The record as the pages need it: every fact heard once, folded as it comes."""

import heapq
from bisect import bisect_left, insort
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from anew.dashboard.source import Source
from anew.domain.fact import Fact
from anew.domain.facts import (
    CandidateTrained,
    GateJudged,
    RolloutObserved,
    RolloutStarted,
    Ticked,
    TrafficShifted,
    WindowScored,
)
from anew.governance import Governance, GovernanceState
from anew.lineage import FactIndex
from anew.ports.eventlog import Recorded
from anew.registry import Registry, RegistryState, Standing, VersionRecord
from anew.rollout import Rollout, RolloutState
from anew.trigger import Trigger, TriggerState

__all__ = ["Record", "Records"]

_MOST_LOOKS = 5_000


@dataclass(slots=True)
class Record:
    """All facts, in order and by kind and version, so that no page has to look through all of them; not thread-safe.

    Attributes
    ----------
    entries
        Every fact but ticks and looks of a rollout, which come by the thousand.
    looks
        Looks of the challengers on probation, from the beginning of each.
    facts
        What a lineage is made of: the entries, and such ticks and looks as something followed from.
    runs
        Every version, in the order of the registry.
    judged
        Those that gates have judged, in order.
    compute_s
        What all of them took to train.
    """

    head: int = 0
    tick: Ticked | None = None
    entries: list[Recorded] = field(default_factory=list)
    looks: deque[RolloutObserved] = field(default_factory=lambda: deque(maxlen=_MOST_LOOKS))
    registry: RegistryState = field(default_factory=RegistryState)
    rollout: RolloutState = field(default_factory=RolloutState)
    governance: GovernanceState = field(default_factory=GovernanceState)
    trigger: TriggerState = field(default_factory=TriggerState)
    asked: dict[str, Fact] = field(default_factory=dict)
    facts: FactIndex = field(default_factory=FactIndex)
    runs: list[str] = field(default_factory=list)
    judged: dict[str, None] = field(default_factory=dict)
    compute_s: float = 0.0
    _kinds: dict[str, list[Recorded]] = field(default_factory=lambda: defaultdict(list))
    _versions: dict[str, list[Fact]] = field(default_factory=lambda: defaultdict(list))
    _standing: dict[Standing, dict[str, None]] = field(default_factory=lambda: defaultdict(dict))
    _scored: dict[datetime, WindowScored] = field(default_factory=dict)
    _starts: list[datetime] = field(default_factory=list)
    _aside: Fact | None = None

    def hear(self, recorded: Recorded) -> None:
        """Take note of the next fact."""
        fact, self.head, known = recorded.fact, recorded.seq, self.registry
        self.rollout = Rollout().apply(self.rollout, fact)
        self.registry = Registry().apply(self.registry, fact)
        self.governance = Governance().apply(self.governance, fact)
        self.trigger = Trigger().apply(self.trigger, fact)
        if isinstance(fact, Ticked | RolloutObserved):
            self._hear_aside(fact)
            return
        if isinstance(fact, RolloutStarted):
            going_on = [each for each in self.looks if each.version != fact.version and self.rollout.arm(each.version)]
            self.looks = deque(going_on, maxlen=_MOST_LOOKS)
        if fact.ends:
            self.asked.pop(fact.cause, None)
        if fact.asks:
            self.asked[fact.id] = fact
        self.entries.append(recorded)
        self._kinds[fact.kind].append(recorded)
        for version in _versions(fact):
            self._versions[version].append(fact)
        if self.registry is not known:
            self._stand(known, fact)
        self._count(fact)

    def _stand(self, before: RegistryState, fact: Fact) -> None:
        """Note where the versions that a fact may move stand now."""
        for name in dict.fromkeys(getattr(fact, each, "") for each in ("version", "to", "previous")):
            was, now = before.versions.get(name), self.registry.versions.get(name)
            if now is None or now is was:
                continue
            if was is None:
                self.runs.append(name)
            else:
                self._standing[was.standing].pop(name, None)
            self._standing[now.standing][name] = None

    def _hear_aside(self, fact: Ticked | RolloutObserved) -> None:
        self._aside = fact
        if isinstance(fact, Ticked):
            self.tick = fact
        else:
            self.looks.append(fact)

    def _count(self, fact: Fact) -> None:
        """Keep what pages would have to look for."""
        if self._aside is not None and fact.cause == self._aside.id:
            self.facts.add(self._aside)
        self.facts.add(fact)
        match fact:
            case CandidateTrained():
                self.compute_s += fact.compute_s
            case GateJudged():
                self.judged.setdefault(fact.version)
            case WindowScored():
                if fact.window.start not in self._scored:
                    insort(self._starts, fact.window.start)
                self._scored[fact.window.start] = fact

    def standing(self, standing: Standing, *, most: int) -> tuple[Sequence[VersionRecord], int]:
        """Return those that came to a standing last, in the order in which they did, and how many stand there."""
        found = self._standing.get(standing, {})
        newest = list(islice(reversed(found), most))
        return [self.registry.versions[each] for each in reversed(newest)], len(found)

    @property
    def kinds(self) -> Sequence[str]:
        """Names of the kinds that there are."""
        return sorted(self._kinds)

    def of_kind(self, *kinds: str, most: int) -> Sequence[Fact]:
        """Return the newest `most` facts of each of these kinds, in order of recording within each."""
        return [each.fact for kind in kinds for each in self._kinds.get(kind, [])[-most:]]

    def newest_first(self, *kinds: str, before: int | None = None) -> Iterator[Recorded]:
        """Yield the facts of these kinds, of all without any, with numbers below `before`, the newest first.

        Only as many as are taken are sought.
        """
        lists = [self._kinds[kind] for kind in kinds if kind in self._kinds] if kinds else [self.entries]
        return heapq.merge(*(_back(each, before) for each in lists), key=lambda each: -each.seq)

    def scored(self, most: int) -> Sequence[WindowScored]:
        """Return how the newest windows were scored last, in order of time."""
        return [self._scored[start] for start in self._starts[-most:]]

    def last(self, kind: str) -> Fact | None:
        """Return the newest fact of a kind."""
        found = self._kinds.get(kind)
        return found[-1].fact if found else None

    def about(self, version: str) -> Sequence[Fact]:
        """Return the facts that name a version, in order."""
        return self._versions.get(version, ())

    def causes(self, fact: Fact) -> Iterator[Fact]:
        """Yield what led to `fact`, the nearest first; a tick or a look says nothing by itself."""
        while fact.cause in self.facts:
            fact = self.facts[fact.cause]
            if isinstance(fact, Ticked | RolloutObserved):
                return
            yield fact


@dataclass(slots=True)
class Records:
    """The record of each project by name, as far as it was heard; not thread-safe."""

    _known: dict[str, Record] = field(default_factory=dict)

    def newest(self, name: str, source: Source) -> Record:
        """Hear what was recorded since the last look; a record that was replaced by a shorter one is read again."""
        record = self._known.get(name)
        if record is None or source.head() < record.head:
            record = self._known[name] = Record()
        for recorded in source.facts(record.head):
            record.hear(recorded)
        return record


def _back(entries: Sequence[Recorded], before: int | None) -> Iterator[Recorded]:
    end = len(entries) if before is None else bisect_left(entries, before, key=_seq)
    return (entries[i] for i in range(end - 1, -1, -1))


def _seq(recorded: Recorded) -> int:
    return recorded.seq


def _versions(fact: Fact) -> set[str]:
    named = {getattr(fact, "version", "")}
    if isinstance(fact, TrafficShifted):
        named |= {fact.champion[0], *(arm.version for arm in fact.challengers)}
    return named - {""}
