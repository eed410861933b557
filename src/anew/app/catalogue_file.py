"""The file in which a dashboard keeps what it found in a record: one for each record, of one process at a time."""

import fcntl
import logging
import os
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
        if not self._is_own:
            try:
                weakref.finalize(self, os.close, self._locked())
            except OSError as exc:
                _LOG.warning("catalogue_in_memory path=%s problem=%r", self._path, str(exc))
                return None
            self._is_own = True
        return self._path

    def _locked(self) -> int:
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        lock = os.open(self._path.with_suffix(".lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))  # nobody else may read it
        except OSError:
            os.close(lock)
            raise
        return lock
