"""The lake on disk keeps the contract; damage is found and repaired; disks that fail lose nothing."""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from anew.adapters.delta_lake import DeltaLake
from anew.adapters.memory_lake import MemoryLake
from anew.domain.boundary import hook
from anew.domain.column import Column, ColumnKind, Columns, Task
from anew.domain.errors import ConflictError, IntegrityError, SchemaError, UnavailableError
from anew.domain.interval import Interval
from anew.domain.observation import Observation
from anew.feedback.address import rows_address
from anew.loop.drain import Drainer
from anew.testing.contract_lake import COLUMNS, DAY, EVER, START, LakeContract, label, prediction


@dataclass
class Journal:
    """A journal in memory, read as the segment reader reads: position is the number of the last observation."""

    rows: list[Observation] = field(default_factory=list)
    trimmed: int = 0

    @dataclass(frozen=True)
    class Batch:
        """What was read."""

        journal: str
        position: int
        observations: Sequence[Observation]

    def journals(self) -> Sequence[str]:
        """The one."""
        return ["w0"]

    def read(self, journal: str, *, after: int, most: int) -> Batch:
        """Rows above `after`."""
        assert journal == "w0"
        if after < self.trimmed:
            raise IntegrityError(f"journal {journal}: observations up to {self.trimmed} are gone")
        rows = self.rows[after : after + most]
        return self.Batch(journal, after + len(rows), rows)

    def trim(self, journal: str, *, upto: int) -> None:
        """Forget."""
        assert journal == "w0"
        self.trimmed = upto


def _open(folder: Path) -> DeltaLake:
    return DeltaLake(folder / "lake", COLUMNS, "m", folder / "state" / "lake.db")


@pytest.fixture
def reopen(tmp_path: Path) -> Iterator[Callable[[], DeltaLake]]:
    """Close the lake that is open, as a restart does, and open it again."""
    opened: list[DeltaLake] = []

    def again() -> DeltaLake:
        while opened:
            opened.pop().close()
        opened.append(_open(tmp_path))
        return opened[0]

    yield again
    for lake in opened:
        lake.close()


@pytest.fixture(autouse=True)
def _unhooked() -> Iterator[None]:
    yield
    hook(None)


class TestDeltaLake(LakeContract):
    """The contract."""

    @pytest.fixture
    def lake(self, reopen: Callable[[], DeltaLake]) -> DeltaLake:
        """Return an empty one."""
        return reopen()


def _batch(first: int, n: int) -> list[Observation]:
    return [o for i in range(first, first + n) for o in (prediction(i, output=i % 2), label(i, i % 3 % 2))]


