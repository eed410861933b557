"""What every store of artifacts, and every store of snapshots, must do: classes of tests to inherit.

class TestMyArtifacts(ArtifactContract):
    @pytest.fixture
    def shelf(self): return MyShelf()

A shelf opens its store as another machine would, which has seen nothing of it yet, and changes what is stored behind
the store's back.
"""
# ruff: noqa: S101, D102 - a contract suite asserts, and its tests say by their names what they do

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import polars as pl
import pytest

from anew.domain.errors import IntegrityError, NotFoundError, PolicyError
from anew.domain.manifest import FileEntry, digest_of
from anew.feedback.address import rows_address
from anew.ports.artifact import ArtifactStore
from anew.ports.snapshot import SnapshotStore

__all__ = ["FILES", "ROWS", "ArtifactContract", "ArtifactShelf", "SnapshotContract", "SnapshotShelf", "artifact_folder"]

FILES: Mapping[str, bytes] = {
    "manifest.json": b"{}",
    "model.txt": b"tree" * 1000,
    "deep/er/part.bin": bytes(range(256)),
}
ROWS = pl.DataFrame(
    {
        "_at": [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=i) for i in range(3)],
        "_key": ["ann", "bob", "ann"],
        "_label": ["a", None, "b"],
        "x": [1.0, None, float("nan")],
    }
)


class ArtifactShelf(Protocol):
    """Where a store's artifacts are."""

    def open(self, keys: str = "keys", *, signs: bool = True) -> ArtifactStore:
        """Open the store by the pair of keys called `keys`, with the private one only if it `signs`."""
        ...

    def read(self, name: str) -> bytes:
        """Return the bytes of a stored file: ``<digest>.json``, the list, or ``<digest>/<path>``."""
        ...

    def write(self, name: str, data: bytes | None) -> None:
        """Replace a stored file, or with None remove it."""
        ...


class SnapshotShelf(Protocol):
    """Where a store's snapshots are."""

    def open(self) -> SnapshotStore:
        """Open the store."""
        ...

    def write(self, digest: str, data: bytes) -> None:
        """Replace the file of a snapshot."""
        ...


def artifact_folder(path: Path, files: Mapping[str, bytes] = FILES) -> Path:
    """Write `files` into the folder `path`, and return it."""
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def _flipped(data: bytes) -> bytes:
    return data[:17] + bytes([data[17] ^ 1]) + data[18:]


