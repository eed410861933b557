"""What a lake loses on purpose, and that nothing else is lost: retention, vacuum under pins, erasing a subject."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from anew.adapters._delta_file import FileReader
from anew.adapters._lake_folder import LocalFolder, Stamp
from anew.adapters._lake_mark import StoredFile
from anew.adapters.delta_lake import DeltaLake
from anew.adapters.local_disk import LocalDisk
from anew.adapters.segment_journal import SegmentJournal
from anew.adapters.segment_reader import SegmentReader
from anew.domain.boundary import hook
from anew.domain.errors import NotFoundError
from anew.domain.observation import Label, Prediction, id_prefix
from anew.feedback.address import rows_address
from anew.loop.drain import Drainer
from anew.testing.contract_lake import COLUMNS, DAY, EVER, START, label, prediction


@pytest.fixture(autouse=True)
def _unhooked() -> Iterator[None]:
    yield
    hook(None)


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[DeltaLake]:
    opened = DeltaLake(tmp_path / "lake", COLUMNS, "m", tmp_path / "lake.db")
    yield opened
    opened.close()


def timed(i: int, day: int) -> tuple[Prediction, Label]:
    """Return a prediction of that day, its id by its time, and its label."""
    at = START + day * DAY + timedelta(minutes=i)
    id = f"{id_prefix(at)}{i:020d}"
    made = replace(prediction(i, at=at), id=id, key=f"k{i}")
    return made, replace(label(i, of=id, id=f"l{day}-{i}"), at=at, received_at=at + timedelta(hours=1))


def fill(lake: DeltaLake, days: int = 4, per_day: int = 3) -> list[dict[str, int]]:
    """Store a batch a day; return the versions after each."""
    found = []
    for day in range(days):
        batch = [each for i in range(per_day) for each in timed(i, day)]
        lake.append("w0", (day + 1) * len(batch), batch)
        found.append(dict(lake.versions()))
    return found


def files(root: Path) -> int:
    return len(list(root.glob("lake/*/*.parquet")))


def test_what_is_too_old_leaves_the_present_and_stays_for_old_versions(lake: DeltaLake, tmp_path: Path) -> None:
    versions = fill(lake)
    before = rows_address(lake.labelled(EVER, versions=versions[-1]))
    assert lake.expire(START + 2 * DAY) == 2 * (3 + 3)
    assert lake.labelled(EVER).height == 6
    assert lake.counts()["predictions"] == lake.counts()["labels"] == 6
    assert rows_address(lake.labelled(EVER, versions=versions[-1])) == before
    assert lake.verify() == []
    assert DeltaTable(tmp_path / "lake" / "predictions").to_pyarrow_table().num_rows == 6
    assert lake.expire(START + 2 * DAY) == 0


@pytest.mark.fault("O8")
def test_vacuum_never_takes_what_a_snapshot_has_pinned(lake: DeltaLake, tmp_path: Path) -> None:
    versions = fill(lake)
    pinned = versions[-1]
    before = rows_address(lake.labelled(EVER, versions=pinned))
    lake.expire(START + 2 * DAY)
    there = files(tmp_path)
    assert lake.vacuum({table: {version} for table, version in pinned.items()}) == 0
    assert files(tmp_path) == there
    assert rows_address(lake.labelled(EVER, versions=pinned)) == before


@pytest.mark.fault("O8")
def test_planted_without_the_pin_the_files_go_and_the_version_is_refused_never_read_in_part(
    lake: DeltaLake, tmp_path: Path
) -> None:
    pinned = fill(lake)[-1]
    lake.expire(START + 2 * DAY)
    there = files(tmp_path)
    assert lake.vacuum({}) == 4
    assert files(tmp_path) == there - 4
    with pytest.raises(NotFoundError, match="cannot be read any more"):
        lake.labelled(EVER, versions=pinned)
    assert lake.labelled(EVER).height == 6
    assert lake.verify() == []


@pytest.mark.fault("O8")
def test_compaction_and_vacuum_keep_pinned_snapshots_digest_by_digest(lake: DeltaLake) -> None:
    versions = fill(lake, days=10, per_day=2)
    digests = [rows_address(lake.labelled(EVER, versions=each)) for each in versions]
    assert lake.compact()
    pins = {table: {versions[3][table], versions[7][table]} for table in versions[0]}
    lake.vacuum(pins)
    for day in (3, 7):
        assert rows_address(lake.labelled(EVER, versions=versions[day])) == digests[day]
    with pytest.raises(NotFoundError):
        lake.labelled(EVER, versions=versions[9])  # its last files went with the compaction, nobody had pinned it
    assert lake.labelled(EVER).height == 20


def test_a_subject_is_erased_from_every_version_and_nobody_else(lake: DeltaLake, tmp_path: Path) -> None:
    versions = fill(lake)
    frame = pl.DataFrame({
        "_at": [START + 2 * DAY, START + 2 * DAY], "_label": [1, 0], "temp": [1, 2], "sky": ["fog", None],
        "view": [None, [1, 2]], "_key": ["k1", "other"],
    })  # fmt: skip
    lake.import_history(frame, source="file")
    lake.expire(START + DAY)  # the first day is in old versions only
    counts, ids = lake.purge("k1")
    assert counts == {"predictions": 3, "labels": 3, "feedback": 0, "history": 1}
    assert len(ids) == 4  # with that of the first day
    assert "k1" not in set(lake.predictions(EVER)["_key"])
    assert lake.labelled(EVER).height == 3 * 2 + 1
    assert lake.verify() == []
    with pytest.raises(NotFoundError, match="erased"):
        lake.labelled(EVER, versions=versions[-1])
    for path in tmp_path.glob("lake/*/*.parquet"):
        held = pl.read_parquet(path)
        if "_key" in held.columns:
            assert "k1" not in set(held["_key"]), path
        if "_prediction" in held.columns:
            assert not set(held["_prediction"]) & ids
    assert lake.purge("k1")[0]["predictions"] == 0
    lake.append("w0", 1000, [timed(9, 9)[0]])
    assert lake.counts()["predictions"] == 3 * 2 + 1


def came(lake: DeltaLake, table: str, after: int, upto: int | None = None) -> list[str]:
    """Return the ids of the rows that came since a version, in order."""
    found = lake.fresh(table, after=after, upto=lake.versions()[table] if upto is None else upto)
    return sorted(found["_id"].to_list())


def left_of(days: range, but: str = "k1") -> list[str]:
    """Return the ids of the labels of those days that are about nobody else than `but`."""
    made = [timed(i, day) for day in days for i in range(3)]
    return sorted(said.id for served, said in made if served.key != but)


def test_what_a_purge_would_erase_is_what_it_erases(lake: DeltaLake) -> None:
    assert lake.having("k1") == {}
    fill(lake)
    lake.compact()
    found, before = lake.having("k1"), lake.versions()
    assert lake.versions() == before
    assert found == {"predictions": 4, "labels": 4, "feedback": 0, "history": 0} == lake.purge("k1")[0]
    assert set(lake.having("k1").values()) == set(lake.having("nobody").values()) == {0}


def test_what_a_purge_would_erase_has_the_labels_of_predictions_that_only_old_versions_have(lake: DeltaLake) -> None:
    fill(lake)
    young = [timed(1, 0)[1], timed(1, 3)[1]]  # one file, which stays for the sake of the younger
    lake.append("w0", 100, [replace(each, id=f"again-{each.id}") for each in young])
    lake.expire(START + DAY)
    assert (found := lake.having("k1")) == lake.purge("k1")[0]
    assert (found["predictions"], found["labels"]) == (3, 5)


def test_what_a_purge_would_erase_can_be_asked_while_it_erases(
    lake: DeltaLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(lake)
    read, purged = FileReader.read, list[str]()

    def meanwhile(self: FileReader, files: Sequence[StoredFile], where: pl.Expr | None = None) -> pl.DataFrame:
        if not purged:
            purged.append("k1")
            lake.purge("k1")
        return read(self, files, where)

    monkeypatch.setattr(FileReader, "read", meanwhile)
    assert set(lake.having("k1").values()) == {0}


def test_rows_that_a_purge_left_are_fresh_once_and_the_erased_ones_never(lake: DeltaLake) -> None:
    versions = fill(lake)
    lake.append("w0", 100, [*timed(1, 4)])  # a file of nothing but what is erased
    then, before = versions[0]["labels"], lake.versions()["labels"]
    lake.purge("k1")
    assert came(lake, "labels", then) == left_of(range(1, 4))
    assert came(lake, "labels", then, upto=before) == left_of(range(1, 4)), "they came before the purge"
    assert came(lake, "labels", before) == [], "a purge brings no rows"
    lake.purge("k2")
    assert came(lake, "labels", then) == [f"l{day}-0" for day in range(1, 4)], "rewritten twice"


@pytest.mark.parametrize("erased", [True, False])
def test_rows_that_were_compacted_before_they_were_read_are_fresh_also_when_their_files_are_deleted(
    lake: DeltaLake, *, erased: bool
) -> None:
    versions = fill(lake, days=10)
    then, before = versions[4]["labels"], versions[9]["labels"]
    assert lake.compact()
    assert came(lake, "labels", then) == sorted(left_of(range(5, 10), but=""))
    if erased:
        lake.purge("k1")
    else:
        lake.vacuum({})
    again = came(lake, "labels", then)
    assert set(again) >= set(left_of(range(5, 10)))
    assert set(again) <= set(left_of(range(10), but="k1" if erased else "")), "what came earlier may be among them"
    assert len(again) == len(set(again))
    assert came(lake, "labels", before) == []


def test_rows_that_were_too_old_before_they_were_read_are_not_missed(lake: DeltaLake) -> None:
    versions = fill(lake)
    lake.expire(START + 2 * DAY)
    assert came(lake, "labels", 0) == left_of(range(4), but=""), "until their files are deleted they can be read"
    lake.vacuum({})
    assert came(lake, "labels", 0) == left_of(range(2, 4), but="")
    assert came(lake, "labels", 0, upto=versions[1]["labels"]) == []


class Disturbed(LocalFolder):
    """A table's folder; before it is looked into, what is on the list is done, one at a time."""

    def __init__(self, root: Path, meanwhile: list[Callable[[], object]]) -> None:
        super().__init__(root, LocalDisk())
        self._meanwhile = meanwhile

    def stamp(self, name: str) -> Stamp | None:
        """Let another thread be quicker."""
        if self._meanwhile:
            self._meanwhile.pop()()
        return super().stamp(name)