def _fill(lake: DeltaLake, journal: Journal, batches: int, size: int = 3) -> None:
    for _ in range(batches):
        first = len(journal.rows)
        journal.rows += _batch(first // 2, size)
        lake.append("w0", len(journal.rows), journal.rows[first:])


def _all(lake: DeltaLake) -> tuple[str, str]:
    return rows_address(lake.predictions(EVER)), rows_address(lake.labelled(EVER))


def _commit(folder: Path, table: str, version: int) -> Path:
    return folder / "lake" / table / "_delta_log" / f"{version:020d}.json"


def test_a_restart_finds_everything_and_any_delta_reader_reads_it(
    reopen: Callable[[], DeltaLake], tmp_path: Path
) -> None:
    lake, journal = reopen(), Journal()
    _fill(lake, journal, 4)
    before = _all(lake)
    lake = reopen()
    assert _all(lake) == before
    assert lake.drained("w0") == 24
    table = DeltaTable(tmp_path / "lake" / "predictions")
    assert (table.version(), table.count(), table.transaction_version("anew-w0")) == (4, 12, 24)
    assert pl.read_delta(str(tmp_path / "lake" / "predictions")).sort("_id")["_id"].to_list() == [
        f"p{i:08d}" for i in range(12)
    ]
    assert list(lake.verify()) == []


def test_lakes_on_disk_and_in_memory_answer_alike(reopen: Callable[[], DeltaLake]) -> None:
    chance = random.Random(5)
    disk, memory = reopen(), MemoryLake(COLUMNS)
    rows = [
        o for i in range(60) for o in (prediction(chance.randrange(50)), label(chance.randrange(50), i % 2, id=f"{i}"))
    ]
    chance.shuffle(rows)
    for first in range(0, len(rows), 17):
        batch = rows[first : first + 17]
        for lake in (disk, memory):
            lake.append("w0", first + len(batch), batch)
    for start in range(0, 50, 7):
        span = Interval(start=START + timedelta(minutes=start), end=START + timedelta(minutes=start + 11))
        assert disk.predictions(span).equals(memory.predictions(span))
        assert disk.labels(span).equals(memory.labels(span))
        assert disk.labelled(span).equals(memory.labelled(span))
    assert disk.counts() == memory.counts()


def test_a_lake_of_other_columns_or_of_another_model_is_refused(tmp_path: Path) -> None:
    mark = tmp_path / "state" / "lake.db"
    wider = replace(COLUMNS, features=(*COLUMNS.features[1:], Column(name="more", kind=ColumnKind.NUMBER)))
    with closing(DeltaLake(tmp_path / "lake", wider, "m", mark)) as lake:
        assert (lake.compact(), lake.expire(START), lake.vacuum({})) == (0, 0, 0), "nothing is stored, nothing settled"
        with closing(_open(tmp_path)) as edited:  # a reader with what was edited meanwhile
            edited.append("0", 1, [prediction(1)])
        with pytest.raises(SchemaError, match="other columns"):
            lake.append("1", 1, [prediction(2)])
    gone = COLUMNS.features[0].name
    with pytest.raises(SchemaError, match=rf"other columns: gone: {gone}; new: more; put that back"):
        DeltaLake(tmp_path / "lake", wider, "m", mark)
    other = Columns(time="ts", target="y", features=COLUMNS.features, task=Task.REGRESSION)
    with pytest.raises(SchemaError, match="of another kind: the label;"):
        DeltaLake(tmp_path / "lake", other, "m", mark)
    with pytest.raises(SchemaError, match="model"):
        DeltaLake(tmp_path / "lake", COLUMNS, "n", tmp_path / "state" / "lake.db")


def test_numbers_stay_numbers_for_regression(tmp_path: Path) -> None:
    columns = Columns(time="ts", target="y", features=COLUMNS.features, task=Task.REGRESSION)
    lake = DeltaLake(tmp_path / "lake", columns, "m", tmp_path / "state" / "lake.db")
    lake.append("w0", 2, [prediction(0, output=1), label(0, 7)])
    assert lake.labelled(EVER)["_label"].to_list() == [7.0]
    assert lake.predictions(EVER)["_output"].dtype == pl.Float64
    lake.close()


def test_a_second_writer_is_kept_out_and_a_reader_is_not(reopen: Callable[[], DeltaLake], tmp_path: Path) -> None:
    lake, journal = reopen(), Journal()
    _fill(lake, journal, 2)
    other = _open(tmp_path)
    assert _all(other) == _all(lake)
    with pytest.raises(ConflictError, match="another process"):
        other.append("w1", 1, [prediction(99)])
    other.close()


def test_a_read_opens_the_files_of_its_span_alone(reopen: Callable[[], DeltaLake], tmp_path: Path) -> None:
    lake = reopen()
    for day in range(6):
        lake.append("w0", 2 * day + 2, [prediction(day * 1440), label(day * 1440, delay=3 * DAY)])
    for table, kept in (("predictions", 3), ("labels", 3)):
        files = sorted((tmp_path / "lake" / table).glob("*.parquet"))
        for path in files[:kept] + files[kept + 1 :]:
            path.unlink()  # whatever else a read touched would raise
    span = Interval(start=START + 3 * DAY, end=START + 4 * DAY)
    assert lake.labelled(span).height == lake.labels(span).height == 1
    with pytest.raises(IntegrityError, match="is missing"):
        lake.predictions(EVER)


def test_compaction_keeps_every_row_and_every_old_version(
    reopen: Callable[[], DeltaLake], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anew.adapters.delta_lake.SMALL_FILES", 4)
    lake, journal = reopen(), Journal()
    _fill(lake, journal, 3, size=4)
    then, before = dict(lake.versions()), _all(lake)
    _fill(lake, journal, 3, size=8)
    now = _all(lake)
    assert lake.compact() == 12
    assert lake.compact() == 0
    table = DeltaTable(tmp_path / "lake" / "labels")
    assert (len(table.file_uris()), table.count(), DeltaTable(table.table_uri, version=3).count()) == (1, 36, 12)
    opened = lake
    for restarted in (False, True):
        opened = reopen() if restarted else lake
        assert _all(opened) == now
        assert (
            rows_address(opened.predictions(EVER, versions=then)),
            rows_address(opened.labelled(EVER, versions=then)),
        ) == before
        assert list(opened.verify()) == []
        came = opened.fresh("labels", after=then["labels"], upto=opened.versions()["labels"])
        assert came.height == 24, "what was made of rows that were there before is nothing new"
    _fill(opened, journal, 1)
    assert opened.counts() == {"predictions": 39, "labels": 39, "feedback": 0, "history": 0}


def test_checkpoints_are_marked_and_a_torn_one_is_dropped(
    reopen: Callable[[], DeltaLake], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anew.adapters._delta_writer.CHECKPOINT_EVERY", 4)
    lake, journal = reopen(), Journal()
    _fill(lake, journal, 9, size=1)
    log = tmp_path / "lake" / "predictions" / "_delta_log"
    made = sorted(path.name[:20] for path in log.glob("*.checkpoint.parquet"))
    assert made == [f"{v:020d}" for v in (3, 7)]
    (log / f"{9:020d}.checkpoint.parquet").write_bytes(b"")  # what a power cut leaves of one that was not synced
    (log / "_last_checkpoint").write_text('{"version":9,"size":4}')
    lake = reopen()
    _fill(lake, journal, 2, size=1)
    assert lake.counts()["predictions"] == DeltaTable(log.parent).count() == 11
    (log / f"{11:020d}.checkpoint.parquet").write_bytes(b"junk")
    assert [s for s in lake.verify() if "checkpoint" in s]
    assert any("checkpoint" in s for s in lake.rebuild(journal))
    assert list(lake.verify()) == []


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def _swap(path: Path) -> None:
    """Put another valid file of the same table in the place."""
    other = next(p for p in sorted(path.parent.glob(f"*{path.suffix}")) if p.name != path.name)
    path.write_bytes(other.read_bytes())


DAMAGES = [
    pytest.param(_empty, 4, marks=pytest.mark.fault("D10"), id="last-empty"),
    pytest.param(Path.unlink, 4, marks=pytest.mark.fault("D11"), id="last-missing"),
    pytest.param(_cut, 4, marks=pytest.mark.fault("D12"), id="last-cut"),
    pytest.param(Path.unlink, 2, marks=pytest.mark.fault("D12"), id="gap"),
    pytest.param(_flip, 3, marks=pytest.mark.fault("D12"), id="flipped"),
]


@pytest.mark.parametrize(("damage", "version"), DAMAGES)
@pytest.mark.parametrize("restarted", [False, True])
def test_a_damaged_commit_is_found_and_put_back(
    reopen: Callable[[], DeltaLake], tmp_path: Path, damage: Callable[[Path], None], version: int, restarted: bool
) -> None:
    lake, journal = reopen(), Journal()
    _fill(lake, journal, 4)
    before = _all(lake)
    damage(_commit(tmp_path, "predictions", version))
    if restarted:
        lake = reopen()
    assert any(f"version {version}" in sentence for sentence in lake.verify())
    assert _all(lake) == before  # reads go on: they rest on the files, which are whole
    if version == 4:
        with pytest.raises(IntegrityError, match="version 4"):
            lake.append("w0", 99, [prediction(999)])
    assert lake.rebuild(journal)
    assert list(lake.verify()) == []
    _fill(lake, journal, 1)
    assert DeltaTable(tmp_path / "lake" / "predictions").count() == lake.counts()["predictions"] == 15


def test_a_damaged_commit_keeps_no_start_from_its_repair(reopen: Callable[[], DeltaLake], tmp_path: Path) -> None:
    """A project's loop asks whether its history was imported before it repairs anything."""
    frame = pl.DataFrame({"_at": [START], "_label": [1], "temp": [1], "sky": ["fog"], "view": [[1, 2]]})
    assert reopen().import_history(frame, source="file") == 1
    _empty(_commit(tmp_path, "history", 1))
    lake = reopen()
    assert lake.imported("file")
    assert lake.import_history(frame, source="file") == 0
    with pytest.raises(IntegrityError, match="`anew doctor` says what to do"):
        lake.import_history(frame, source="another")
    assert lake.rebuild(Journal())
    assert lake.import_history(frame, source="another") == 1


def test_a_batch_that_the_next_call_finishes_is_missed_by_nobody(reopen: Callable[[], DeltaLake]) -> None:
    def full(reached: str) -> None:
        if reached == "lake.commit_stored":
            raise UnavailableError("the disk is full")

    lake, journal = reopen(), Journal(_batch(0, 3))
    drainer = Drainer(journal, lake)
    hook(full)
    with pytest.raises(UnavailableError, match="the disk is full"):
        drainer.drain_once()
    hook(None)
    drainer.drain_once()
    assert (lake.drained("w0"), lake.counts()["predictions"], lake.counts()["labels"]) == (6, 3, 3)


@pytest.mark.fault("D10")
def test_control_deltalake_itself_takes_an_empty_last_commit_for_granted(
    reopen: Callable[[], DeltaLake], tmp_path: Path
) -> None:
    lake, journal = reopen(), Journal()
    _fill(lake, journal, 4)
    _empty(_commit(tmp_path, "predictions", 4))
    assert DeltaTable(tmp_path / "lake" / "predictions").count() == 9  # three acknowledged rows less, and no word


@pytest.mark.fault("D13")
@pytest.mark.parametrize("damage", [Path.unlink, _flip, _swap, _cut])
@pytest.mark.parametrize("compacted", [False, True])
def test_a_damaged_file_is_found_never_read_and_made_again(
    reopen: Callable[[], DeltaLake],
    tmp_path: Path,
    damage: Callable[[Path], None],
    compacted: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("anew.adapters.delta_lake.SMALL_FILES", 3)
    lake, journal = reopen(), Journal()
    _fill(lake, journal, 3)
    if compacted:
        lake.compact()
    before = _all(lake)
    path = sorted((tmp_path / "lake" / "predictions").glob("*.parquet"))[-1]
    damage(path)
    opened = lake
    for restarted in (False, True):
        opened = reopen() if restarted else lake
        with pytest.raises(IntegrityError, match="`anew doctor` says what to do"):
            opened.predictions(EVER)
        assert any(path.name in sentence for sentence in opened.verify())
    assert any(path.name in sentence for sentence in opened.rebuild(journal))
    assert _all(opened) == before
    assert list(opened.verify()) == []


@pytest.mark.fault("D13")
def test_what_the_journal_no_longer_has_is_named_and_not_made_up(
    reopen: Callable[[], DeltaLake], tmp_path: Path
) -> None:
    lake, journal = reopen(), Journal()
    _fill(lake, journal, 3)
    journal.trim("w0", upto=12)
    _flip(sorted((tmp_path / "lake" / "labels").glob("*.parquet"))[0])
    with pytest.raises(IntegrityError, match=r"3 rows .* cannot be made again: .*gone"):
        lake.rebuild(journal)
    assert len(lake.verify()) == 1
    assert lake.counts()["labels"] == 9


def test_commits_of_another_program_are_named_and_stop_the_writer(
    reopen: Callable[[], DeltaLake], tmp_path: Path
) -> None:
    lake, journal = reopen(), Journal()
    _fill(lake, journal, 2)
    foreign = pl.read_delta(str(tmp_path / "lake" / "predictions")).head(1)
    foreign.write_delta(str(tmp_path / "lake" / "predictions"), mode="append")
    assert any("foreign" in sentence for sentence in lake.verify())
    with pytest.raises(IntegrityError, match="another program wrote version 3"):
        lake.append("w0", 99, [prediction(999)])
    with pytest.raises(IntegrityError, match="move its commit away"):
        lake.rebuild(journal)
    assert lake.predictions(EVER).height == 6


def test_a_table_whose_mark_is_lost_is_not_written_to(reopen: Callable[[], DeltaLake], tmp_path: Path) -> None:
    lake, journal = reopen(), Journal()
    _fill(lake, journal, 2)
    for path in (tmp_path / "state").iterdir():
        path.unlink()
    lake = reopen()
    assert any("no high-water mark" in sentence for sentence in lake.verify())
    with pytest.raises(IntegrityError, match=r"lake\.db"):
        lake.append("w0", 1, [prediction(0)])


class _Crash(BaseException):
    """The program ends here."""


def _crash_at(name: str, nth: int) -> Callable[[str], None]:
    left = [nth]

    def action(reached: str) -> None:
        if reached == name:
            left[0] -= 1
            if not left[0]:
                raise _Crash(name)

    return action


BOUNDARIES = [("lake.files_stored", 1), ("lake.intent_stored", 1), ("lake.commit_stored", 1), ("lake.commit_stored", 2)]


@pytest.mark.parametrize(("name", "nth"), [*BOUNDARIES, ("lake.mark_moved", 1)])
def test_a_crash_between_two_steps_is_finished_or_undone(
    reopen: Callable[[], DeltaLake], name: str, nth: int, tmp_path: Path
) -> None:
    lake, journal = reopen(), Journal()
    _fill(lake, journal, 2)
    hook(_crash_at(name, nth))
    with pytest.raises(_Crash):
        _fill(lake, journal, 1)
    hook(None)
    lake = reopen()
    journal.rows += _batch(9, 2)  # by now the journal has more, and a batch ends elsewhere
    try:
        lake.append("w0", len(journal.rows), journal.rows[lake.drained("w0") :])
    except ConflictError as refusal:
        assert "read again" in str(refusal)
        lake.append("w0", len(journal.rows), journal.rows[lake.drained("w0") :])
    assert lake.counts() == {"predictions": 11, "labels": 11, "feedback": 0, "history": 0}
    assert DeltaTable(tmp_path / "lake" / "labels").count() == 11
    assert list(lake.verify()) == []
    stored = {p.name for p in (tmp_path / "lake" / "labels").glob("*.parquet")}
    assert len(stored) == DeltaTable(tmp_path / "lake" / "labels").version()  # nothing lies about


def test_a_commit_that_was_cut_before_its_mark_is_set_aside_and_made_again(
    reopen: Callable[[], DeltaLake], tmp_path: Path
) -> None:
    lake, journal = reopen(), Journal()
    _fill(lake, journal, 2)
    hook(_crash_at("lake.commit_stored", 2))
    with pytest.raises(_Crash):
        _fill(lake, journal, 1)
    hook(None)
    _empty(_commit(tmp_path, "labels", 3))
    lake = reopen()
    lake.append("w0", 18, journal.rows[12:])
    assert lake.counts() == {"predictions": 9, "labels": 9, "feedback": 0, "history": 0}
    assert list(lake.verify()) == []
    assert [p.name for p in (tmp_path / "lake" / "labels" / "_quarantine").iterdir()]


@pytest.mark.fault("D2")
@pytest.mark.parametrize("table", ["predictions", "labels"])
def test_a_write_that_fails_stores_nothing_or_is_finished_later(
    reopen: Callable[[], DeltaLake], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    lake, journal = reopen(), Journal()
    _fill(lake, journal, 2)
    write = DeltaTable.create_write_transaction

    def full(self: DeltaTable, *args: object, **kwargs: object) -> None:
        if f"lake/{table}" in self.table_uri:
            raise OSError(28, "No space left on device (os error 28)")
        write(self, *args, **kwargs)  # type: ignore[arg-type]  # handed on as they came

    monkeypatch.setattr(DeltaTable, "create_write_transaction", full)
    journal.rows += _batch(6, 2)
    with pytest.raises(UnavailableError, match="No space left"):
        lake.append("w0", 16, journal.rows[12:])
    assert (lake.drained("w0"), lake.counts()["predictions"], lake.predictions(EVER).height) == (12, 6, 6)
    monkeypatch.undo()
    lake.append("w0", 16, journal.rows[12:])
    assert lake.counts() == {"predictions": 8, "labels": 8, "feedback": 0, "history": 0}
    assert list(lake.verify()) == []


class PanicException(BaseException):
    """What deltalake raises when its Rust side gives up."""


@pytest.mark.fault("D2")
def test_a_panic_in_rust_is_an_error_like_others(
    reopen: Callable[[], DeltaLake], monkeypatch: pytest.MonkeyPatch
) -> None:
    def panic(*args: object, **kwargs: object) -> None:
        raise PanicException("called `Result::unwrap()` on an `Err` value")

    lake, journal = reopen(), Journal()
    _fill(lake, journal, 1)
    monkeypatch.setattr(DeltaTable, "create_write_transaction", panic)
    with pytest.raises(UnavailableError, match="gave up"):
        _fill(lake, journal, 1)
    monkeypatch.undo()
    lake.append("w0", len(journal.rows), journal.rows[lake.drained("w0") :])
    assert lake.counts()["predictions"] == 6
