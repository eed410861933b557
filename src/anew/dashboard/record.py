"""The record as the pages need it: facts found through a catalogue of them, and how things stand at the last one."""

import heapq
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import chain

from anew.dashboard.catalogue import ABOUT, NAMED, ROUTED, SUCCEEDED, Catalogue, CatalogueError
from anew.dashboard.digest import Digest
from anew.dashboard.source import RecordReader
from anew.domain.fact import Fact
from anew.domain.facts import (
    CandidateTrained,
    RolloutObserved,
    Ticked,
    TrafficShifted,
    TrainingPlanned,
    WindowScored,
)
from anew.governance import GovernanceState
from anew.ports.eventlog import Recorded
from anew.registry import Standing, VersionRecord
from anew.rollout import RolloutState
from anew.trigger import TriggerState

__all__ = ["SEEN", "KnownFacts", "Record"]

SEEN = frozenset({"WindowClosed", "WindowScored", "AlertRaised", "IncidentRaised", "RowsChecked"})
"""Kinds of what is seen of whichever version serves: for as long as it does, so that there is no end of them."""
_MOST_KNOWN = 16_384


class KnownFacts:
    """Facts that were read lately, by number and by id."""

    def __init__(self, most: int = _MOST_KNOWN) -> None:
        self._most = most
        self._facts: OrderedDict[int, Recorded] = OrderedDict()
        self._seqs: dict[str, int] = {}

    def get(self, seq: int) -> Recorded | None:
        """Return the fact with this number, if it is known."""
        found = self._facts.get(seq)
        if found is not None:
            self._facts.move_to_end(seq)
        return found

    def named(self, id: str) -> Recorded | None:
        """Return the fact with this id, if it is known."""
        seq = self._seqs.get(id)
        return None if seq is None else self.get(seq)

    def add(self, recorded: Recorded) -> None:
        """Know a fact, and forget the one that was not asked for for the longest time."""
        self._facts[recorded.seq] = recorded
        self._seqs.setdefault(recorded.fact.id, recorded.seq)
        if len(self._facts) > self._most:
            seq, gone = self._facts.popitem(last=False)
            if self._seqs.get(gone.fact.id) == seq:
                del self._seqs[gone.fact.id]


