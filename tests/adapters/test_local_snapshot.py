"""Snapshots are given away as they were stored or not at all."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from anew.adapters.local_snapshot import LocalSnapshotStore
from anew.domain.errors import IntegrityError, NotFoundError, UnavailableError
from anew.feedback.address import rows_address

ROWS = pl.DataFrame(
    {
        "_at": [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=i) for i in range(3)],
        "_label": ["a", None, "b"],
        "x": [1.0, None, float("nan")],
    }
)


def test_rows_come_back_under_their_address(tmp_path: Path) -> None:
    store = LocalSnapshotStore(tmp_path / "snapshots")
    digest = store.put(ROWS)
    assert digest == rows_address(ROWS)
    assert pl.read_parquet(store.get(digest)).equals(ROWS)


def test_the_same_rows_are_stored_once(tmp_path: Path) -> None:
    store = LocalSnapshotStore(tmp_path)
    digest = store.put(ROWS)
    before = store.get(digest).stat().st_mtime_ns
    assert store.put(ROWS.clone()) == digest
    assert store.get(digest).stat().st_mtime_ns == before
    assert len(list(tmp_path.iterdir())) == 1


def test_order_and_values_make_the_address(tmp_path: Path) -> None:
    store = LocalSnapshotStore(tmp_path)
    changed = ROWS.with_columns(x=pl.Series([1.0, 0.0, float("nan")]))
    assert len({store.put(each) for each in (ROWS, ROWS.reverse(), changed, ROWS.head(2))}) == 4


@pytest.mark.parametrize("damage", ["bytes", "other rows", "empty"])
def test_what_is_not_what_was_stored_is_refused(tmp_path: Path, damage: str) -> None:
    store = LocalSnapshotStore(tmp_path)
    digest = store.put(ROWS)
    path = store.get(digest)
    match damage:
        case "bytes":
            path.write_bytes(path.read_bytes()[:-20] + bytes(20))
        case "other rows":
            ROWS.head(2).write_parquet(path)
        case _:
            path.write_bytes(b"")
    with pytest.raises(IntegrityError, match=digest):
        store.get(digest)


@pytest.mark.parametrize("digest", ["0" * 64, "", "../" + "0" * 61, "A" * 64])
def test_an_unknown_address_is_not_found(tmp_path: Path, digest: str) -> None:
    with pytest.raises(NotFoundError):
        LocalSnapshotStore(tmp_path).get(digest)


def test_a_folder_that_cannot_be_written_is_unavailable_and_left_clean(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UnavailableError, match="3 rows cannot be written"):
        LocalSnapshotStore(tmp_path / "file").put(ROWS)


def test_a_draft_that_a_crash_left_is_no_snapshot(tmp_path: Path) -> None:
    digest = rows_address(ROWS)
    (tmp_path / f"{digest}.1.part").write_bytes(b"half")
    store = LocalSnapshotStore(tmp_path)
    with pytest.raises(NotFoundError):
        store.get(digest)
    assert store.put(ROWS) == digest
