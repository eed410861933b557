"""Facts by id and by the versions that they are about, so that a lineage looks at no others."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Protocol

from anew.domain.fact import Fact
from anew.domain.facts import CandidateTrained, TrafficShifted, TrainingPlanned, VersionPromoted

__all__ = ["FactIndex", "FactsById", "Indexed", "index", "named_by", "routed_by"]

_ABOUT_WINDOWS = frozenset({"WindowClosed", "WindowScored", "AlertRaised"})


class FactsById(Protocol):
    """Facts found by their id."""

    def __contains__(self, id: object, /) -> bool:
        """Is there a fact with this id?"""
        ...

    def __getitem__(self, id: str, /) -> Fact:
        """Return the fact with this id; a KeyError where there is none."""
        ...


class Indexed(FactsById, Protocol):
    """What of a record a lineage needs, wherever it is kept."""

    def planned(self, most: int) -> tuple[Sequence[str], int]:
        """Return the newest versions that were planned, in order, and how many were."""
        ...

    def plan(self, version: str) -> TrainingPlanned | None:
        """Return the plan of a version; None when there was none."""
        ...

    def trained(self, version: str) -> CandidateTrained | None:
        """Return how a version was trained; None when it was not."""
        ...

    def naming(self, version: str) -> Sequence[Fact]:
        """Return the facts that are about a version itself, in order."""
        ...

    def routing(self, version: str) -> Sequence[Fact]:
        """Return the routings by which a version answered, in order."""
        ...

    def succeeding(self, version: str) -> Sequence[TrainingPlanned]:
        """Return the plans of versions that were to succeed this one, in order."""
        ...

    def routed(self, epoch: int) -> TrafficShifted | None:
        """Return the routing of an epoch."""
        ...

    def led(self, id: str) -> Iterator[Fact]:
        """Yield the fact with this id, and all that it led to, in order."""
        ...

    def ordered(self, facts: Iterable[Fact]) -> list[Fact]:
        """Return facts of these, each once, in order of recording."""
        ...


class FactIndex(Mapping[str, Fact]):
    """Facts by id, in order of recording, in memory; only ever added to. An `Indexed`."""

    def __init__(self) -> None:
        self._facts: dict[str, tuple[int, Fact]] = {}
        self._naming: dict[str, list[Fact]] = defaultdict(list)
        self._routing: dict[str, list[Fact]] = defaultdict(list)
        self._succeeding: dict[str, list[TrainingPlanned]] = defaultdict(list)
        self._trained: dict[str, CandidateTrained] = {}
        self._plans: dict[str, TrainingPlanned] = {}
        self._epochs: dict[int, TrafficShifted] = {}
        self._ordered: list[Fact] = []

    def __getitem__(self, id: str) -> Fact:
        return self._facts[id][1]

    def __contains__(self, id: object) -> bool:
        return id in self._facts

    def __iter__(self) -> Iterator[str]:
        return iter(self._facts)

    def __len__(self) -> int:
        return len(self._facts)

    def add(self, fact: Fact) -> None:
        """Take in the next fact; one that is here already changes nothing."""
        if fact.id in self._facts:
            return
        self._facts[fact.id] = (len(self._facts), fact)
        self._ordered.append(fact)
        for version in named_by(fact):
            self._naming[version].append(fact)
        match fact:
            case TrainingPlanned():
                self._plans.setdefault(fact.version, fact)
                self._succeeding[fact.champion].append(fact)
            case CandidateTrained():
                self._trained.setdefault(fact.version, fact)
            case TrafficShifted():
                self._epochs.setdefault(fact.epoch, fact)
                for version in routed_by(fact):
                    self._routing[version].append(fact)

    def planned(self, most: int) -> tuple[Sequence[str], int]:
        """Return the newest versions that were planned, in order, and how many were."""
        return list(islice(reversed(self._plans), most))[::-1], len(self._plans)

    def plan(self, version: str) -> TrainingPlanned | None:
        """Return the plan of a version; None when there was none."""
        return self._plans.get(version)

    def trained(self, version: str) -> CandidateTrained | None:
        """Return how a version was trained; None when it was not."""
        return self._trained.get(version)

    def naming(self, version: str) -> Sequence[Fact]:
        """Return the facts that are about a version itself, in order."""
        return self._naming.get(version, ())

    def routing(self, version: str) -> Sequence[Fact]:
        """Return the routings by which a version answered, in order."""
        return self._routing.get(version, ())

    def succeeding(self, version: str) -> Sequence[TrainingPlanned]:
        """Return the plans of versions that were to succeed this one, in order."""
        return self._succeeding.get(version, ())

    def routed(self, epoch: int) -> TrafficShifted | None:
        """Return the routing of an epoch."""
        return self._epochs.get(epoch)

    def led(self, id: str) -> Iterator[Fact]:
        """Yield the fact with this id, and all that it led to, in order."""
        led = {id}
        for fact in islice(self._ordered, self._facts[id][0], None):
            if fact.id in led or fact.cause in led:
                led.add(fact.id)
                yield fact

    def ordered(self, facts: Iterable[Fact]) -> list[Fact]:
        """Return facts of these, each once, in order of recording."""
        return [fact for _, fact in sorted({self._facts[each.id][0]: each for each in facts}.items())]


def index(facts: Iterable[Fact]) -> FactIndex:
    """Return the facts by id, in order of recording."""
    made = FactIndex()
    for fact in facts:
        made.add(fact)
    return made


def named_by(fact: Fact) -> set[str]:
    """Return the versions that a fact is about; what was seen in a window is about the window."""
    if isinstance(fact, CandidateTrained | TrainingPlanned):
        return {fact.version}
    if isinstance(fact, VersionPromoted):
        return {fact.version, fact.previous} - {""}
    served = getattr(fact, "challenger", ("",)) or ("",)
    return {served[0], "" if fact.kind in _ABOUT_WINDOWS else getattr(fact, "version", "")} - {""}


def routed_by(fact: TrafficShifted) -> set[str]:
    """Return the versions that answer under a routing."""
    return {fact.champion[0], *(arm.version for arm in fact.challengers)}
