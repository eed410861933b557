"""A record that is at hand: facts in memory, read as pages read those of a database."""

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256

from anew.domain.fact import Fact
from anew.ports.eventlog import Recorded

__all__ = ["AtHand"]


class AtHand:
    """A `RecordReader` over facts in memory, numbered from 1. Of facts with one id, the first is found by it."""

    def __init__(self, facts: Sequence[Fact] = (), recorded_at: datetime = datetime(1970, 1, 1, tzinfo=UTC)) -> None:
        self._facts, self._recorded_at = facts, recorded_at
        self._seqs = {facts[i].id: i + 1 for i in range(len(facts) - 1, -1, -1)}

    def head(self) -> int:
        """Return how many there are."""
        return len(self._facts)

    def mark(self, seq: int) -> str:
        """Return what tells the record up to number `seq` from every other: a hash of its ids."""
        ids = "".join(each.id for each in self._facts[:seq])
        return sha256(ids.encode()).hexdigest() if 0 < seq <= len(self._facts) else ""

    def after(self, seq: int, most: int) -> Sequence[Recorded]:
        """Return the next facts after number `seq`, at most so many."""
        return self.at(range(seq + 1, min(seq + most, len(self._facts)) + 1))

    def at(self, seqs: Sequence[int]) -> Sequence[Recorded]:
        """Return the facts with these numbers, in order of number."""
        return [
            Recorded(seq=each, recorded_at=self._recorded_at, fact=self._facts[each - 1])
            for each in sorted(seqs)
            if 0 < each <= len(self._facts)
        ]

    def find(self, id: str) -> Recorded | None:
        """Return the first fact with this id."""
        return next(iter(self.at([self._seqs.get(id, 0)])), None)

    def caused_by(self, id: str) -> Sequence[Recorded]:
        """Return the facts whose cause is the one with this id."""
        return self.at([seq for seq, fact in enumerate(self._facts, 1) if fact.cause == id])
