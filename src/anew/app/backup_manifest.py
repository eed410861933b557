"""The list of what is in a backup: every file with its digest, where the record ended, and the project's signature."""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

from anew.adapters.sealed_tree import sync_folder
from anew.adapters.signing import Signer, Verifier
from anew.domain.errors import AnewError, IntegrityError, NotFoundError

__all__ = [
    "MANIFEST",
    "Manifest",
    "copy_file",
    "digest_file",
    "read_manifest",
    "refuse_other_folder",
    "write_manifest",
]

MANIFEST = "manifest.json"
SCHEMA = 1
_CONTEXT = b"anew.backup/1\n"
_CHUNK = 1 << 20
_KINDS = ("state", "project")
_NAME = re.compile(r"[A-Za-z0-9_.=-]{1,255}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a backup holds.

    Attributes
    ----------
    at
        When it began: all that was acknowledged before is in it.
    facts, head
        Of the record: how many facts, and the hash of its chain.
    epoch
        Of the newest routing, on record or obeyed by gateways already.
    observations
        Rows of the lake, and those that wait in the journals, by these two names.
    keys
        Is the private key in it?
    files
        SHA-256 of every file by its path from the backup's folder.
    """

    model: str
    at: datetime
    version: str
    facts: int
    head: str
    epoch: int
    observations: Mapping[str, int]
    keys: bool
    files: Mapping[str, str]


def write_manifest(folder: Path, manifest: Manifest, signer: Signer) -> None:
    """Write and sign it, durable on return."""
    body = json.dumps(asdict(manifest) | {"at": manifest.at.isoformat()}, sort_keys=True)
    text = json.dumps({"schema": SCHEMA, "manifest": body, "signature": signer.sign(_CONTEXT + body.encode())})
    with (folder / MANIFEST).open("w", encoding="utf-8") as opened:
        opened.write(text + "\n")
        opened.flush()
        os.fsync(opened.fileno())
    sync_folder(folder)


def refuse_other_folder(folder: Path) -> None:
    """Raise NotFoundError where there is no manifest: no backup, or one that was never finished."""
    if not (folder / MANIFEST).exists():
        raise NotFoundError(f"{folder} is no backup, or one that was never finished: there is no {MANIFEST}")


def read_manifest(folder: Path, verifier: Verifier | None = None) -> Manifest:
    """Read the manifest of a backup and check its signature, by `verifier` or else by the key that it came with.

    Raises
    ------
    NotFoundError
        There is none: no backup, or one that was never finished.
    IntegrityError
        It was altered, signed with another key, or is of a newer anew.
    """
    file = folder / MANIFEST
    refuse_other_folder(folder)
    try:
        told = json.loads(file.read_text("utf-8"))
        if told["schema"] != SCHEMA:
            raise IntegrityError(f"{file} has schema {told['schema']}, this program reads {SCHEMA}; use a newer anew")
        body = told["manifest"]
        plain = json.loads(body)
        verifier = verifier or Verifier.load(folder / "state" / "keys")
        _verify(verifier, file, body, told["signature"])
        manifest = Manifest(**plain | {"at": datetime.fromisoformat(plain["at"])})
    except (OSError, ValueError, KeyError, TypeError) as exc:
        if isinstance(exc, AnewError):
            raise
        raise IntegrityError(f"{file} is no manifest of a backup ({exc!r}); use another backup") from exc
    for path in manifest.files:
        parts = PurePosixPath(path).parts
        kind = path.partition("/")[0]
        if kind not in _KINDS or any(part == ".." or not _NAME.fullmatch(part) for part in parts):
            raise IntegrityError(f"{file} names a file {path!r}, which no backup has")
    return manifest


def _verify(verifier: Verifier, file: Path, body: str, signature: str) -> None:
    try:
        verifier.verify(_CONTEXT + body.encode(), signature)
    except IntegrityError as exc:
        raise IntegrityError(f"{file}: {exc}; use another backup") from exc


def copy_file(source: Path, target: Path, *, size: int | None = None) -> str:
    """Copy a plain file, or its first `size` bytes, durable on return; returns the copy's SHA-256.

    A link is refused with an OSError, and so is a target that is there.
    """
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    digest, left = hashlib.sha256(), size
    read = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(read, "rb") as opened:
        made = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(made, "wb") as copied:
            while part := opened.read(_CHUNK if left is None else min(_CHUNK, left)):
                digest.update(part)
                copied.write(part)
                left = None if left is None else left - len(part)
            copied.flush()
            os.fsync(copied.fileno())
    return digest.hexdigest()


def digest_file(path: Path) -> str:
    """Return the SHA-256 of a plain file; a link is refused with an OSError."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