class Record:
    """What pages ask of the record, so that none has to look through all of it; as long as its reader is open.

    Attributes
    ----------
    head
        Number of the last fact.
    tick
        Event time of the last tick.
    rollout
        Without the digests of versions and those in quarantine.
    trigger
        Its last requests alone.
    runs
        How many versions there are.
    compute_s
        CPU time that all runs took.
    """

    def __init__(
        self, head: int, catalogue: Catalogue, digest: Digest, reader: RecordReader, known: KnownFacts
    ) -> None:
        self.head = head
        self.tick: datetime | None = digest.tick
        self.rollout: RolloutState = digest.rollout
        self.governance: GovernanceState = digest.governance
        self.trigger = TriggerState(requests=digest.requests)
        self.runs = digest.runs
        self.compute_s = digest.compute_s
        self._catalogue, self._digest, self._reader, self._known = catalogue, digest, reader, known

    @property
    def asked(self) -> Sequence[Fact]:
        """The facts whose effects have not ended."""
        return self._at(self._digest.asked.values())

    def looks(self, version: str) -> Sequence[RolloutObserved]:
        """Return the looks at a challenger on probation, from its beginning."""
        found = self._at([seq for seq, each in self._digest.looks if each == version])
        return [each for each in found if isinstance(each, RolloutObserved)]

    @property
    def champion(self) -> VersionRecord | None:
        """The version that serves by right."""
        return self._first(Standing.CHAMPION)

    @property
    def challenger(self) -> VersionRecord | None:
        """The version on probation; of several, the one that was planned first."""
        return self._first(Standing.CHALLENGER)

    def _first(self, standing: Standing) -> VersionRecord | None:
        found = self._catalogue.first(standing)
        return None if found is None else found.record

    def version(self, name: str) -> VersionRecord | None:
        """Return where a version stands; None for one that the registry does not know."""
        found = self._catalogue.entry(name)
        return None if found is None else found.record

    def versions(self, begin: int, end: int) -> Sequence[VersionRecord]:
        """Return the versions from one place to before another, in the order of the registry."""
        return [each.record for each in self._catalogue.runs(begin, end) if each.record is not None]

    def standing(self, standing: Standing, *, most: int) -> tuple[Sequence[VersionRecord], int]:
        """Return those that came to a standing last, in the order in which they did, and how many stand there."""
        newest = [each.record for each in self._catalogue.standing(standing, most) if each.record is not None]
        return newest, self._digest.standing[standing]

    def judged(self, *, most: int) -> Sequence[str]:
        """Return the newest versions that gates have judged, the newest first."""
        return self._catalogue.judged(most)

    def is_judged(self, version: str) -> bool:
        """Did a gate judge this version?"""
        found = self._catalogue.entry(version)
        return found is not None and found.judged is not None

    @property
    def kinds(self) -> Sequence[str]:
        """Names of the kinds that there are, but for ticks and looks of a rollout."""
        return self._catalogue.kinds

    def of_kind(self, *kinds: str, most: int) -> Sequence[Fact]:
        """Return the newest `most` facts of each of these kinds, in order of recording within each."""
        return self._at([seq for kind in kinds for seq in reversed(self._catalogue.newest(kind, most))])

    def newest_first(self, *kinds: str, before: int | None = None) -> Iterator[Recorded]:
        """Yield the facts of these kinds, of all without any, with numbers below `before`, the newest first.

        Only about as many as are taken are sought.
        """
        end = self.head + 1 if before is None else before
        some = [_flat(self._catalogue.before(each, end)) for each in kinds or self._catalogue.kinds]
        return self._read(heapq.merge(*some, reverse=True))

    def _read(self, seqs: Iterable[int]) -> Iterator[Recorded]:
        """Yield facts, fetched some at a time: few, then more."""
        taken, most = list[int](), 8
        for seq in seqs:
            taken.append(seq)
            if len(taken) == most:
                yield from self._fetched(taken)
                taken, most = [], min(2 * most, 512)
        yield from self._fetched(taken)

    def scored(self, most: int) -> Sequence[WindowScored]:
        """Return how the newest windows were scored last, in order of time."""
        return [each for each in self._at(self._catalogue.scored(most)) if isinstance(each, WindowScored)]

    def last(self, kind: str) -> Fact | None:
        """Return the newest fact of a kind."""
        return next(iter(self.of_kind(kind, most=1)), None)

    def about(self, version: str, *, but: Collection[str] = SEEN) -> Sequence[Fact]:
        """Return the facts that name a version, in order, of all kinds but these."""
        return self._at(self._catalogue.linked(version, ABOUT, but, but=True))

    def many(self, version: str, kind: str) -> int:
        """Return how many facts of a kind name a version."""
        return self._catalogue.many(version, kind)

    def causes(self, fact: Fact) -> Iterator[Fact]:
        """Yield what led to `fact`, the nearest first; a tick or a look says nothing by itself."""
        while fact.cause in self:
            fact = self[fact.cause]
            if isinstance(fact, Ticked | RolloutObserved):
                return
            yield fact

    def __contains__(self, id: object) -> bool:
        """Is there a fact with this id?"""
        return isinstance(id, str) and bool(id) and self._find(id) is not None

    def __getitem__(self, id: str) -> Fact:
        """Return the fact with this id."""
        found = self._find(id)
        if found is None:
            raise KeyError(id)
        return found.fact

    def planned(self, most: int) -> tuple[Sequence[str], int]:
        """Return the newest versions that were planned, in order, and how many were."""
        found = self.of_kind("TrainingPlanned", most=most)
        return [each.version for each in found if isinstance(each, TrainingPlanned)], self._catalogue.count(
            "TrainingPlanned"
        )

    def plan(self, version: str) -> TrainingPlanned | None:
        """Return the plan of a version; None when there was none."""
        found = self._linked(version, ABOUT, "TrainingPlanned")
        return next((each for each in found if isinstance(each, TrainingPlanned)), None)

    def trained(self, version: str) -> CandidateTrained | None:
        """Return how a version was trained; None when it was not."""
        found = self._linked(version, ABOUT, "CandidateTrained")
        return next((each for each in found if isinstance(each, CandidateTrained)), None)

    def naming(self, version: str) -> Sequence[Fact]:
        """Return the facts that are about a version itself, in order."""
        return self._at(self._catalogue.linked(version, NAMED, (), but=True))

    def routing(self, version: str) -> Sequence[Fact]:
        """Return the routings by which a version answered, in order."""
        return self._linked(version, ROUTED, "TrafficShifted")

    def succeeding(self, version: str) -> Sequence[TrainingPlanned]:
        """Return the plans of versions that were to succeed this one, in order."""
        found = self._linked(version, SUCCEEDED, "TrainingPlanned")
        return [each for each in found if isinstance(each, TrainingPlanned)]

    def routed(self, epoch: int) -> TrafficShifted | None:
        """Return the routing of an epoch."""
        found = self._at(self._catalogue.routed(epoch))
        return next((each for each in found if isinstance(each, TrafficShifted)), None)

    def led(self, id: str) -> Iterator[Fact]:
        """Yield the fact with this id, and all that it led to, in order."""
        first = self._find(id)
        found = {} if first is None else {first.seq: first.fact}
        ahead = list(found)
        while ahead:
            seq = heapq.heappop(ahead)
            yield found[seq]
            for each in self._reader.caused_by(found.pop(seq).id):
                if each.seq > seq and each.seq not in found:
                    found[each.seq] = each.fact
                    heapq.heappush(ahead, each.seq)

    def ordered(self, facts: Iterable[Fact]) -> list[Fact]:
        """Return facts of these, each once, in order of recording."""
        found = {recorded.seq: recorded.fact for each in facts if (recorded := self._find(each.id)) is not None}
        return [found[seq] for seq in sorted(found)]

    def _linked(self, version: str, what: int, kind: str) -> Sequence[Fact]:
        return self._at(self._catalogue.linked(version, what, (kind,)))

    def _at(self, seqs: Iterable[int]) -> Sequence[Fact]:
        return [each.fact for each in self._fetched(list(seqs))]

    def _fetched(self, seqs: Sequence[int]) -> Sequence[Recorded]:
        """Return the facts with these numbers, in the order in which they are asked for."""
        found = {seq: known for seq in seqs if (known := self._known.get(seq)) is not None}
        new = [seq for seq in seqs if seq not in found]
        for begin in range(0, len(new), 512):
            for each in self._reader.at(new[begin : begin + 512]):
                found[each.seq] = each
                self._known.add(each)
        if len(found) < len(set(seqs)):
            raise CatalogueError("it has facts that the record has not")
        return [found[seq] for seq in seqs]

    def _find(self, id: str) -> Recorded | None:
        found = self._known.named(id)
        if found is None:
            found = self._reader.find(id)
            if found is not None:
                self._known.add(found)
        return found


def _flat(some: Iterator[Sequence[int]]) -> Iterator[int]:
    return chain.from_iterable(some)
