"""The record as the pages need it: every fact heard once, folded as it comes."""

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from anew.dashboard.source import Source
from anew.domain.fact import Fact
from anew.domain.facts import RolloutObserved, RolloutStarted, Ticked, TrafficShifted
from anew.governance import Governance, GovernanceState
from anew.ports.eventlog import Recorded
from anew.registry import Registry, RegistryState
from anew.rollout import Rollout, RolloutState
from anew.trigger import Trigger, TriggerState

__all__ = ["Record", "Records"]

_MOST_LOOKS = 5_000


@dataclass(slots=True)
class Record:
    """All facts, in order and by kind and version; not thread-safe.

    Attributes
    ----------
    entries
        Every fact but ticks and looks of a rollout, which come by the thousand.
    looks
        Looks of the challengers on probation, from the beginning of each.
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
    by_id: dict[str, Fact] = field(default_factory=dict)
    _kinds: dict[str, list[Fact]] = field(default_factory=lambda: defaultdict(list))
    _versions: dict[str, list[Fact]] = field(default_factory=lambda: defaultdict(list))

    def hear(self, recorded: Recorded) -> None:
        """Take note of the next fact."""
        fact, self.head = recorded.fact, recorded.seq
        self.rollout = Rollout().apply(self.rollout, fact)
        self.registry = Registry().apply(self.registry, fact)
        self.governance = Governance().apply(self.governance, fact)
        self.trigger = Trigger().apply(self.trigger, fact)
        if isinstance(fact, Ticked):
            self.tick = fact
            return
        if isinstance(fact, RolloutObserved):
            self.looks.append(fact)
            return
        if isinstance(fact, RolloutStarted):
            going_on = [each for each in self.looks if each.version != fact.version and self.rollout.arm(each.version)]
            self.looks = deque(going_on, maxlen=_MOST_LOOKS)
        if fact.ends:
            self.asked.pop(fact.cause, None)
        if fact.asks:
            self.asked[fact.id] = fact
        self.entries.append(recorded)
        self.by_id[fact.id] = fact
        self._kinds[fact.kind].append(fact)
        for version in _versions(fact):
            self._versions[version].append(fact)

    def of_kind(self, *kinds: str) -> Sequence[Fact]:
        """Return the facts of these kinds, in order of recording within each kind."""
        return [fact for kind in kinds for fact in self._kinds.get(kind, ())]

    def last(self, kind: str) -> Fact | None:
        """Return the newest fact of a kind."""
        found = self._kinds.get(kind)
        return found[-1] if found else None

    def about(self, version: str) -> Sequence[Fact]:
        """Return the facts that name a version, in order."""
        return self._versions.get(version, ())

    def causes(self, fact: Fact) -> Iterator[Fact]:
        """Yield what led to `fact`, the nearest first."""
        while fact.cause in self.by_id:
            fact = self.by_id[fact.cause]
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


def _versions(fact: Fact) -> set[str]:
    named = {getattr(fact, "version", "")}
    if isinstance(fact, TrafficShifted):
        named |= {fact.champion[0], *(arm.version for arm in fact.challengers)}
    return named - {""}
