"""A JSON file that only its owner may read, changed as a whole and by one process at a time."""

import fcntl
import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

from anew.domain.errors import IntegrityError

__all__ = ["PrivateFile"]

T = TypeVar("T")


class PrivateFile(Generic[T]):
    """What a file holds, read again when it has changed. Thread- and process-safe.

    A file that others could read or write is refused: whoever can write it can let himself in.

    Parameters
    ----------
    what
        What the file holds, for messages.
    read, write
        Turn its JSON into what it holds and back; `read` raises ValueError, KeyError or TypeError for anything else.
    none
        What a file holds that is not there.
    """

    def __init__(
        self, path: Path, what: str, *, read: Callable[[Any], T], write: Callable[[T], Any], none: Callable[[], T]
    ) -> None:
        self._path, self._what = path, what
        self._parse, self._plain, self._none = read, write, none
        self._seen: tuple[int, int, int] | None = None
        self._held = none()

    def held(self) -> T:
        """Return what the file holds now, not to be changed.

        Raises
        ------
        IntegrityError
            Others may read it, or it holds something else.
        """
        try:
            found = self._path.stat()
        except FileNotFoundError:
            self._seen, self._held = None, self._none()
            return self._held
        seen = (found.st_ino, found.st_mtime_ns, found.st_size)
        if seen != self._seen:
            self._held, self._seen = self._read(), seen
        return self._held

    @contextmanager
    def changing(self) -> Iterator[T]:
        """Give what the file holds to be changed, and replace the file by it, unless an error ends the change."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(self._path.with_suffix(".lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            held = self._read() if self._path.exists() else self._none()
            yield held
            self._replace(held)
        finally:
            os.close(lock)

    def _read(self) -> T:
        descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, encoding="utf-8") as file:
            if stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o077:
                raise IntegrityError(
                    f"others than its owner may read {self._path}; if nobody did, run: chmod 600 {self._path}"
                )
            try:
                return self._parse(json.load(file))
            except (ValueError, KeyError, TypeError) as exc:
                raise IntegrityError(f"{self._path} holds no {self._what} ({exc!r}); restore it from a copy") from exc

    def _replace(self, held: T) -> None:
        draft = self._path.with_name(f".{self._path.name}.{os.urandom(8).hex()}")
        descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(self._plain(held), file, indent=1)
            file.flush()
            os.fsync(descriptor)
        draft.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
