"""The high-water mark of a lake: what its tables must hold, in a small SQLite file of its own.

A change is written down here as an intent before the tables see it, and becomes the mark in the same transaction that
ends the intent: what the mark says is stored, and what a crash cut off can be finished.
"""

import json
import sqlite3
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import RLock
from typing import Any

from anew.adapters.sqlite_errors import translate
from anew.adapters.sqlite_opening import write_ahead
from anew.domain.errors import NotFoundError, SchemaError

__all__ = ["Bound", "Change", "Intent", "LakeMark", "StoredFile", "shape_difference"]

_PATIENCE_S = 10.0

Bound = int | str
"""End of a file's range: an instant in microseconds, or a prediction's id."""

SCHEMA = 1

_TABLES = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tables (
    name TEXT PRIMARY KEY, version INTEGER NOT NULL, rows INTEGER NOT NULL, checkpoint INTEGER NOT NULL,
    checkpoint_sha256 TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (
    id INTEGER PRIMARY KEY, tab TEXT NOT NULL, path TEXT NOT NULL, added INTEGER NOT NULL, removed INTEGER,
    rows INTEGER NOT NULL, size INTEGER NOT NULL, sha256 TEXT NOT NULL, low NOT NULL, high NOT NULL,
    journal TEXT NOT NULL, after INTEGER NOT NULL, observations INTEGER NOT NULL, gone INTEGER NOT NULL DEFAULT 0,
    UNIQUE (tab, path)
);
CREATE INDEX IF NOT EXISTS files_by_range ON files (tab, high, low);
CREATE INDEX IF NOT EXISTS files_by_adding ON files (tab, added);
CREATE TABLE IF NOT EXISTS commits (
    tab TEXT NOT NULL, version INTEGER NOT NULL, sha256 TEXT NOT NULL, content BLOB, PRIMARY KEY (tab, version)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS positions (journal TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS intent (one INTEGER PRIMARY KEY CHECK (one = 1), body TEXT NOT NULL);
"""

_NAMED = {
    "_extra": "sensitive columns", "_label": "the label", "_output": "the label", "_shadow_output": "the label",
    "_value": "the label",
}  # fmt: skip
_FILE = "path, rows, size, sha256, low, high"

_ARRIVED = """id IN (
    WITH RECURSIVE met AS (
        SELECT id, removed, gone FROM files WHERE tab = ? AND added > ? AND added <= ? AND journal != ''
        UNION
        SELECT f.id, f.removed, f.gone FROM met JOIN files f ON f.tab = ? AND f.added = met.removed WHERE met.gone
    )
    SELECT id FROM met WHERE NOT gone
)"""
"""Files with which rows came; for each that is gone, that which the commit that removed it added, and so on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A parquet file of a table; `low` and `high` bound the column that reads select by."""

    path: str
    rows: int
    size: int
    sha256: str
    low: Bound
    high: Bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One commit to be: `version` of `table`, made once by the app transaction (`app`, `number`)."""

    table: str
    version: int
    app: str
    number: int
    added: tuple[StoredFile, ...]
    removed: tuple[StoredFile, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """Changes that belong together, and the part of a journal that they store: `observations` after `after`."""

    changes: tuple[Change, ...]
    journal: str = ""
    after: int = 0
    position: int = 0
    observations: int = 0


class LakeMark:
    """Reads and moves the mark. Thread-safe; one process writes, any may read.

    Raises UnavailableError or IntegrityError, as `sqlite_errors` translates, from every method.
    """

    def __init__(self, path: Path, *, model: str, schema: str, place: str = "local") -> None:
        self._path = path
        self._schema = schema
        self._lock = RLock()
        with self._translated():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=_PATIENCE_S, isolation_level=None, check_same_thread=False)
            write_ahead(self._db, deadline=time.monotonic() + _PATIENCE_S)
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(_TABLES)
        self._own("schema", str(SCHEMA))
        self._own("model", model)
        self._own("place", place)
        self.check_columns()

    def _own(self, key: str, value: str) -> None:
        if self._one("SELECT value FROM meta WHERE key = ?", key) is None:
            with self._writing():
                self._db.execute("INSERT INTO meta VALUES (?, ?) ON CONFLICT DO NOTHING", (key, value))
        (found,) = self._one("SELECT value FROM meta WHERE key = ?", key) or ("",)
        if found != value:
            raise SchemaError(
                f"the lake marked by {self._path} was made for another {key}: {found}, not {value}; use the folder "
                "that belongs to it, or begin a new one",
                key,
            )

    def check_columns(self) -> None:
        """Refuse other columns than the tables have; until there are tables, nothing is settled."""
        if self._one("SELECT 1 FROM tables") is None:
            return
        (found,) = self._one("SELECT value FROM meta WHERE key = ?", "columns") or ("",)
        if said := shape_difference(found, self._schema):
            raise SchemaError(
                f"the lake marked by {self._path} was made for other columns: {said}; put that back, use the folder "
                "that belongs to it, or begin a project beside this one",
                "columns",
            )

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    # what is

    def version(self, table: str) -> int | None:
        """Return the version of `table`; None when it was never made."""
        row = self._one("SELECT version FROM tables WHERE name = ?", table)
        return None if row is None else int(row[0])

    def rows(self, table: str) -> int:
        """Return the number of rows in `table`."""
        row = self._one("SELECT rows FROM tables WHERE name = ?", table)
        return 0 if row is None else int(row[0])

    def position(self, journal: str) -> int:
        """Return the position up to which `journal` is stored."""
        row = self._one("SELECT position FROM positions WHERE journal = ?", journal)
        return 0 if row is None else int(row[0])

    def checkpoint(self, table: str) -> tuple[int, str]:
        """Return version and sha256 of the newest checkpoint; (-1, "") for none."""
        row = self._one("SELECT checkpoint, checkpoint_sha256 FROM tables WHERE name = ?", table)
        return (-1, "") if row is None else (int(row[0]), str(row[1]))

    def files(self, table: str, version: int, low: Bound, high: Bound) -> Sequence[StoredFile]:
        """Return the files of `table` at `version` whose range meets [low, high], in the order of their storing.

        Raises
        ------
        NotFoundError
            One of them was deleted: what is too old, or was erased, is not read in part.
        """
        where = "tab = ? AND high >= ? AND low <= ? AND added <= ? AND (removed IS NULL OR removed > ?)"
        values = (table, low, high, version, version)
        lost = self._one(f"SELECT COUNT(*) FROM files WHERE {where} AND gone", *values)  # noqa: S608 - constants of this file
        if lost is not None and lost[0]:
            raise NotFoundError(
                f"version {version} of {table} cannot be read any more: {lost[0]} of its files were deleted, by "
                "retention or because rows in them were erased"
            )
        return self._files(where, values)

    def arrived(self, table: str, after: int, upto: int) -> Sequence[StoredFile]:
        """Return the files with which rows came at versions above `after` up to `upto`; compacted ones brought none.

        In the place of a deleted one comes what has the rows that are left of it: the file that it was rewritten or
        compacted into. None comes where all of them were erased, or were too old.
        """
        return self._files(_ARRIVED, (table, after, upto, table))

    def present(self, table: str, low: Bound, high: Bound) -> Sequence[StoredFile]:
        """Return the files that `table` has now whose range meets [low, high], in the order of their storing."""
        return self._files("tab = ? AND high >= ? AND low <= ? AND removed IS NULL", (table, low, high))

    def live(self, table: str) -> Sequence[StoredFile]:
        """Return the files of `table` now, ordered by where their range begins."""
        return self._files("tab = ? AND removed IS NULL", (table,), order="low, id")

    def stored(self, table: str) -> Sequence[StoredFile]:
        """Return every file that some version of `table` has and that is not gone."""
        return self._files("tab = ? AND NOT gone", (table,))

    def removed(self, table: str) -> Sequence[tuple[str, int, int]]:
        """Return path, version of adding and version of removing of each file that only old versions have."""
        with self._translated():
            found = self._db.execute(
                "SELECT path, added, removed FROM files WHERE tab = ? AND removed IS NOT NULL AND NOT gone ORDER BY id",
                (table,),
            )
            return found.fetchall()

    def gone(self, table: str) -> Sequence[str]:
        """Return the paths of files that were deleted, or are to be."""
        with self._translated():
            found = self._db.execute("SELECT path FROM files WHERE tab = ? AND gone", (table,))
            return [str(path) for (path,) in found]

    def sources(self, table: str, path: str) -> Sequence[StoredFile]:
        """Return the files that the commit which added `path` removed."""
        return self._files(
            "tab = ? AND removed = (SELECT added FROM files WHERE tab = ? AND path = ?)", (table, table, path)
        )

    def origin(self, table: str, path: str) -> tuple[str, int, int]:
        """Return what a file was made of: journal ("" for none), position before it, and number of observations."""
        row = self._one("SELECT journal, after, observations FROM files WHERE tab = ? AND path = ?", table, path)
        if row is not None:
            return str(row[0]), int(row[1]), int(row[2])
        begun = self.intent()
        return ("", 0, 0) if begun is None else (begun.journal, begun.after, begun.observations)

    def commits(self, table: str, *, after: int = -1) -> Sequence[tuple[int, str, bytes | None]]:
        """Return version, sha256 and, since the newest checkpoint, content of each commit above `after`."""
        with self._translated():
            found = self._db.execute(
                "SELECT version, sha256, content FROM commits WHERE tab = ? AND version > ? ORDER BY version",
                (table, after),
            )
            return found.fetchall()

    def intent(self) -> Intent | None:
        """Return what was begun and has not ended."""
        row = self._one("SELECT body FROM intent")
        if row is None:
            return None
        body = json.loads(row[0])
        changes = tuple(
            Change(**(c | {k: tuple(StoredFile(**f) for f in c[k]) for k in ("added", "removed")}))
            for c in body["changes"]
        )
        return Intent(**(body | {"changes": changes}))

    def look(self) -> str:
        """Return what was noted of the last look for what is too old; empty before the first."""
        row = self._one("SELECT value FROM meta WHERE key = 'look'")
        return "" if row is None else str(row[0])

    def check(self) -> str:
        """Return what SQLite finds wrong with the file itself; empty when nothing."""
        row = self._one("PRAGMA quick_check(1)")
        return "" if row is None or row[0] == "ok" else str(row[0])

    # what changes

    def begin(self, intent: Intent) -> None:
        """Write down what is about to be done."""
        with self._writing():
            self._db.execute("INSERT INTO intent VALUES (1, ?)", (json.dumps(asdict(intent)),))

    def forget(self) -> None:
        """Drop an intent of which nothing was done."""
        with self._writing():
            self._db.execute("DELETE FROM intent")

    def made(self, table: str, commit: bytes, sha256: str) -> None:
        """Mark a new, empty table; the first one settles the columns."""
        with self._writing():
            if self._db.execute("SELECT 1 FROM tables").fetchone() is None:
                self._db.execute("INSERT OR REPLACE INTO meta VALUES ('columns', ?)", (self._schema,))
            self._db.execute("INSERT INTO tables VALUES (?, 0, 0, -1, '')", (table,))
            self._db.execute("INSERT INTO commits VALUES (?, 0, ?, ?)", (table, sha256, commit))

    def end(self, intent: Intent, commits: Mapping[str, tuple[bytes, str]]) -> None:
        """Move the mark to where `intent` leads, and end it; `commits` has content and sha256 by table."""
        with self._writing():
            for change in intent.changes:
                self._move(intent, change, *commits[change.table])
            if intent.journal:
                self._db.execute(
                    "INSERT INTO positions VALUES (?, ?) ON CONFLICT DO UPDATE SET position = excluded.position",
                    (intent.journal, intent.position),
                )
            self._db.execute("DELETE FROM intent")

    def _move(self, intent: Intent, change: Change, commit: bytes, sha256: str) -> None:
        rows = sum(f.rows for f in change.added) - sum(f.rows for f in change.removed)
        self._db.execute(
            "UPDATE tables SET version = ?, rows = rows + ? WHERE name = ?", (change.version, rows, change.table)
        )
        self._db.execute("INSERT INTO commits VALUES (?, ?, ?, ?)", (change.table, change.version, sha256, commit))
        self._db.executemany(
            "UPDATE files SET removed = ? WHERE tab = ? AND path = ?",
            [(change.version, change.table, f.path) for f in change.removed],
        )
        origin = (intent.journal, intent.after, intent.observations)
        self._db.executemany(
            f"INSERT INTO files (tab, added, journal, after, observations, {_FILE})"  # noqa: S608 - constants of this file
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (change.table, change.version, *origin, f.path, f.rows, f.size, f.sha256, f.low, f.high)
                for f in change.added
            ],
        )

    def lose(self, table: str, paths: Collection[str]) -> None:
        """Mark files as gone: versions that have them are refused from now on."""
        with self._writing():
            self._db.executemany(
                "UPDATE files SET gone = 1 WHERE tab = ? AND path = ? AND removed IS NOT NULL",
                [(table, path) for path in paths],
            )

    def checkpointed(self, table: str, version: int, sha256: str) -> None:
        """Mark a checkpoint; the contents of the commits before it are no longer needed."""
        with self._writing():
            self._db.execute(
                "UPDATE tables SET checkpoint = ?, checkpoint_sha256 = ? WHERE name = ?", (version, sha256, table)
            )
            self._db.execute("UPDATE commits SET content = NULL WHERE tab = ? AND version < ?", (table, version))

    def note_look(self, said: str) -> None:
        """Note a look for what is too old."""
        with self._writing():
            self._db.execute("INSERT OR REPLACE INTO meta VALUES ('look', ?)", (said,))

    # machinery

    def _files(self, where: str, values: tuple[Bound, ...], *, order: str = "id") -> Sequence[StoredFile]:
        with self._translated():
            found = self._db.execute(f"SELECT {_FILE} FROM files WHERE {where} ORDER BY {order}", values)  # noqa: S608 - likewise
            names = _FILE.split(", ")
            return [StoredFile(**dict(zip(names, row, strict=True))) for row in found]

    def _one(self, query: str, *values: Bound) -> tuple[Any, ...] | None:
        with self._translated():
            row: tuple[Any, ...] | None = self._db.execute(query, values).fetchone()
            return row

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._translated():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except sqlite3.Error as exc:
                raise translate(exc, self._path) from exc


def shape_difference(found: str, wanted: str) -> str:
    """Say how the columns of two lakes, as JSON by table, differ; empty when they do not."""
    if found == wanted:
        return ""
    was, now = (
        {(t, n): k for t, names in json.loads(text).items() for n, k in names.items()} for text in (found, wanted)
    )
    said = {
        "gone": [name for _, name in was.keys() - now.keys()],
        "new": [name for _, name in now.keys() - was.keys()],
        "of another kind": [name for place, name in was.keys() & now.keys() if was[place, name] != now[place, name]],
    }
    told = {how: sorted({_NAMED.get(name, name) for name in names}) for how, names in said.items()}
    return "; ".join(f"{how}: {', '.join(names)}" for how, names in told.items() if names) or "their order"
