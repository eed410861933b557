"""What a lake loses on purpose, and that nothing else is lost: retention, vacuum under pins, erasing a subject."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from anew.adapters.delta_lake import DeltaLake
from anew.domain.errors import NotFoundError
from anew.domain.observation import Label, Prediction, id_prefix
from anew.feedback.address import rows_address
from anew.testing.contract_lake import COLUMNS, DAY, EVER, START, label, prediction


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
