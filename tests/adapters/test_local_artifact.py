"""Artifacts come back byte for byte, or not at all."""

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

FILES = {"manifest.json": b"{}", "model.txt": b"tree" * 1000, "deep/er/part.bin": bytes(range(256))}


def folder(path: Path, files: dict[str, bytes] | None = None) -> Path:
    for name, data in (FILES if files is None else files).items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


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
    digest = kept.put(folder(tmp_path / "out"))
    assert digest == digest_of(FileEntry.of(name, data) for name, data in FILES.items())
    found = kept.get(digest)
    assert {str(p.relative_to(found)): p.read_bytes() for p in found.rglob("*") if p.is_file()} == FILES
    assert all(p.stat().st_mode & 0o277 == 0 for p in [found, *found.rglob("*")])
    assert kept.has(digest)
    assert not kept.has("0" * 64)


@pytest.mark.fault("R6")
def test_putting_twice_or_at_once_keeps_one(tmp_path: Path) -> None:
    kept, source = store(tmp_path), folder(tmp_path / "out")
    with ThreadPoolExecutor(8) as pool:
        digests = set(pool.map(kept.put, [source] * 8))
    assert digests == {kept.put(source)}
    (digest,) = digests
    kept.get(digest)
    assert sorted(p.name for p in kept.root.iterdir()) == sorted([digest, f"{digest}.json"])


@pytest.mark.parametrize("digest", ["", "0" * 64, "../keys", "0" * 63 + "G", "/etc/passwd", "0" * 64 + "\n"])
def test_no_path_is_ever_made_of_what_is_no_digest(tmp_path: Path, digest: str) -> None:
    with pytest.raises(NotFoundError):
        store(tmp_path).get(digest)


def flip(path: Path) -> None:
    data = bytearray((path / "model.txt").read_bytes())
    data[17] ^= 1
    (path / "model.txt").write_bytes(data)


def truncate(path: Path) -> None:
    (path / "model.txt").write_bytes(b"")


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


def swap(path: Path) -> None:
    a, b = (path / "model.txt").read_bytes(), (path / "manifest.json").read_bytes()
    (path / "model.txt").write_bytes(b)
    (path / "manifest.json").write_bytes(a)


def pipe(path: Path) -> None:
    (path / "model.txt").unlink()
    os.mkfifo(path / "model.txt")


TAMPERED = [flip, truncate, add, add_folder, remove, link, link_folder, hard_link, rename, swap, pipe]


@pytest.mark.fault("R2")
@pytest.mark.parametrize("tamper", TAMPERED, ids=lambda tamper: str(tamper.__name__))
def test_whatever_was_changed_is_found(tmp_path: Path, tamper: Callable[[Path], None]) -> None:
    kept = store(tmp_path)
    digest = kept.put(folder(tmp_path / "out"))
    tamper(unlocked(kept.root / digest))
    with pytest.raises(IntegrityError):
        kept.get(digest)


@pytest.mark.fault("R2")
def test_control_an_untouched_artifact_with_opened_permissions_is_given(tmp_path: Path) -> None:
    kept = store(tmp_path)
    digest = kept.put(folder(tmp_path / "out"))
    unlocked(kept.root / digest)
    assert kept.get(digest) == kept.root / digest


@pytest.mark.fault("R3")
def test_only_the_control_planes_signature_counts(tmp_path: Path) -> None:
    kept, forger = store(tmp_path), store(tmp_path, "other-keys")
    digest = forger.put(folder(tmp_path / "out"))
    with pytest.raises(IntegrityError, match="signature"):
        kept.get(digest)
    listed = kept.root / f"{digest}.json"
    listed.chmod(0o600)
    for record in (b"", b"{}", b"[]", b'{"list": "{}", "signature": "00"}'):
        listed.write_bytes(record)
        with pytest.raises(IntegrityError):
            kept.get(digest)


@pytest.mark.fault("R2")
def test_a_genuine_list_of_another_artifact_is_refused(tmp_path: Path) -> None:
    kept = store(tmp_path)
    one, two = kept.put(folder(tmp_path / "a")), kept.put(folder(tmp_path / "b", {"model.txt": b"other"}))
    shutil.copy(kept.root / f"{two}.json", kept.root / "copy")
    (kept.root / "copy").replace(kept.root / f"{one}.json")
    with pytest.raises(IntegrityError, match="belongs to"):
        kept.get(one)
    shutil.rmtree(unlocked(kept.root / one))
    shutil.copytree(kept.root / two, kept.root / one)
    with pytest.raises(IntegrityError):
        kept.get(one)


def test_what_is_no_plain_file_is_not_put(tmp_path: Path) -> None:
    kept = store(tmp_path)
    for i, plant in enumerate([link, link_folder, hard_link, add_folder, pipe]):
        source = folder(tmp_path / f"out{i}" / "artifact")
        plant(source)
        with pytest.raises(IntegrityError):
            kept.put(source)
    for i, name in enumerate(["we ird", ".hidden", "-rf", "new\nline", "ünï", "a" * 101]):
        with pytest.raises(IntegrityError):
            kept.put(folder(tmp_path / f"name{i}", {name: b"x"}))
    with pytest.raises(IntegrityError):
        kept.put(folder(tmp_path / "deep", {"a/b/c/d/e": b"x"}))
    (tmp_path / "none").mkdir()
    with pytest.raises(IntegrityError, match="empty"):
        kept.put(tmp_path / "none")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder(tmp_path / "s") / "sock"))
        with pytest.raises(IntegrityError):
            kept.put(tmp_path / "s")
    assert not list(kept.root.iterdir())


def test_a_damaged_artifact_is_set_aside_when_it_is_put_again(tmp_path: Path) -> None:
    kept, source = store(tmp_path), folder(tmp_path / "out")
    digest = kept.put(source)
    flip(unlocked(kept.root / digest))
    assert kept.put(source) == digest
    kept.get(digest)
    assert len(list(kept.root.glob(".damaged-*"))) == 1


def test_what_a_killed_process_left_is_swept(tmp_path: Path) -> None:
    kept = store(tmp_path)
    dead, alive = kept.root / ".new-999999999-ab", kept.root / f".new-{os.getppid()}-ab"
    for left in (dead, alive):
        folder(left)
    digest = kept.put(folder(tmp_path / "out"))
    assert sorted(p.name for p in kept.root.iterdir()) == sorted([alive.name, digest, f"{digest}.json"])


def test_a_half_published_artifact_is_not_there_and_can_be_put(tmp_path: Path) -> None:
    kept = store(tmp_path)
    digest = kept.put(folder(tmp_path / "out"))
    shutil.rmtree(unlocked(kept.root / digest))
    assert not kept.has(digest)
    with pytest.raises(NotFoundError):
        kept.get(digest)
    assert kept.put(tmp_path / "out") == digest
    kept.get(digest)


def test_readers_cannot_put_and_an_unwritable_root_is_said(tmp_path: Path) -> None:
    writer = store(tmp_path)
    digest = writer.put(folder(tmp_path / "out"))
    reader = LocalArtifactStore(root=writer.root, verifier=writer.verifier)
    assert reader.get(digest) == writer.root / digest
    with pytest.raises(PolicyError):
        reader.put(tmp_path / "out")
    (tmp_path / "file").write_text("no folder")
    broken = LocalArtifactStore(root=tmp_path / "file" / "x", verifier=writer.verifier, signer=writer.signer)
    with pytest.raises(UnavailableError, match="cannot be stored"):
        broken.put(tmp_path / "out")
