"""Artifacts come back byte for byte, or not at all."""

import json
import os
import shutil
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from anew.adapters.local_artifact import LocalArtifactStore
from anew.adapters.signing import Signer
from anew.domain.errors import IntegrityError, NotFoundError, PolicyError, UnavailableError
from anew.domain.manifest import FileEntry, digest_of
from anew.testing.contract_artifact import FILES, ArtifactContract, artifact_folder


class Shelf:
    """See `ArtifactShelf`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def open(self, keys: str = "keys", *, signs: bool = True) -> LocalArtifactStore:
        """Open the store."""
        signer = Signer.load_or_create(self.root / keys)
        return LocalArtifactStore(root=self.root / "models", signer=signer if signs else None, verifier=signer.verifier)

    def read(self, name: str) -> bytes:
        """Return the stored bytes."""
        return (self.root / "models" / name).read_bytes()

    def write(self, name: str, data: bytes | None) -> None:
        """Change what is stored."""
        path = self.root / "models" / name
        if path.parent != self.root / "models":
            unlocked(path.parent)
        path.unlink(missing_ok=True)
        if data is not None:
            path.write_bytes(data)


class TestLocalArtifacts(ArtifactContract):
    """The contract."""

    @pytest.fixture
    def shelf(self, tmp_path: Path) -> Shelf:
        """Return an empty one."""
        return Shelf(tmp_path / "shelf")


def store(path: Path, keys: str = "keys") -> LocalArtifactStore:
    signer = Signer.load_or_create(path / keys)
    return LocalArtifactStore(root=path / "models", signer=signer, verifier=signer.verifier)


def unlocked(path: Path) -> Path:
    """Make an artifact writable, as somebody with the rights of its owner can."""
    for each in [path, *path.rglob("*")]:
        each.chmod(0o700 if each.is_dir() else 0o600)
    return path


def test_what_was_put_comes_back(tmp_path: Path) -> None:
    kept = store(tmp_path)
    digest = kept.put(artifact_folder(tmp_path / "out"))
    assert digest == digest_of(FileEntry.of(name, data) for name, data in FILES.items())
    found = kept.get(digest)
    assert {str(p.relative_to(found)): p.read_bytes() for p in found.rglob("*") if p.is_file()} == FILES
    assert all(p.stat().st_mode & 0o277 == 0 for p in [found, *found.rglob("*")])
    assert kept.has(digest)
    assert not kept.has("0" * 64)


@pytest.mark.fault("R3")
@pytest.mark.parametrize("signed", ["by us", "by another", "by nobody", "revoked"])
def test_planted_a_version_that_another_signed_is_refused(tmp_path: Path, signed: str) -> None:
    ours = store(tmp_path)
    digest = (store(tmp_path, "other-keys") if signed == "by another" else ours).put(
        artifact_folder(tmp_path / "out", {"model.txt": b"one"})
    )
    if signed == "by nobody":
        listed = tmp_path / "models" / f"{digest}.json"
        listed.chmod(0o600)
        listed.write_text(json.dumps(json.loads(listed.read_text()) | {"signature": "00" * 64}))
    if signed == "revoked":  # with a new key nothing of the old one's counts
        shutil.rmtree(tmp_path / "keys")
        ours = store(tmp_path)
    if signed == "by us":
        assert ours.get(digest).is_dir(), "the control"
        return
    with pytest.raises(IntegrityError, match="signature"):
        ours.get(digest)


@pytest.mark.fault("R6")
def test_control_another_byte_is_another_artifact(tmp_path: Path) -> None:
    kept, source = store(tmp_path), artifact_folder(tmp_path / "out")
    first = kept.put(source)
    file = max(source.rglob("*"), key=lambda each: each.stat().st_size if each.is_file() else -1)
    file.write_bytes(file.read_bytes() + b" ")
    assert kept.put(source) != first
    assert len(list(kept.root.glob("*.json"))) == 2


@pytest.mark.fault("R6")
def test_planted_names_that_do_not_come_from_the_bytes_keep_one_artifact_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, source = store(tmp_path), artifact_folder(tmp_path / "out")
    names = iter(("a" * 64, "b" * 64))
    monkeypatch.setattr("anew.adapters.local_artifact.digest_of", lambda _: next(names))
    assert kept.put(source) != kept.put(source)
    assert len(list(kept.root.glob("*.json"))) == 2


@pytest.mark.fault("R6")
def test_putting_twice_or_at_once_keeps_one(tmp_path: Path) -> None:
    kept, source = store(tmp_path), artifact_folder(tmp_path / "out")
    with ThreadPoolExecutor(8) as pool:
        digests = set(pool.map(kept.put, [source] * 8))
    assert digests == {kept.put(source)}
    (digest,) = digests
    kept.get(digest)
    assert sorted(p.name for p in kept.root.iterdir()) == sorted([digest, f"{digest}.json"])


def flip(path: Path) -> None:
    data = bytearray((path / "model.txt").read_bytes())
    data[17] ^= 1
    (path / "model.txt").write_bytes(data)


def add(path: Path) -> None:
    (path / "extra.txt").write_text("more")


def add_folder(path: Path) -> None:
    (path / "empty").mkdir()


def remove(path: Path) -> None:
    (path / "deep" / "er" / "part.bin").unlink()


def link(path: Path) -> None:
    (path / "model.txt").rename(path.parent / "elsewhere.txt")
    (path / "model.txt").symlink_to(path.parent / "elsewhere.txt")


def link_folder(path: Path) -> None:
    (path / "deep").rename(path.parent / "elsewhere")
    (path / "deep").symlink_to(path.parent / "elsewhere")


def hard_link(path: Path) -> None:
    os.link(path / "model.txt", path.parent / "elsewhere.txt")


def rename(path: Path) -> None:
    (path / "model.txt").rename(path / "model2.txt")


def pipe(path: Path) -> None:
    (path / "model.txt").unlink()
    os.mkfifo(path / "model.txt")


TAMPERED = [flip, add, add_folder, remove, link, link_folder, hard_link, rename, pipe]


@pytest.mark.fault("R2")
@pytest.mark.parametrize("tamper", TAMPERED, ids=lambda tamper: str(tamper.__name__))
def test_whatever_was_changed_is_found(tmp_path: Path, tamper: Callable[[Path], None]) -> None:
    kept = store(tmp_path)
    digest = kept.put(artifact_folder(tmp_path / "out"))
    tamper(unlocked(kept.root / digest))
    with pytest.raises(IntegrityError):
        kept.get(digest)


@pytest.mark.fault("R2")
def test_control_an_untouched_artifact_with_opened_permissions_is_given(tmp_path: Path) -> None:
    kept = store(tmp_path)
    digest = kept.put(artifact_folder(tmp_path / "out"))
    unlocked(kept.root / digest)
    assert kept.get(digest) == kept.root / digest


def test_what_is_no_plain_file_is_not_put(tmp_path: Path) -> None:
    kept = store(tmp_path)
    for i, plant in enumerate([link, link_folder, hard_link, add_folder, pipe]):
        source = artifact_folder(tmp_path / f"out{i}" / "artifact")
        plant(source)
        with pytest.raises(IntegrityError):
            kept.put(source)
    for i, name in enumerate(["we ird", ".hidden", "-rf", "new\nline", "ünï", "a" * 101]):
        with pytest.raises(IntegrityError):
            kept.put(artifact_folder(tmp_path / f"name{i}", {name: b"x"}))
    with pytest.raises(IntegrityError):
        kept.put(artifact_folder(tmp_path / "deep", {"a/b/c/d/e": b"x"}))
    (tmp_path / "none").mkdir()
    with pytest.raises(IntegrityError, match="empty"):
        kept.put(tmp_path / "none")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(artifact_folder(tmp_path / "s") / "sock"))
        with pytest.raises(IntegrityError):
            kept.put(tmp_path / "s")
    assert not list(kept.root.iterdir())


def test_a_damaged_artifact_is_set_aside_when_it_is_put_again(tmp_path: Path) -> None:
    kept, source = store(tmp_path), artifact_folder(tmp_path / "out")
    digest = kept.put(source)
    flip(unlocked(kept.root / digest))
    assert kept.put(source) == digest
    kept.get(digest)
    assert len(list(kept.root.glob(".damaged-*"))) == 1


def test_what_a_killed_process_left_is_swept(tmp_path: Path) -> None:
    kept = store(tmp_path)
    dead, alive = kept.root / ".new-999999999-ab", kept.root / f".new-{os.getppid()}-ab"
    for left in (dead, alive):
        artifact_folder(left)
    digest = kept.put(artifact_folder(tmp_path / "out"))
    assert sorted(p.name for p in kept.root.iterdir()) == sorted([alive.name, digest, f"{digest}.json"])


def test_a_half_published_artifact_is_not_there_and_can_be_put(tmp_path: Path) -> None:
    kept = store(tmp_path)
    digest = kept.put(artifact_folder(tmp_path / "out"))
    shutil.rmtree(unlocked(kept.root / digest))
    assert not kept.has(digest)
    with pytest.raises(NotFoundError):
        kept.get(digest)
    assert kept.put(tmp_path / "out") == digest
    kept.get(digest)


def test_readers_cannot_put_and_an_unwritable_root_is_said(tmp_path: Path) -> None:
    writer = store(tmp_path)
    digest = writer.put(artifact_folder(tmp_path / "out"))
    reader = LocalArtifactStore(root=writer.root, verifier=writer.verifier)
    assert reader.get(digest) == writer.root / digest
    with pytest.raises(PolicyError):
        reader.put(tmp_path / "out")
    (tmp_path / "file").write_text("no folder")
    broken = LocalArtifactStore(root=tmp_path / "file" / "x", verifier=writer.verifier, signer=writer.signer)
    with pytest.raises(UnavailableError, match="cannot be stored"):
        broken.put(tmp_path / "out")
