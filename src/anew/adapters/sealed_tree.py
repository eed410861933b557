"""Folders of plain files, read and copied without following anything that somebody may have planted in them."""

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from anew.domain.errors import IntegrityError
from anew.domain.manifest import FileEntry

__all__ = ["copy_tree", "describe_tree", "read_plain_file", "sync_folder"]

MAX_DEPTH = 4
MAX_FILES = 1000
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_CHUNK = 1 << 20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without O_NONBLOCK, opening a named pipe would wait for its writer.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

T = TypeVar("T")
Visit = Callable[[str, int], T]


def describe_tree(folder: Path) -> list[FileEntry]:
    """Return path, size and sha256 of every file under `folder`.

    Raises
    ------
    IntegrityError
        There is a link (soft or hard), a device, a name outside ``[A-Za-z0-9._-]``, an empty folder, or nothing.
    """
    return list(_walk(folder, _hashed))


def copy_tree(source: Path, target: Path) -> list[FileEntry]:
    """Copy the plain files under `source` into the new folder `target`, read-only and synced, and describe the copy.

    Raises
    ------
    IntegrityError
        As `describe_tree`.
    """
    target.mkdir(mode=0o700)
    folders = {target}

    def copy(path: str, descriptor: int) -> FileEntry:
        copied = target / path
        copied.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        folders.update(parent for parent in copied.parents if parent.is_relative_to(target))
        out = os.open(copied, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o400)
        with os.fdopen(out, "wb") as file:
            entry = _hashed(path, descriptor, file.write)
            file.flush()
            os.fsync(file.fileno())
        return entry

    entries = list(_walk(source, copy))
    for folder in sorted(folders, reverse=True):  # the deepest first
        sync_folder(folder)
        folder.chmod(0o500)
    return entries


def read_plain_file(path: Path) -> bytes:
    """Return the bytes of a plain file; a link raises OSError."""
    with os.fdopen(os.open(path, _FILE), "rb") as file:
        return file.read()


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    descriptor = os.open(folder, _FOLDER)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _walk(folder: Path, visit: Visit[T]) -> Iterator[T]:
    descriptor = os.open(folder, _FOLDER)
    try:
        for count, found in enumerate(_walk_open(descriptor, "", MAX_DEPTH, visit)):
            if count >= MAX_FILES:
                raise IntegrityError(f"{folder} holds more than {MAX_FILES} files")
            yield found
    finally:
        os.close(descriptor)


def _walk_open(folder: int, prefix: str, depth: int, visit: Visit[T]) -> Iterator[T]:
    """Visit what is in an open folder; each entry is opened once, and looked at and read through that descriptor."""
    names = sorted(os.listdir(folder))
    if not names:
        raise IntegrityError(f"{prefix or 'the folder'} is empty; an artifact has files only")
    for name in names:
        path = f"{prefix}{name}"
        if not _NAME.fullmatch(name):
            raise IntegrityError(
                f"{path!r}: names in an artifact are made of letters, digits, dot, dash and underscore"
            )
        try:
            descriptor = os.open(name, _FILE, dir_fd=folder)
        except OSError as exc:
            raise IntegrityError(f"{path} is a link, a device or unreadable ({exc.strerror})") from exc
        try:
            status = os.fstat(descriptor)
            if stat.S_ISDIR(status.st_mode) and depth > 1:
                yield from _walk_open(descriptor, f"{path}/", depth - 1, visit)
            elif not stat.S_ISREG(status.st_mode):
                raise IntegrityError(f"{path} is neither a plain file nor a folder at most {MAX_DEPTH} deep")
            elif status.st_nlink != 1:
                raise IntegrityError(f"{path} is a hard link: {status.st_nlink} names lead to it")
            else:
                yield visit(path, descriptor)
        finally:
            os.close(descriptor)


def _hashed(path: str, descriptor: int, sink: Callable[[bytes], object] | None = None) -> FileEntry:
    whole, size = hashlib.sha256(), 0
    while chunk := os.read(descriptor, _CHUNK):
        whole.update(chunk)
        size += len(chunk)
        if sink is not None:
            sink(chunk)
    return FileEntry(path=path, size=size, sha256=whole.hexdigest())
