"""Artifacts in a folder of this machine: addressed by digest, signed, verified before anything is parsed.

``<root>/<digest>/…`` holds the files, ``<root>/<digest>.json`` the signed list of them. A reader sees an artifact whole
or not at all: files are copied aside, synced, and renamed into place after the list is durable.
"""

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from anew.adapters.sealed_tree import copy_tree, describe_tree, read_plain_file, sync_folder
from anew.domain.errors import AnewError, DiskFullError, IntegrityError, NotFoundError, PolicyError, UnavailableError
from anew.domain.manifest import FileEntry, digest_of

__all__ = ["ArtifactSigner", "ArtifactVerifier", "LocalArtifactStore"]

_DIGEST = re.compile(r"[0-9a-f]{64}")
_ASIDE = re.compile(r"\.new-(\d+)-[0-9a-f]+")
_LIST_SCHEMA = 1


class ArtifactSigner(Protocol):
    """Signs bytes."""

    def sign(self, data: bytes) -> str:
        """Return the signature of `data`."""
        ...


class ArtifactVerifier(Protocol):
    """Checks signatures."""

    def verify(self, data: bytes, signature: str) -> None:
        """Raise IntegrityError unless `signature` is that of `data`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalArtifactStore:
    """See `anew.ports.artifact.ArtifactStore`.

    Parameters
    ----------
    root
        Folder of the artifacts; made when the first one is put.
    verifier
        With the key that artifacts must be signed with.
    signer
        None for programs that only read, such as gateways: they hold no private key.
    """

    root: Path
    verifier: ArtifactVerifier
    signer: ArtifactSigner | None = None

    def put(self, folder: Path) -> str:
        """Copy, sign and publish `folder`; a damaged artifact of the same digest is set aside for inspection.

        Raises
        ------
        IntegrityError
            `folder` holds links, devices, odd names, or nothing.
        PolicyError
            This store was opened for reading.
        DiskFullError
            There is no room for it.
        UnavailableError
            The disk fails.
        """
        if self.signer is None:
            raise PolicyError("this program holds no signing key; only the control plane puts artifacts")
        with self._aside() as aside:
            entries = copy_tree(folder, aside)
            digest = digest_of(entries)
            if not self._whole(digest):
                self._publish(aside, digest, _record(digest, entries, self.signer))
        return digest

    def admit(self, digest: str, record: bytes, fetch: Callable[[FileEntry], bytes]) -> Path:
        """Take over an artifact that is stored elsewhere, and return its folder; a damaged one here is set aside.

        Parameters
        ----------
        record
            Its signed list, as `record` returns it.
        fetch
            Returns the bytes of a listed file.

        Raises
        ------
        IntegrityError
            The list is not signed or belongs to another artifact, or what was fetched is not what it lists.
        DiskFullError, UnavailableError
            As `put`.
        """
        entries = self._signed(digest, record)
        with self._aside() as aside, self._aside() as fetched:
            for entry in entries:
                path = fetched / entry.path
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                path.write_bytes(fetch(entry))
            if sorted(copy_tree(fetched, aside)) != sorted(entries):
                raise IntegrityError(f"artifact {digest[:12]}: what was fetched is not what was signed")
            if not self._whole(digest):
                self._publish(aside, digest, record)
        return self.get(digest)

    def get(self, digest: str) -> Path:
        """Verify list, signature, names and every byte, and return the folder."""
        if not self.has(digest):
            raise NotFoundError(f"no artifact {digest[:80]!r} in {self.root}")
        folder = self.root / digest
        listed = self._listed(digest)
        try:
            found = {entry.path: entry for entry in describe_tree(folder)}
        except OSError as exc:
            raise IntegrityError(f"artifact {digest[:12]} cannot be read: {exc.strerror} ({exc.filename})") from exc
        for path in sorted(listed.keys() | found.keys()):
            if path not in found:
                raise IntegrityError(f"artifact {digest[:12]}: {path} is gone")
            if path not in listed:
                raise IntegrityError(f"artifact {digest[:12]}: {path} was added after it was signed")
            if listed[path] != found[path]:
                raise IntegrityError(f"artifact {digest[:12]}: {path} is not what was signed; its bytes were changed")
        return folder

    def read(self, digest: str, names: Collection[str]) -> Mapping[str, bytes]:
        """Return the bytes of those of the named files that the artifact has, each verified; no other one is read.

        Raises
        ------
        NotFoundError
            There is no such artifact.
        IntegrityError
            The list is not signed, or one of these files is not what it lists.
        """
        if not self.has(digest):
            raise NotFoundError(f"no artifact {digest[:80]!r} in {self.root}")
        found = {}
        for entry in self.entries(digest):
            if entry.path not in names:
                continue
            try:
                data = read_plain_file(self.root / digest / entry.path)
            except OSError as exc:
                raise IntegrityError(f"artifact {digest[:12]}: {entry.path} cannot be read ({exc.strerror})") from exc
            if hashlib.sha256(data).hexdigest() != entry.sha256:
                raise IntegrityError(
                    f"artifact {digest[:12]}: {entry.path} is not what was signed; its bytes were changed"
                )
            found[entry.path] = data
        return found

    def names(self, digest: str) -> bool:
        """Can there be an artifact called so?"""
        return bool(_DIGEST.fullmatch(digest))

    def record(self, digest: str) -> bytes:
        """Return the signed list of an artifact; raises OSError when there is none."""
        return read_plain_file(self._list(digest))

    def entries(self, digest: str) -> Sequence[FileEntry]:
        """Return path, size and sha256 of each of an artifact's files, as signed; raises IntegrityError as `get`."""
        return list(self._listed(digest).values())

    def stored(self) -> list[str]:
        """Return the digests that there are, in order."""
        names = sorted(path.stem for path in self.root.glob("*.json"))
        return [name for name in names if self.has(name)]

    def has(self, digest: str) -> bool:
        """Is there a folder and a list for this digest?"""
        return self.names(digest) and (self.root / digest).is_dir() and self._list(digest).is_file()

    def forget(self, digest: str, *, pinned: Collection[str]) -> bool:
        """Delete an artifact unless it is pinned; return whether there was one.

        Raises
        ------
        PolicyError
            Its digest is among the `pinned`: it may have to serve again.
        """
        if digest in pinned:
            raise PolicyError(
                f"artifact {digest[:12]} is pinned: it serves, or may have to serve again; nothing is deleted"
            )
        if not self.has(digest):
            return False
        self._list(digest).unlink()  # without its list it is none any more, whatever is left of it after a crash
        _remove(self.root / digest)
        return True

    def _list(self, digest: str) -> Path:
        return self.root / f"{digest}.json"

    def _whole(self, digest: str) -> bool:
        """Is the artifact stored and undamaged? A damaged one is moved out of the way."""
        try:
            self.get(digest)
        except NotFoundError:
            return False
        except IntegrityError:
            (self.root / digest).rename(self.root / f".damaged-{os.urandom(6).hex()}-{digest}")
            return False
        return True

    @contextmanager
    def _aside(self) -> Iterator[Path]:
        """Give the name of a folder to be made, which is gone at the end; the disk's errors become ours."""
        aside = self.root / f".new-{os.getpid()}-{os.urandom(6).hex()}"
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._sweep()
            yield aside
        except OSError as exc:
            if isinstance(exc, AnewError):
                raise
            full = exc.errno in (errno.ENOSPC, errno.EDQUOT)
            what = "the disk is full; free some space" if full else f"{exc.strerror} ({exc.filename})"
            error = DiskFullError if full else UnavailableError
            raise error(f"the artifact cannot be stored in {self.root}: {what}") from exc
        finally:
            _remove(aside)

    def _publish(self, aside: Path, digest: str, record: bytes) -> None:
        draft = aside.with_suffix(".json")
        descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o400)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(record)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._list(digest))
        finally:
            draft.unlink(missing_ok=True)
        try:
            aside.rename(self.root / digest)
        except OSError as exc:
            # Another process published the same bytes first; its copy is as good.
            if exc.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
        sync_folder(self.root)

    def _listed(self, digest: str) -> dict[str, FileEntry]:
        try:
            record = self.record(digest)
        except OSError as exc:
            raise IntegrityError(f"artifact {digest[:12]}: its signed list cannot be read ({exc})") from exc
        return {entry.path: entry for entry in self._signed(digest, record)}

    def _signed(self, digest: str, stored: bytes) -> list[FileEntry]:
        """Return the signed entries of an artifact; nothing in the list is used before its signature holds."""
        try:
            record = json.loads(stored)
            text, signature = str(record["list"]), str(record["signature"])
        except (ValueError, KeyError, TypeError) as exc:
            raise IntegrityError(f"artifact {digest[:12]}: its signed list cannot be read ({exc})") from exc
        try:
            self.verifier.verify(text.encode(), signature)
        except IntegrityError as exc:
            raise IntegrityError(f"artifact {digest[:12]}: {exc}") from exc
        signed: dict[str, Any] = json.loads(text)
        if signed["schema"] != _LIST_SCHEMA:
            raise IntegrityError(f"artifact {digest[:12]}: list of schema {signed['schema']}; update anew to read it")
        entries = [FileEntry(path=path, size=size, sha256=sha256) for path, size, sha256 in signed["files"]]
        if signed["digest"] != digest or digest_of(entries) != digest:
            raise IntegrityError(f"artifact {digest[:12]}: the list beside it belongs to {str(signed['digest'])[:12]}")
        return entries

    def _sweep(self) -> None:
        """Remove what killed processes left half-copied."""
        for path in self.root.iterdir():
            match = _ASIDE.fullmatch(path.stem)
            if match and not Path(f"/proc/{match[1]}").exists():
                _remove(path)


def _record(digest: str, entries: list[FileEntry], signer: ArtifactSigner) -> bytes:
    files = [[entry.path, entry.size, entry.sha256] for entry in sorted(entries)]
    text = json.dumps({"schema": _LIST_SCHEMA, "digest": digest, "files": files}, separators=(",", ":"))
    return json.dumps({"list": text, "signature": signer.sign(text.encode())}).encode()


def _remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink(missing_ok=True)
    elif path.is_dir():
        for folder, _, _ in os.walk(path):
            Path(folder).chmod(0o700)  # copies are read-only, which keeps their files from being removed
        shutil.rmtree(path, ignore_errors=True)
