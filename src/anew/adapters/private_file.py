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

    A file that others could read or write, or whose owner is another, is refused: whoever can write it can let himself
    in.

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
        self._kept: tuple[object, T] | None = None

    def held(self) -> T:
        """Return what the file holds now, not to be changed.

        Raises
        ------
        IntegrityError
            Others may read it, it is another's, or it holds something else.
        """
        try:
            kept = self._kept
            if kept is None or kept[0] != _mark(self._path.stat()):
                kept = self._kept = self._read()  # in one store, or a thread could keep what another has found changed
            return kept[1]
        except FileNotFoundError:
            self._kept = None
            return self._none()

    @contextmanager
    def changing(self) -> Iterator[T]:
        """Give what the file holds to be changed, and replace the file by it, unless an error ends the change."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(self._path.with_suffix(".lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            held = self._read()[1] if self._path.exists() else self._none()
            yield held
            self._replace(held)
        finally:
            os.close(lock)

    def _read(self) -> tuple[object, T]:
        """Return what the file holds, and the mark that it bore then."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except PermissionError as exc:
            raise self._not_ours() from exc
        with os.fdopen(descriptor, encoding="utf-8") as file:
            found = os.fstat(descriptor)
            if found.st_uid != os.geteuid():
                raise self._not_ours()
            if stat.S_IMODE(found.st_mode) & 0o077:
                raise IntegrityError(
                    f"others than its owner may read {self._path}; if nobody did, run: chmod 600 {self._path}"
                )
            try:
                return _mark(found), self._parse(json.load(file))
            except (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError) as exc:
                raise IntegrityError(f"{self._path} holds no {self._what} ({exc!r}); restore it from a copy") from exc

    def _not_ours(self) -> IntegrityError:
        own = os.geteuid()
        return IntegrityError(
            f"{self._path} belongs to another user than the one who runs anew ({own}); run anew as that user, or, if "
            f"it holds what it should: chown {own} {self._path}"
        )

    def _replace(self, held: T) -> None:
        draft = self._path.with_name(f".{self._path.name}.{os.urandom(8).hex()}")
        descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(self._plain(held), file, indent=1)
                file.flush()
                os.fsync(descriptor)
            draft.replace(self._path)
        finally:
            draft.unlink(missing_ok=True)  # it holds hashes
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _mark(found: os.stat_result) -> tuple[int, ...]:
    """Return what is another after any change of a file, of its owner and of its mode."""
    return found.st_ino, found.st_ctime_ns, found.st_mtime_ns, found.st_size, found.st_mode, found.st_uid
