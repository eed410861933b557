"""A project's lake over time: looked at, mended, and relieved of what is old, but of nothing that is needed."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from anew.adapters.delta_lake import DeltaLake
from anew.adapters.segment_journal import SegmentJournal
from anew.adapters.segment_reader import SegmentReader
from anew.app.upkeep import EVERY_S, Pins, Upkeep
from anew.domain.errors import NotFoundError
from anew.domain.fact import Fact
from anew.domain.facts import SnapshotTaken, Stage, TrafficShifted
from anew.domain.interval import Interval
from anew.ports.eventlog import Recorded
from anew.testing.contract_lake import COLUMNS, DAY, EVER, START, prediction


@dataclass
class Clock:
    """A clock that is moved by hand."""

    seconds: float = 0.0
    start: str = ""
    started_s: float = 0.0
    set_by: timedelta = timedelta()

    def now(self) -> datetime:
        """Return the time of the wall."""
        return START + timedelta(seconds=self.seconds) + self.set_by

    def monotonic(self) -> float:
        """Return the seconds."""
        return self.seconds - self.started_s

    def epoch(self) -> str:
        """Return the name of the start."""
        return self.start


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[DeltaLake]:
    opened = DeltaLake(tmp_path / "lake", COLUMNS, "m", tmp_path / "lake.db")
    for day in range(4):
        opened.append("w0", day + 1, [prediction(day, at=START + day * DAY)])
    yield opened
    opened.close()


def snapshot(version: str, at: int) -> SnapshotTaken:
    return SnapshotTaken(
        model="m", at=START, version=version, champion="", digest="d", tables=(("predictions", at),),
        span=Interval(start=START, end=START), rows=1, holdout_rows=0, seed=0,
    )  # fmt: skip


def routed(epoch: int, champion: str, fallback: str = "") -> TrafficShifted:
    return TrafficShifted(
        model="m", at=START, epoch=epoch, stage=Stage.STEADY, share=0.0, champion=(champion, "d"),
        fallback=(fallback, "d" if fallback else ""),
    )  # fmt: skip


@pytest.mark.fault("O8")
def test_snapshots_of_whoever_may_be_needed_are_pinned_and_the_record_is_read_once() -> None:
    facts: list[Fact] = [snapshot(f"v{i}", 10 * i) for i in range(1, 10)]
    facts += [routed(i, f"v{i}", f"v{i - 1}" if i > 1 else "") for i in range(1, 8)]
    read = list[int]()

    def after(seq: int) -> Iterator[Recorded]:
        for number, fact in enumerate(facts[seq:], seq + 1):
            read.append(number)
            yield Recorded(seq=number, recorded_at=START, fact=fact)

    pins = Pins(after)
    assert pins.now({"v9"}) == {"predictions": frozenset({30, 40, 50, 60, 70, 90})}
    facts.append(routed(8, "v8", "v7"))
    assert pins.now(()) == {"predictions": frozenset({40, 50, 60, 70, 80})}
    assert read == list(range(1, 18)), "only what is new"
    assert Pins(lambda _: ()).now(()) == {}


@pytest.mark.fault("O8")
def test_old_rows_leave_after_a_day_and_their_files_after_another(lake: DeltaLake, tmp_path: Path) -> None:
    clock, versions = Clock(), dict(lake.versions())
    upkeep = Upkeep(lake, SegmentReader(tmp_path / "journal"), clock)

    def day(number: float, pins: dict[str, set[int]] | None = None) -> None:
        clock.seconds = number * EVERY_S
        upkeep.tidy(START + 4 * DAY, 2 * DAY, lambda: pins or {})

    clock.seconds = 0.5 * EVERY_S
    upkeep.tidy(START + 4 * DAY, 2 * DAY, lambda: pytest.fail("the record was read, and nothing can go"))
    assert lake.counts()["predictions"] == 4  # it is not time yet
    day(1.0)
    assert lake.counts()["predictions"] == 2
    assert lake.predictions(EVER, versions=versions).height == 4  # whoever reads now goes on
    day(2.0, {"predictions": {versions["predictions"]}})
    assert lake.predictions(EVER, versions=versions).height == 4  # a snapshot needs it
    day(3.0)
    with pytest.raises(NotFoundError, match="cannot be read any more"):
        lake.predictions(EVER, versions=versions)
    assert lake.predictions(EVER).height == 2


@pytest.mark.fault("O8")
@pytest.mark.parametrize("reboots", [False, True])
def test_a_loop_that_never_lives_a_day_lets_go_as_well(lake: DeltaLake, tmp_path: Path, *, reboots: bool) -> None:
    clock, versions, rows = Clock(), dict(lake.versions()), list[int]()
    for start in range(5):
        clock.seconds = start * 23 * 3600.0
        if reboots:
            clock.start, clock.started_s = f"boot {start}", clock.seconds
        upkeep = Upkeep(lake, SegmentReader(tmp_path / "journal"), clock)
        for hour in range(4):
            clock.seconds += 3600.0 * (hour > 0)
            upkeep.tidy(START + 4 * DAY, 2 * DAY, dict)
        rows.append(lake.counts()["predictions"])
        if start == 1:
            assert lake.predictions(EVER, versions=versions).height == 4  # somebody may be reading it
    assert rows == [4, 2, 2, 2, 2]
    with pytest.raises(NotFoundError, match="cannot be read any more"):
        lake.predictions(EVER, versions=versions)


def test_a_clock_that_was_set_back_deletes_no_file_early_and_holds_nothing_up(lake: DeltaLake, tmp_path: Path) -> None:
    clock, versions = Clock(set_by=400 * DAY), dict(lake.versions())
    reader = SegmentReader(tmp_path / "journal")
    Upkeep(lake, reader, clock)
    for start, height in enumerate((4, 4, 0), 1):
        clock.set_by, clock.start, clock.started_s = timedelta(), f"boot {start}", clock.seconds
        Upkeep(lake, reader, clock).tidy(START + 4 * DAY, 2 * DAY, dict)
        assert lake.counts()["predictions"] == 2
        if height:
            assert lake.predictions(EVER, versions=versions).height == height
        clock.seconds += EVERY_S * (start > 1) + 60
    with pytest.raises(NotFoundError, match="cannot be read any more"):
        lake.predictions(EVER, versions=versions)


def test_a_file_that_left_the_tables_stays_where_the_clock_was_set_back_since(lake: DeltaLake, tmp_path: Path) -> None:
    clock, versions = Clock(set_by=400 * DAY), dict(lake.versions())
    reader = SegmentReader(tmp_path / "journal")
    Upkeep(lake, reader, clock)
    clock.seconds += EVERY_S
    Upkeep(lake, reader, clock).tidy(START + 4 * DAY, 2 * DAY, dict)
    assert lake.counts()["predictions"] == 2
    clock.set_by, clock.start, clock.started_s = timedelta(), "boot 1", clock.seconds
    clock.seconds += 60
    Upkeep(lake, reader, clock).tidy(START + 4 * DAY, 2 * DAY, dict)
    assert lake.predictions(EVER, versions=versions).height == 4


@pytest.mark.parametrize(
    "note",
    [
        "{", "[]", "{}", "null",
        '{"at": "2026-01-01T00:00:00+00:00", "epoch": "", "monotonic": "x", "versions": {}}',
        '{"at": "yesterday", "epoch": "", "monotonic": 0.0, "versions": {}}',
        '{"at": 5, "epoch": "", "monotonic": 0.0, "versions": {}}',
        '{"at": "2026-01-01T00:00:00+00:00", "epoch": "", "monotonic": 0.0, "versions": []}',
    ],
)  # fmt: skip
def test_a_note_that_cannot_be_read_is_none_and_the_days_begin_anew(
    lake: DeltaLake, tmp_path: Path, note: str, caplog: pytest.LogCaptureFixture
) -> None:
    clock, rows = Clock(seconds=10 * EVERY_S), list[int]()
    lake.note_look(note)
    upkeep = Upkeep(lake, SegmentReader(tmp_path / "journal"), clock)
    for _ in range(2):
        upkeep.tidy(START + 4 * DAY, 2 * DAY, dict)
        rows.append(lake.counts()["predictions"])
        clock.seconds += EVERY_S
    assert rows == [4, 2]
    assert caplog.text.count("upkeep_note_unreadable") == 1


def test_a_note_of_an_anew_that_notes_more_is_read(lake: DeltaLake, tmp_path: Path) -> None:
    clock, reader = Clock(), SegmentReader(tmp_path / "journal")
    Upkeep(lake, reader, clock)
    lake.note_look(json.dumps(json.loads(lake.look()) | {"more": 1}))
    clock.seconds = EVERY_S
    Upkeep(lake, reader, clock).tidy(START + 4 * DAY, 2 * DAY, dict)
    assert lake.counts()["predictions"] == 2


def test_without_retention_nothing_is_ever_deleted(lake: DeltaLake, tmp_path: Path) -> None:
    clock, versions = Clock(), dict(lake.versions())
    upkeep = Upkeep(lake, SegmentReader(tmp_path / "journal"), clock)
    for number in range(1, 5):
        clock.seconds = number * EVERY_S
        upkeep.tidy(START + 400 * DAY, None, dict)
    assert lake.predictions(EVER, versions=versions).height == lake.predictions(EVER).height == 4


def test_a_look_at_every_byte_says_after_each_file_that_it_comes_on(lake: DeltaLake, tmp_path: Path) -> None:
    said = list[int]()
    upkeep = Upkeep(lake, SegmentReader(tmp_path / "journal"), Clock(), lambda: said.append(1))
    assert upkeep.verify() == ()
    assert len(said) >= len(list((tmp_path / "lake" / "predictions").glob("*.parquet"))) == 4
    next((tmp_path / "lake" / "predictions").glob("*.parquet")).unlink()
    said.clear()
    assert upkeep.verify() != ()
    assert len(said) >= 8, "so does one that mends what is damaged"


@pytest.mark.fault("D13")
def test_damage_is_found_by_itself_and_mended_from_the_journal(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = SegmentJournal(tmp_path / "journal" / "w0")
    batch = [prediction(i) for i in range(5)]
    journal.append(batch)
    journal.close()
    lake = DeltaLake(tmp_path / "lake", COLUMNS, "m", tmp_path / "lake.db")
    reader = SegmentReader(tmp_path / "journal")
    read = reader.read("w0", after=0, most=10)
    lake.append("w0", read.position, read.observations)
    upkeep = Upkeep(lake, reader, Clock())
    assert upkeep.verify() == ()
    (file,) = (tmp_path / "lake" / "predictions").glob("*.parquet")
    whole = file.read_bytes()
    file.write_bytes(whole[:-7] + b"damaged")
    (problem,) = upkeep.verify()
    assert "has other bytes than were stored" in problem
    assert file.read_bytes() == whole
    assert upkeep.verify() == ()
    # And what cannot be mended is said, and stops nobody.
    file.unlink()
    lost = Upkeep(lake, SegmentReader(tmp_path / "nothing"), Clock())
    assert lost.verify()
    assert "a person has to look" in caplog.text
    lake.close()
