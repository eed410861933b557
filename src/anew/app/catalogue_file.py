"""The file in which a dashboard keeps what it found in a record: one for each record, of one process at a time."""

import fcntl
import logging
import os
import stat
import weakref
from hashlib import sha256
from pathlib import Path

__all__ = ["CatalogueFile"]

_LOG = logging.getLogger("anew.dashboard")


class CatalogueFile:
    """Where the catalogue of `project` is kept, in the ``.anew`` folder `state` of the one whose dashboard this is.

    It can be made again: it may be deleted while no dashboard runs, and is in no backup.
    """

    def __init__(self, state: Path, project: Path) -> None:
        name = "own" if project / state.name == state else sha256(str(project).encode()).hexdigest()[:16]
        self._path = state / "dashboard" / f"{name}.db"
        self._is_own = False

    def path(self) -> Path | None:
        """Return the file once it is this one's own, while this lives; None where another has it, or none can be."""
        try:
            if not self._is_own:
                weakref.finalize(self, os.close, self._locked())
                self._is_own = True
            # Each time: it may have been deleted to be made anew, and SQLite would let others read it.
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
        except OSError as exc:
            _LOG.warning("catalogue_in_memory path=%s problem=%r", self._path, str(exc))
            return None
        return self._path

    def _locked(self) -> int:
        folder = self._path.parent
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_mode & 0o077:
            raise PermissionError(f"{folder} is a link, or not this user's alone: delete it")
        flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
        lock = os.open(self._path.with_suffix(".lock"), flags, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise
        return lock
