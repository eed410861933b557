"""The drainer stores each acknowledged observation once, and trims only what can be missed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from anew.adapters.memory_lake import MemoryLake
from anew.domain.errors import ConflictError, IntegrityError, UnavailableError
from anew.domain.observation import Observation
from anew.loop.drain import Drainer
from anew.loop.shared_drain import SharedDrainer
from anew.ports.journal import JournalReader
from anew.testing.contract_lake import COLUMNS, EVER, START, label, prediction
from anew.testing.fake_drainers import FakeDrainers


@dataclass(frozen=True)
class Batch:
    """What was read."""

    journal: str
    position: int
    observations: Sequence[Observation]


@dataclass
class Journals:
    """Journals in memory; None stands for a record that is no observation."""

    rows: dict[str, list[Observation | None]] = field(default_factory=dict)
    trimmed: dict[str, int] = field(default_factory=dict)

    def journals(self) -> Sequence[str]:
        """Those that exist."""
        return sorted(self.rows)

    def read(self, journal: str, *, after: int, most: int) -> Batch:
        """Up to `most` observations, and the records between."""
        if after < self.trimmed.get(journal, 0):
            raise IntegrityError(f"journal {journal}: records after {after} are gone")
        found: list[Observation] = []
        position = after
        for row in self.rows[journal][after:]:
            if len(found) == most:
                break
            position += 1
            found += [] if row is None else [row]
        return Batch(journal, position, found)

    def trim(self, journal: str, *, upto: int) -> None:
        """Forget."""
        self.trimmed[journal] = upto


class StubbornLake(MemoryLake):
    """A lake whose next appends raise what is on the list, one each."""

    def __init__(self, *problems: Exception, repairs: Sequence[str] = ("mended",)) -> None:
        super().__init__(COLUMNS)
        self.problems = list(problems)
        self.repairs = repairs

    def append(self, journal: str, position: int, observations: Sequence[Observation]) -> int:
        """Raise, or append."""
        if self.problems:
            raise self.problems.pop(0)
        return super().append(journal, position, observations)

    def rebuild(
        self,
        journals: JournalReader,
        seen: Callable[[], None] = lambda: None,  # noqa: ARG002  as every lake
    ) -> Sequence[str]:
        """Say what was mended, from these journals."""
        return self.repairs if journals.journals() else ()


def _rows(n: int, first: int = 0) -> list[Observation | None]:
    return [o for i in range(first, first + n) for o in (prediction(i), None, label(i))]


def _shared(journals: Journals, lake: MemoryLake, **limits: int) -> Drainer:
    """Return a drainer whose batches others prepare."""
    return SharedDrainer(journals, lake, drainers=FakeDrainers(reader=journals, lake=lake), **limits)


@pytest.mark.parametrize("made", [Drainer, _shared])
def test_everything_acknowledged_is_stored_once_and_reported(made: Callable[..., Drainer]) -> None:
    journals, lake = Journals({"w0": _rows(40), "w1": _rows(7, first=100), "w2": []}), MemoryLake(COLUMNS)
    drainer = made(journals, lake, most=9, rounds=2)
    read = 0
    while (report := drainer.drain_once()).read:
        assert report.read == report.stored
        read += report.read
        behind = any(lake.drained(j) < len(rows) for j, rows in journals.rows.items())
        assert report.behind == behind or (made is _shared and not behind)  # it does not look whether there is more
    assert read == 94
    assert lake.counts() == {"predictions": 47, "labels": 47, "feedback": 0, "history": 0}
    assert {j: lake.drained(j) for j in journals.rows} == {j: len(rows) for j, rows in journals.rows.items()}
    journals.rows["w0"] += [None]
    assert drainer.drain_once().read == 0
    assert lake.drained("w0") == 121


@pytest.mark.parametrize("made", [Drainer, _shared])
def test_the_report_has_the_event_times_of_what_came(made: Callable[..., Drainer]) -> None:
    journals = Journals({"w0": [prediction(5), label(1), prediction(2)], "w1": [prediction(9)]})
    report = made(journals, MemoryLake(COLUMNS)).drain_once()
    assert (report.oldest, report.newest) == (START + timedelta(minutes=2), START + timedelta(minutes=9))
    report = made(Journals({"w0": [label(3)]}), MemoryLake(COLUMNS)).drain_once()
    assert (report.oldest, report.newest, report.read) == (None, None, 1)


def test_the_last_batch_and_the_kept_records_are_never_trimmed() -> None:
    journals, lake = Journals({"w0": _rows(100)}), MemoryLake(COLUMNS)
    drainer = Drainer(journals, lake, most=10, rounds=1, keep=0)
    before = 0
    while drainer.drain_once().read:
        assert journals.trimmed.get("w0", 0) == before
        before = lake.drained("w0")
    assert before == 300
    journals, lake = Journals({"w0": _rows(100)}), MemoryLake(COLUMNS)
    Drainer(journals, lake, most=10, rounds=1000, keep=40).drain_once()
    assert 200 <= journals.trimmed["w0"] <= 300 - 40


def test_a_lake_that_is_full_keeps_the_rows_in_the_journal() -> None:
    journals, lake = Journals({"w0": _rows(4)}), StubbornLake(UnavailableError("full"))
    drainer = Drainer(journals, lake, keep=0)
    with pytest.raises(UnavailableError, match="full"):
        drainer.drain_once()
    assert (lake.drained("w0"), journals.trimmed) == (0, {})
    assert drainer.drain_once().stored == 8


def test_a_journal_that_is_damaged_does_not_keep_the_others_waiting() -> None:
    journals, lake = Journals({"w0": _rows(4), "w1": _rows(2, first=9)}, trimmed={"w0": 3}), MemoryLake(COLUMNS)
    with pytest.raises(IntegrityError, match="w0"):
        Drainer(journals, lake).drain_once()
    assert (lake.drained("w0"), lake.drained("w1")) == (0, 6)


def test_event_times_of_what_a_failed_call_stored_are_told_by_the_next() -> None:
    journals = Journals({"w0": _rows(4), "w1": [prediction(9)]}, trimmed={"w1": 1})
    drainer = Drainer(journals, MemoryLake(COLUMNS))
    with pytest.raises(IntegrityError, match="w1"):
        drainer.drain_once()
    del journals.trimmed["w1"]
    report = drainer.drain_once()
    assert (report.read, report.oldest, report.newest) == (1, START, START + timedelta(minutes=9))
    assert drainer.drain_once().newest is None


def test_a_lake_that_finished_an_interrupted_batch_is_asked_again() -> None:
    journals, lake = Journals({"w0": _rows(4)}), StubbornLake(ConflictError("finished"))
    assert Drainer(journals, lake).drain_once().stored == 8
    lake = StubbornLake(*[ConflictError("another process")] * 3)
    with pytest.raises(ConflictError, match="another process"):
        Drainer(journals, lake).drain_once()


def test_damage_is_repaired_once_and_reported() -> None:
    journals, lake = Journals({"w0": _rows(4)}), StubbornLake(IntegrityError("damaged"))
    report = Drainer(journals, lake).drain_once()
    assert (report.repaired, report.stored) == (("mended",), 8)
    for lake in (StubbornLake(*[IntegrityError("damaged")] * 2), StubbornLake(IntegrityError("damaged"), repairs=())):
        with pytest.raises(IntegrityError, match="damaged"):
            Drainer(journals, lake).drain_once()
        assert lake.predictions(EVER).height == 0


class LossyLake(MemoryLake):
    """Says that it stored a batch and loses a row of it."""

    def append(self, journal: str, position: int, observations: Sequence[Observation]) -> int:
        """Lose the last one."""
        return super().append(journal, position, observations[:-1])


def test_a_lake_that_loses_a_row_is_found_out_and_nothing_is_trimmed() -> None:
    journals = Journals({"w0": _rows(4)})
    with pytest.raises(IntegrityError, match=r"8 observations up to 12 .* grew by 7 rows"):
        Drainer(journals, LossyLake(COLUMNS), keep=0).drain_once()
    assert journals.trimmed == {}


class ErasingLake(MemoryLake):
    """A lake from which rows are erased while others are stored."""

    def append(self, journal: str, position: int, observations: Sequence[Observation]) -> int:
        """Store, and lose on purpose what was there before."""
        there = {table: len(chunks) for table, chunks in self._chunks.items()}
        rows = super().append(journal, position, observations)
        for table, count in there.items():
            del self._chunks[table][:count]
        return rows


def test_rows_that_are_erased_meanwhile_are_not_missed() -> None:
    journals, lake = Journals({"w0": _rows(8)}), ErasingLake(COLUMNS)
    assert Drainer(journals, lake, most=8).drain_once().stored == 16
    assert lake.counts()["predictions"] == 4


@pytest.mark.parametrize("made", [Drainer, _shared])
def test_what_keeps_a_journal_waiting_is_said_once_and_not_at_each_turn(
    made: Callable[..., Drainer], caplog: pytest.LogCaptureFixture
) -> None:
    journals = Journals({"w0": _rows(4), "w1": _rows(2, first=9)}, trimmed={"w0": 3, "w1": 5})
    drainer = made(journals, MemoryLake(COLUMNS))
    for _ in range(3):
        with pytest.raises(IntegrityError):
            drainer.drain_once()
    assert sorted(caplog.messages) == [
        f"drain failed journal={name} problem=journal {name}: records after 0 are gone" for name in ("w0", "w1")
    ]


def test_a_lake_that_cannot_be_repaired_is_complained_of_once(caplog: pytest.LogCaptureFixture) -> None:
    lake = StubbornLake(*[IntegrityError("damaged")] * 3, repairs=())
    drainer = Drainer(Journals({"w0": _rows(4)}), lake)
    for _ in range(3):
        with pytest.raises(IntegrityError, match="damaged"):
            drainer.drain_once()
    assert caplog.messages == ["drain failed journal=w0 problem=damaged"]