class ArtifactContract:
    """Inherit, and define the fixture `shelf`, which is empty."""

    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        return artifact_folder(tmp_path / "source")

    @pytest.fixture
    def digest(self, shelf: ArtifactShelf, source: Path) -> str:
        return shelf.open().put(source)

    def test_what_was_put_comes_back_by_the_digest_of_its_files(self, shelf: ArtifactShelf, digest: str) -> None:
        assert digest == digest_of(FileEntry.of(name, data) for name, data in FILES.items())
        store = shelf.open(signs=False)
        assert store.has(digest)
        found = store.get(digest)
        assert {str(p.relative_to(found)): p.read_bytes() for p in found.rglob("*") if p.is_file()} == dict(FILES)
        assert store.get(digest) == found
        assert not store.has("0" * 64)

    @pytest.mark.fault("R6")
    def test_putting_twice_or_at_once_keeps_one(self, shelf: ArtifactShelf, source: Path) -> None:
        store = shelf.open()
        with ThreadPoolExecutor(4) as pool:
            digests = set(pool.map(store.put, [source] * 4))
        assert digests == {shelf.open().put(source)}
        shelf.open().get(digests.pop())

    @pytest.mark.parametrize("digest", ["", "0" * 64, "../keys", "0" * 63 + "G", "/etc/passwd", "0" * 64 + "\n"])
    def test_no_path_is_ever_made_of_what_is_no_digest(self, shelf: ArtifactShelf, digest: str) -> None:
        store = shelf.open()
        assert not store.has(digest)
        with pytest.raises(NotFoundError):
            store.get(digest)
        assert not store.forget(digest, pinned=())

    @pytest.mark.fault("R2")
    @pytest.mark.parametrize("how", ["flipped", "cut", "gone", "swapped", "longer"])
    def test_whatever_was_changed_is_found(self, shelf: ArtifactShelf, digest: str, how: str) -> None:
        name = f"{digest}/model.txt"
        data = shelf.read(name)
        changed = {
            "flipped": _flipped(data),
            "cut": b"",
            "gone": None,
            "swapped": shelf.read(f"{digest}/manifest.json"),
            "longer": data + b"\0",
        }[how]
        shelf.write(name, changed)
        with pytest.raises(IntegrityError):
            shelf.open().get(digest)
        shelf.write(name, data)
        shelf.open().get(digest)  # the control

    @pytest.mark.fault("R2")
    def test_what_was_added_is_never_given(self, shelf: ArtifactShelf, digest: str) -> None:
        shelf.write(f"{digest}/extra.txt", b"more")
        try:
            found = shelf.open().get(digest)
        except IntegrityError:
            return
        assert not (found / "extra.txt").exists()

    @pytest.mark.fault("R3")
    def test_only_the_control_planes_signature_counts(self, shelf: ArtifactShelf, source: Path) -> None:
        digest = shelf.open("other-keys").put(source)
        with pytest.raises(IntegrityError, match="signature"):
            shelf.open().get(digest)
        for record in (b"", b"{}", b"[]", b'{"list": "{}", "signature": "00"}'):
            shelf.write(f"{digest}.json", record)
            with pytest.raises(IntegrityError):
                shelf.open().get(digest)

    @pytest.mark.fault("R2")
    def test_a_genuine_list_of_another_artifact_is_refused(
        self, shelf: ArtifactShelf, digest: str, tmp_path: Path
    ) -> None:
        other = shelf.open().put(artifact_folder(tmp_path / "other", {"model.txt": b"other"}))
        shelf.write(f"{digest}.json", shelf.read(f"{other}.json"))
        with pytest.raises(IntegrityError, match="belongs to"):
            shelf.open().get(digest)

    def test_without_its_list_it_is_not_there_and_can_be_put(
        self, shelf: ArtifactShelf, digest: str, source: Path
    ) -> None:
        shelf.write(f"{digest}.json", None)
        assert not shelf.open().has(digest)
        with pytest.raises(NotFoundError):
            shelf.open().get(digest)
        assert shelf.open().put(source) == digest
        shelf.open().get(digest)

    def test_a_damaged_one_is_whole_again_when_it_is_put_again(
        self, shelf: ArtifactShelf, digest: str, source: Path
    ) -> None:
        shelf.write(f"{digest}/model.txt", b"damaged")
        assert shelf.open().put(source) == digest
        shelf.open().get(digest)

    @pytest.mark.fault("P13")
    def test_what_is_pinned_stays_and_what_is_forgotten_goes(self, shelf: ArtifactShelf, digest: str) -> None:
        with pytest.raises(PolicyError, match="pinned"):
            shelf.open().forget(digest, pinned={digest})
        shelf.open().get(digest)
        store = shelf.open()
        store.get(digest)
        assert store.forget(digest, pinned={"0" * 64})
        assert not store.has(digest)
        assert not shelf.open().has(digest)
        assert not shelf.open().forget(digest, pinned=())

    def test_readers_cannot_put(self, shelf: ArtifactShelf, source: Path) -> None:
        with pytest.raises(PolicyError, match="no signing key"):
            shelf.open(signs=False).put(source)


class SnapshotContract:
    """Inherit, and define the fixture `shelf`, which is empty."""

    def test_rows_come_back_under_their_address(self, shelf: SnapshotShelf) -> None:
        digest = shelf.open().put(ROWS)
        assert digest == rows_address(ROWS)
        assert pl.read_parquet(shelf.open().get(digest)).equals(ROWS)
        assert shelf.open().put(ROWS.clone()) == digest

    def test_order_and_values_make_the_address(self, shelf: SnapshotShelf) -> None:
        store = shelf.open()
        changed = ROWS.with_columns(x=pl.Series([1.0, 0.0, float("nan")]))
        assert len({store.put(each) for each in (ROWS, ROWS.reverse(), changed, ROWS.head(2))}) == 4

    @pytest.mark.parametrize("damage", ["bytes", "other rows", "empty"])
    def test_what_is_not_what_was_stored_is_refused(self, shelf: SnapshotShelf, damage: str, tmp_path: Path) -> None:
        digest = shelf.open().put(ROWS)
        stored = shelf.open().get(digest).read_bytes()
        ROWS.head(2).write_parquet(tmp_path / "other.parquet")
        bad = {"bytes": stored[:-20] + bytes(20), "other rows": (tmp_path / "other.parquet").read_bytes(), "empty": b""}
        shelf.write(digest, bad[damage])
        with pytest.raises(IntegrityError, match=digest):
            shelf.open().get(digest)
        shelf.write(digest, stored)
        shelf.open().get(digest)  # the control

    @pytest.mark.parametrize("digest", ["0" * 64, "", "../" + "0" * 61, "A" * 64])
    def test_an_unknown_address_is_not_found(self, shelf: SnapshotShelf, digest: str) -> None:
        with pytest.raises(NotFoundError):
            shelf.open().get(digest)

    def test_a_subject_s_snapshots_go_and_the_others_stay(self, shelf: SnapshotShelf) -> None:
        store = shelf.open()
        both, one, none = store.put(ROWS), store.put(ROWS.filter(pl.col("_key") == "ann")), store.put(ROWS[1:2])
        assert sorted(shelf.open().purge("ann")) == sorted((both, one))
        for gone in (both, one):
            with pytest.raises(NotFoundError):
                shelf.open().get(gone)
        shelf.open().get(none)
        assert shelf.open().purge("ann") == ()
