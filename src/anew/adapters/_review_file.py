"""The file of the review queue: its tables, opened by whatever works on them."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

from anew.adapters.sqlite_errors import translate
from anew.adapters.sqlite_opening import write_ahead

__all__ = ["ReviewFile"]

_PATIENCE_S = 10.0

_TABLES = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS item (
    id TEXT PRIMARY KEY, prediction TEXT NOT NULL UNIQUE, at TEXT NOT NULL, key TEXT NOT NULL, shown TEXT NOT NULL,
    reason TEXT NOT NULL, propensity REAL NOT NULL, window TEXT NOT NULL, needed INTEGER NOT NULL,
    wanted INTEGER NOT NULL, truth TEXT, told INTEGER NOT NULL DEFAULT 0, settled TEXT,
    revision INTEGER NOT NULL DEFAULT 0, place INTEGER NOT NULL, answer TEXT, score REAL,
    version TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tested (labeller TEXT NOT NULL, value TEXT NOT NULL, truth TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS lease (
    item TEXT NOT NULL REFERENCES item ON DELETE CASCADE, labeller TEXT NOT NULL, until TEXT NOT NULL,
    PRIMARY KEY (item, labeller)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS vote (
    number INTEGER PRIMARY KEY AUTOINCREMENT, item TEXT NOT NULL REFERENCES item ON DELETE CASCADE,
    labeller TEXT NOT NULL, value TEXT, at TEXT NOT NULL, UNIQUE (item, labeller)
);
CREATE TABLE IF NOT EXISTS word (
    number INTEGER PRIMARY KEY AUTOINCREMENT, prediction TEXT NOT NULL, at TEXT NOT NULL, said_at TEXT NOT NULL,
    value TEXT, revision INTEGER NOT NULL, by TEXT NOT NULL, agreed INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS retold (number INTEGER PRIMARY KEY AUTOINCREMENT, item TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS placed (
    item TEXT PRIMARY KEY, task INTEGER, people INTEGER NOT NULL DEFAULT 1
) WITHOUT ROWID;
"""

_ADDED = (("answer", "answer TEXT"), ("score", "score REAL"), ("version", "version TEXT NOT NULL DEFAULT ''"))
"""Columns of items that a file from before has not."""


class ReviewFile:
    """A connection to the file. Thread-safe; a second one in another process or thread waits for its turn."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = RLock()
        with self._translated():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=_PATIENCE_S, isolation_level=None, check_same_thread=False)
            path.chmod(0o600)  # it holds rows
            write_ahead(self._db, deadline=time.monotonic() + _PATIENCE_S)
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute("PRAGMA foreign_keys=ON")
            self._db.execute("PRAGMA secure_delete=ON")
            self._db.executescript(_TABLES)
            self._add_columns()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def all(self, statement: str, *values: object) -> list[Any]:
        """Return what a query finds."""
        with self._lock, self._translated():
            return self._db.execute(statement, values).fetchall()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Begin a transaction, which ends with the block."""
        with self._lock, self._translated():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as exc:
            raise translate(exc, self._path) from exc

    def _add_columns(self) -> None:
        if self._missing():
            with self.writing() as db:  # another process may be at it, too
                for declared in self._missing():
                    db.execute(f"ALTER TABLE item ADD COLUMN {declared}")

    def _missing(self) -> list[str]:
        known = {name for _, name, *_ in self._db.execute("PRAGMA table_info(item)")}
        return [declared for name, declared in _ADDED if name not in known]
