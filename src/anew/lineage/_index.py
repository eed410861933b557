"""Facts by id and by the versions that they are about, so that a lineage looks at no others."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from anew.domain.fact import Fact
from anew.domain.facts import CandidateTrained, TrafficShifted, TrainingPlanned, VersionPromoted

__all__ = ["FactIndex", "index"]

_ABOUT_WINDOWS = frozenset({"WindowClosed", "WindowScored", "AlertRaised"})


class FactIndex(Mapping[str, Fact]):
    """Facts by id, in order of recording; only ever added to."""

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
        for version in _named(fact):
            self._naming[version].append(fact)
        match fact:
            case TrainingPlanned():
                self._plans.setdefault(fact.version, fact)
                self._succeeding[fact.champion].append(fact)
            case CandidateTrained():
                self._trained.setdefault(fact.version, fact)
            case TrafficShifted():
                self._epochs.setdefault(fact.epoch, fact)
                for version in {fact.champion[0], *(arm.version for arm in fact.challengers)}:
                    self._routing[version].append(fact)

    @property
    def planned(self) -> Sequence[str]:
        """Every version that was planned, in order."""
        return list(self._plans)

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

    def since(self, id: str) -> Iterator[Fact]:
        """Yield the fact with this id and all after it, in order."""
        return islice(self._ordered, self._facts[id][0], None)

    def ordered(self, facts: Iterable[Fact]) -> list[Fact]:
        """Return facts of these, each once, in order of recording."""
        return [fact for _, fact in sorted({self._facts[each.id][0]: each for each in facts}.items())]


def index(facts: Iterable[Fact]) -> FactIndex:
    """Return the facts by id, in order of recording."""
    made = FactIndex()
    for fact in facts:
        made.add(fact)
    return made


def _named(fact: Fact) -> set[str]:
    """Return the versions that a fact is about; what was seen in a window is about the window."""
    if isinstance(fact, CandidateTrained | TrainingPlanned):
        return {fact.version}
    if isinstance(fact, VersionPromoted):
        return {fact.version, fact.previous} - {""}
    served = getattr(fact, "challenger", ("",)) or ("",)
    return {served[0], "" if fact.kind in _ABOUT_WINDOWS else getattr(fact, "version", "")} - {""}
