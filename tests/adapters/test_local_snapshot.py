"""Snapshots are given away as they were stored or not at all."""

from pathlib import Path

import pytest

from anew.adapters.local_snapshot import LocalSnapshotStore
from anew.domain.errors import NotFoundError, UnavailableError
from anew.feedback.address import rows_address
from anew.testing.contract_artifact import ROWS, SnapshotContract


class Shelf:
    """See `SnapshotShelf`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def open(self) -> LocalSnapshotStore:
        """Open the store."""
        return LocalSnapshotStore(self.root)

    def write(self, digest: str, data: bytes) -> None:
        """Change what is stored."""
        (self.root / f"{digest}.parquet").write_bytes(data)


class TestLocalSnapshots(SnapshotContract):
    """The contract."""

    @pytest.fixture
    def shelf(self, tmp_path: Path) -> Shelf:
        """Return an empty one."""
        return Shelf(tmp_path / "shelf")


def test_the_same_rows_are_stored_once(tmp_path: Path) -> None:
    store = LocalSnapshotStore(tmp_path)
    digest = store.put(ROWS)
    before = store.get(digest).stat().st_mtime_ns
    assert store.put(ROWS.clone()) == digest
    assert store.get(digest).stat().st_mtime_ns == before
    assert len(list(tmp_path.iterdir())) == 1


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
