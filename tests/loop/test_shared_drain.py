"""Batches that others prepare are stored once each, in order, whatever becomes of those who prepare them."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from anew.adapters.delta_lake import DeltaLake
from anew.adapters.memory_lake import MemoryLake
from anew.domain.boundary import hook
from anew.domain.errors import AnewError, ConflictError, IntegrityError, UnavailableError
from anew.loop.shared_drain import SharedDrainer
from anew.ports.journal import JournalReader
from anew.ports.lake import Lake, PreparedBatch
from anew.testing.contract_lake import COLUMNS, EVER, START, prediction
from anew.testing.fake_drainers import FakeDrainers
from tests.loop.test_drain import Batch, Journals, _rows


@dataclass
class TroubledLake(MemoryLake):
    """Before each commit it does what `trouble` does; notes what was stored."""

    trouble: Callable[["TroubledLake", PreparedBatch], None] = lambda _lake, _batch: None
    repairs: Sequence[str] = ("mended",)
    stored: list[tuple[str, int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(COLUMNS)

    def commit(self, batch: PreparedBatch) -> int:
        """Raise, or store."""
        self.trouble(self, batch)
        rows = super().commit(batch)
        self.stored.append((batch.journal, batch.after, batch.position))
        return rows

    def rebuild(
        self,
        journals: JournalReader,
        seen: Callable[[], None] = lambda: None,  # noqa: ARG002  as every lake
    ) -> Sequence[str]:
        """Say what was mended, from these journals."""
        return self.repairs if journals.journals() else ()


def raising(*problems: AnewError) -> Callable[[TroubledLake, PreparedBatch], None]:
    """Return trouble that raises each of these once."""
    left = list(problems)

    def trouble(_lake: TroubledLake, _batch: PreparedBatch) -> None:
        if left:
            raise left.pop(0)

    return trouble


def bed(
    rows: Journals, lake: Lake, *, most: int = 9, rounds: int = 4, keep: int = 100_000
) -> tuple[SharedDrainer, FakeDrainers]:
    """Return a drainer whose batches two others prepare, and these."""
    drainers = FakeDrainers(reader=rows, lake=lake)
    return SharedDrainer(rows, lake, most=most, rounds=rounds, keep=keep, drainers=drainers), drainers


def test_the_next_batch_is_prepared_while_one_is_stored() -> None:
    journals, ahead = Journals({"w0": _rows(20)}), []

    def look(_lake: TroubledLake, batch: PreparedBatch) -> None:
        ahead.append((batch.position, drainers.orders[-1][1]))

    lake = TroubledLake(trouble=look)
    drainer, drainers = bed(journals, lake, most=10, rounds=2)
    drainer.drain_once()
    assert ahead == [(15, 15), (30, 30)]
    assert drainers.orders == [("w0", 0), ("w0", 15), ("w0", 30)]  # the last one for the next call
    drainer.drain_once()
    assert drainers.orders[3:] == [("w0", 45), ("w0", 60)]
    assert lake.drained("w0") == 60


def test_what_was_not_there_when_an_earlier_call_asked_is_asked_for_again() -> None:
    journals, lake = Journals({"w0": _rows(20)}), MemoryLake(COLUMNS)
    drainer, drainers = bed(journals, lake, most=15, rounds=3)
    assert drainer.drain_once().stored == 40
    assert drainers.orders[-1] == ("w0", 60), "asked ahead, and there was no more"
    journals.rows["w0"] += _rows(4, first=100)  # acknowledged before the next call begins
    assert drainer.drain_once().stored == 8


def test_a_journal_without_end_does_not_keep_a_call_from_its_own() -> None:
    journals, lake = Journals({"w0": _rows(200), "w1": _rows(1, first=900)}), TroubledLake()
    drainer, drainers = bed(journals, lake, most=5, rounds=2)
    drainers.chosen = lambda _: next((i for i, each in enumerate(drainers._answers) if each.journal == "w0"), 0)
    drainer.drain_once()
    assert Counter(journal for journal, *_ in lake.stored) == {"w0": 3, "w1": 1}  # the third was for the next call


def test_no_journal_waits_for_another_to_be_prepared_ahead() -> None:
    journals, lake = Journals({f"w{i}": _rows(30, first=100 * i) for i in range(4)}), TroubledLake()
    drainer, _ = bed(journals, lake, most=6, rounds=2)
    drainer.drain_once()
    assert Counter(journal for journal, *_ in lake.stored) == {f"w{i}": 2 for i in range(4)}


@pytest.mark.fault("D14")
@pytest.mark.parametrize("seed", range(30))
def test_drainers_that_die_or_are_slow_and_a_lake_that_fails_lose_nothing_and_store_nothing_twice(seed: int) -> None:
    rng = random.Random(seed)
    journals = Journals({f"w{i}": _rows(rng.randint(0, 60), first=1000 * i) for i in range(rng.randint(1, 5))})

    def trouble(lake: TroubledLake, batch: PreparedBatch) -> None:
        if rng.random() < 0.15:
            raise UnavailableError("full")
        if rng.random() < 0.1:  # an interrupted batch is finished first: of this journal, of some other length
            read = journals.read(batch.journal, after=batch.after, most=rng.randint(1, 12))
            if read.position > batch.after:
                lake.append(batch.journal, read.position, read.observations)

    lake = TroubledLake(trouble=trouble)
    drainers = FakeDrainers(
        reader=journals,
        lake=lake,
        count=rng.randint(1, 4),
        chosen=lambda n: None if rng.random() < 0.1 else rng.randrange(n),
        dies=lambda: rng.random() < 0.2,
    )
    drainer = SharedDrainer(
        journals, lake, most=rng.randint(1, 20), rounds=rng.randint(1, 4), keep=0, drainers=drainers
    )
    for _ in range(3000):
        try:
            drainer.drain_once()
        except UnavailableError:
            continue
        if all(lake.drained(journal) == len(rows) for journal, rows in journals.rows.items()):
            break
    ids = Counter(lake.predictions(EVER)["_id"].to_list())
    expected = sum(len(rows) for rows in journals.rows.values()) // 3
    assert lake.counts() == {"predictions": expected, "labels": expected, "feedback": 0, "history": 0}
    assert set(ids.values()) <= {1}
    assert all(lake.drained(journal) == len(rows) for journal, rows in journals.rows.items())


class CarelessLake(MemoryLake):
    """The control: stores what it is given, wherever it begins."""

    def commit(self, batch: PreparedBatch) -> int:
        """Do not look where the lake stands."""
        self._drained[batch.journal] = batch.after
        return super().commit(batch)


@pytest.mark.fault("D14")
@pytest.mark.parametrize(("kind", "rows"), [(MemoryLake, 2), (CarelessLake, 4)])
def test_an_answer_that_comes_after_its_rows_were_stored_is_refused_where_the_lake_looks(
    kind: type[MemoryLake], rows: int
) -> None:
    lake = kind(COLUMNS)
    late, taken_over = (lake.prepare("w0", 2, [prediction(0), prediction(1)], after=0) for _ in range(2))
    lake.commit(taken_over)
    try:
        lake.commit(late)
    except ConflictError:
        assert kind is MemoryLake
    assert lake.counts()["predictions"] == rows


def test_without_a_drainer_nothing_is_looked_at_and_the_next_call_goes_on() -> None:
    journals, lake = Journals({"w0": _rows(4)}), MemoryLake(COLUMNS)
    drainer, drainers = bed(journals, lake)
    drainers.count = 0
    with pytest.raises(UnavailableError, match="no drainer has read the journals w0 yet"):
        drainer.drain_once()
    drainers.count, drainers.chosen = 2, lambda _: None
    with pytest.raises(UnavailableError, match="no drainer has read"):
        drainer.drain_once()
    drainers.chosen = lambda _: 0
    assert drainer.drain_once().stored == 8
    assert drainers.orders[0] == ("w0", 0)


def test_a_drainer_that_dies_fails_this_call_for_its_journal_alone() -> None:
    journals, lake = Journals({"w0": _rows(4), "w1": _rows(2, first=9)}), MemoryLake(COLUMNS)
    drainer, drainers = bed(journals, lake)
    deaths = iter([True])
    drainers.dies = lambda: next(deaths, False)
    with pytest.raises(UnavailableError, match="a drainer ended"):
        drainer.drain_once()
    assert (lake.drained("w0"), lake.drained("w1")) == (0, 6)
    drainers.count = 1
    asked = len(drainers.orders)
    report = drainer.drain_once()
    assert report.stored == 8
    assert (report.oldest, report.newest) == (START, START + timedelta(minutes=10)), "what the failed call stored, too"
    assert drainer.drain_once().newest is None
    assert drainers.orders[asked:] == [("w1", 6), ("w0", 0), ("w0", 12), ("w0", 12), ("w1", 6)], (
        "what a drainer died of is read last"
    )


def test_a_journal_that_is_damaged_does_not_keep_the_others_waiting() -> None:
    journals, lake = Journals({"w0": _rows(4), "w1": _rows(2, first=9)}, trimmed={"w0": 3}), MemoryLake(COLUMNS)
    with pytest.raises(IntegrityError, match="w0"):
        bed(journals, lake)[0].drain_once()
    assert (lake.drained("w0"), lake.drained("w1")) == (0, 6)


def test_a_lake_that_is_full_keeps_the_rows_in_the_journal() -> None:
    journals, lake = Journals({"w0": _rows(10)}), TroubledLake(trouble=raising(UnavailableError("full")))
    drainer, _ = bed(journals, lake, keep=0)
    with pytest.raises(UnavailableError, match="full"):
        drainer.drain_once()
    assert (lake.drained("w0"), journals.trimmed) == (0, {})
    assert drainer.drain_once().stored == 20
    assert lake.stored[0] == ("w0", 0, 13)


def test_another_process_that_writes_to_the_lake_is_said() -> None:
    lake = TroubledLake(trouble=raising(*[ConflictError("another process writes")] * 2))
    drainer, _ = bed(Journals({"w0": _rows(4)}), lake)
    with pytest.raises(ConflictError, match="another process writes"):
        drainer.drain_once()
    assert drainer.drain_once().stored == 8


class PowerCutError(BaseException):
    """Ends a writer between two steps."""


@pytest.mark.fault("D9")
@pytest.mark.parametrize("interrupted", ["w0", "w1"])
@pytest.mark.parametrize("boundary", ["lake.files_stored", "lake.intent_stored", "lake.commit_stored"])
def test_a_change_that_a_crash_cut_off_is_finished_and_counted_as_nobody_elses(
    tmp_path: Path, interrupted: str, boundary: str
) -> None:
    def cut(name: str) -> None:
        if name == boundary:
            raise PowerCutError(name)

    journals = Journals({"w0": _rows(20), "w1": _rows(20, first=100)})
    place = (tmp_path / "lake", COLUMNS, "m", tmp_path / "lake.db")
    with closing(DeltaLake(*place)) as lake:
        read = journals.read(interrupted, after=0, most=7)
        hook(cut)
        try:
            with pytest.raises(PowerCutError):
                lake.commit(lake.prepare(interrupted, read.position, read.observations, after=0))
        finally:
            hook(None)
    with closing(DeltaLake(*place)) as lake:
        drainer, _ = bed(journals, lake)
        while drainer.drain_once().read:
            pass
        assert {journal: lake.drained(journal) for journal in journals.rows} == {"w0": 60, "w1": 60}
        assert dict(lake.counts()) == {"predictions": 40, "labels": 40, "feedback": 0, "history": 0}
        assert list(lake.verify()) == []


def test_damage_is_repaired_once_and_reported() -> None:
    journals = Journals({"w0": _rows(4)})
    report = bed(journals, TroubledLake(trouble=raising(IntegrityError("damaged"))), most=100)[0].drain_once()
    assert (report.repaired, report.stored) == (("mended",), 8)
    twice = TroubledLake(trouble=raising(*[IntegrityError("damaged")] * 2))
    for lake in (twice, TroubledLake(trouble=raising(IntegrityError("damaged")), repairs=())):
        with pytest.raises(IntegrityError, match="damaged"):
            bed(journals, lake)[0].drain_once()
        assert lake.predictions(EVER).height == 0


def test_what_was_repaired_is_said_of_each_batch_also_of_one_that_the_lake_finished_itself() -> None:
    journals = Journals({"w0": _rows(4), "w1": _rows(2, first=9)})
    damaged: set[str] = set()

    def trouble(lake: TroubledLake, batch: PreparedBatch) -> None:
        if batch.journal not in damaged:
            damaged.add(batch.journal)
            raise IntegrityError("damaged")
        if batch.journal == "w0" and not batch.after:  # an interrupted change, finished first
            read = journals.read("w0", after=0, most=2)
            lake.append("w0", read.position, read.observations)

    lake = TroubledLake(trouble=trouble)
    report = bed(journals, lake, most=100)[0].drain_once()
    assert report.repaired == ("mended", "mended")
    assert lake.counts()["predictions"] == 6


class Untrimmed(Journals):
    """Fails to let rows of one journal go."""

    def trim(self, journal: str, upto: int) -> None:
        """Raise, or trim."""
        if journal == "w0":
            raise UnavailableError("its header cannot be read")
        super().trim(journal, upto=upto)


def test_a_journal_that_cannot_be_trimmed_does_not_keep_the_others_waiting() -> None:
    journals, lake = Untrimmed({"w0": _rows(9), "w1": _rows(9, first=100)}), MemoryLake(COLUMNS)
    drainer, drainers = bed(journals, lake, most=9, rounds=1, keep=0)
    drainers.count = 1
    for _ in range(9):
        with suppress(UnavailableError):
            drainer.drain_once()
    assert (lake.drained("w0"), lake.drained("w1")) == (27, 27)


class Astray(MemoryLake):
    """Cannot say how far one journal is stored, so many times."""

    lost = 0

    def drained(self, journal: str) -> int:
        """Raise, or say."""
        if journal == "w0" and self.lost:
            self.lost -= 1
            raise UnavailableError("the mark is locked")
        return super().drained(journal)


@pytest.mark.parametrize("lost", [1, 2, 3, 4])
def test_a_mark_that_cannot_be_read_fails_this_call_for_its_journal_alone(lost: int) -> None:
    journals, lake = Journals({"w0": _rows(4), "w1": _rows(2, first=9)}), Astray(COLUMNS)
    drainer, _ = bed(journals, lake)
    lake.lost = lost
    with pytest.raises(UnavailableError, match="the mark is locked"):
        drainer.drain_once()
    assert lake.drained("w1") == 6
    lake.lost = 0
    assert drainer.drain_once().newest == START + timedelta(minutes=10), "what the failed call stored, too"
    assert lake.drained("w0") == 12


class Trimmed(Journals):
    """A segment vanishes while it is read, so many times."""

    vanishes = 1

    def read(self, journal: str, *, after: int, most: int) -> Batch:
        """Raise, or read."""
        if self.vanishes:
            self.vanishes -= 1
            raise ConflictError("another process drains it")
        return super().read(journal, after=after, most=most)


@pytest.mark.parametrize("vanishes", [1, 4])
def test_a_journal_that_is_trimmed_while_it_is_read_is_read_again(vanishes: int) -> None:
    journals, lake = Trimmed({"w0": _rows(4)}), MemoryLake(COLUMNS)
    journals.vanishes = vanishes
    drainer, _ = bed(journals, lake, most=100, rounds=4)
    if vanishes == 4:  # then it is no chance
        with pytest.raises(ConflictError, match="another process drains it"):
            drainer.drain_once()
    assert drainer.drain_once().stored == 8


class LossyLake(MemoryLake):
    """Moves on over a batch of which it loses the labels."""

    def commit(self, batch: PreparedBatch) -> int:
        """Lose them."""
        rows = super().commit(batch)
        return rows - batch.tables["labels"].rows


def test_a_lake_that_loses_rows_is_found_out_and_nothing_is_trimmed() -> None:
    journals = Journals({"w0": _rows(4)})
    with pytest.raises(IntegrityError, match=r"8 observations up to 12 .* grew by 4 rows"):
        bed(journals, LossyLake(COLUMNS), keep=0)[0].drain_once()
    assert journals.trimmed == {}


def test_the_last_batch_and_the_kept_records_are_never_trimmed() -> None:
    journals, lake = Journals({"w0": _rows(100)}), TroubledLake()
    drainer, _ = bed(journals, lake, most=10, rounds=1, keep=0)
    while drainer.drain_once().read:
        assert journals.trimmed.get("w0", 0) <= lake.stored[-1][1]
    assert lake.drained("w0") == 300
    journals, lake = Journals({"w0": _rows(100)}), TroubledLake()
    bed(journals, lake, most=10, rounds=1000, keep=40)[0].drain_once()
    assert 200 <= journals.trimmed["w0"] <= 300 - 40
