"""What SQLite's error codes mean to us, in one place, without importing more than the standard library."""

import sqlite3
from pathlib import Path

from anew.domain.errors import AnewError, IntegrityError, UnavailableError

__all__ = ["DELETE_CHECKPOINTS", "translate"]

DELETE_CHECKPOINTS = (
    "stop, and delete it with its -wal and -shm files: what was under way is begun again from the record"
)
"""What to do about a damaged file of checkpoints, which no backup has."""

_PRIMARY = 0xFF
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_SENTENCES = {
    sqlite3.SQLITE_BUSY: "another process has kept it locked; end that process, or try again",
    sqlite3.SQLITE_LOCKED: "it is locked within this process; try again",
    sqlite3.SQLITE_FULL: "the disk is full; nothing was written: free some space, work goes on by itself",
    sqlite3.SQLITE_IOERR: "the disk gave an error; nothing is known to be written: look at the disk, then try again",
    sqlite3.SQLITE_READONLY: "it is read-only for this user; give write permission on the file and its folder",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; look whether its folder exists and may be read and written",
    sqlite3.SQLITE_PERM: "it may not be opened by this user; look at its permissions",
}


def translate(exc: BaseException, path: Path | str, *, mend: str = "restore it from a backup") -> AnewError:
    """Return our error for one of sqlite3's about the database at `path`; raise it ``from exc``.

    Parameters
    ----------
    mend
        What to do when it is damaged.
    """
    code = getattr(exc, "sqlite_errorcode", None)
    name = getattr(exc, "sqlite_errorname", type(exc).__name__)
    if code == sqlite3.SQLITE_READONLY_DBMOVED:
        return IntegrityError(f"database {path} was moved or deleted while it was open; stop, put it back, start again")
    primary = None if code is None else code & _PRIMARY
    if primary in _DAMAGED:
        return IntegrityError(f"database {path} is damaged or no SQLite file ({name}): {exc}; {mend}")
    if primary in _SENTENCES:
        return UnavailableError(f"database {path} does not answer ({name}): {_SENTENCES[primary]}")
    return UnavailableError(f"database {path} refused ({name}): {exc}")
