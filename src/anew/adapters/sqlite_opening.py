"""How a SQLite file is opened: by who only reads it, and by several who write."""

import os
import sqlite3
import time
from pathlib import Path

__all__ = ["read_only", "write_ahead"]


def read_only(path: Path) -> str:
    """Return the URI that opens the database at `path` for reading alone.

    A reader writes beside a file with a write-ahead log, to be told of by writers. Where nobody can write, as in a copy
    that was mounted read-only, it has to be said that nobody does; unless what writers share with readers is there, or
    a log with transactions, which would be missed.
    """
    log, shared = (path.with_name(f"{path.name}-{name}") for name in ("wal", "shm"))
    used = log.exists() and (log.stat().st_size or shared.exists())
    still = not os.access(path.parent, os.W_OK) and not used
    return f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if still else ''}"


def write_ahead(connection: sqlite3.Connection, *, deadline: float) -> None:
    """Switch to the write-ahead log, which does not wait for locks by itself: two openers at once must both succeed.

    Raises sqlite3.OperationalError when somebody keeps it locked until `deadline`, as `time.monotonic` reads it.
    """
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return