def test_while_subjects_are_erased_what_arrives_is_stored_and_read_without_a_complaint(tmp_path: Path) -> None:
    """Subjects are erased while a batch is being stored, and between the finding of files and their reading."""
    people, subjects = 60, iter(range(0, 60, 3))  # by the time that one is erased its rows are stored
    journal = SegmentJournal(tmp_path / "journal" / "w0")
    journal.append([each for number in range(people) for each in timed(number, 0)])
    journal.close()
    meanwhile: list[Callable[[], object]] = []
    lake = DeltaLake(lambda t: Disturbed(tmp_path / "lake" / t, meanwhile), COLUMNS, "m", tmp_path / "lake.db")
    drainer = Drainer(SegmentReader(tmp_path / "journal"), lake, most=20, rounds=1)
    read: list[str] = []
    gone: set[str] = set()

    def purge() -> None:
        gone.add(key := f"k{next(subjects)}")
        lake.purge(key)

    def store(boundary: str) -> None:
        if boundary == "drain.before_write" and lake.drained("w0"):
            purge()

    hook(store)
    after = 0
    while drainer.drain_once().read:
        version = lake.versions()["labels"]
        meanwhile.append(purge)
        read += lake.fresh("labels", after=after, upto=version)["_prediction"].to_list()
        after = version
        meanwhile.append(purge)
        lake.predictions(EVER)
        assert not meanwhile
    made = [timed(number, 0)[0] for number in range(people)]
    kept = {each.id for each in made if each.key not in gone}
    assert len(gone) == 17
    assert set(lake.predictions(EVER)["_id"]) == set(lake.labels(EVER)["_prediction"]) == kept
    assert {id for id in read if id in kept} == kept
    assert len(read) == len(set(read)), "once"
    assert lake.verify() == []
    lake.close()
