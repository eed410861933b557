"""Copies of SQLite files that others are writing to: one state, whole, in one file, on disk on return."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from anew.adapters.sealed_tree import sync_folder
from anew.adapters.sqlite_errors import translate
from anew.adapters.sqlite_opening import read_only
from anew.domain.errors import IntegrityError, NotFoundError

__all__ = ["copy_database"]

_BUSY_S = 10.0


def copy_database(source: Path, target: Path) -> None:
    """Copy by SQLite's online backup, which waits for no writer and makes none wait; the copy is checked.

    Raises
    ------
    NotFoundError
        There is no `source`.
    IntegrityError
        The copy is damaged, as then is the source.
    UnavailableError
        One of them cannot be read or written.
    """
    if not source.is_file():
        raise NotFoundError(f"there is no database {source}")
    try:
        with (
            closing(sqlite3.connect(read_only(source), uri=True, timeout=_BUSY_S)) as original,
            closing(sqlite3.connect(target)) as copy,
        ):
            original.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # without a log beside it
            (found,) = copy.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as exc:
        raise translate(exc, source) from exc
    if found != "ok":
        raise IntegrityError(f"database {source} is damaged: {found}; restore it from an earlier backup")
    target.chmod(0o600)
    with target.open("rb") as opened:
        os.fsync(opened.fileno())
    sync_folder(target.parent)
