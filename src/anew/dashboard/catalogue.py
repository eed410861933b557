"""What is where in a record: numbers of facts by kind and by version, and where every version stands.

It follows from the record alone and can be made from it again at any time. It is kept in a file, so that a dashboard
that begins reads only what is new; and on disk, so that a million runs take no memory.
"""

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from anew.registry import Standing, VersionRecord

__all__ = ["ABOUT", "NAMED", "ROUTED", "SUCCEEDED", "Catalogue", "CatalogueError", "Entry", "Kept", "Link"]

ABOUT, NAMED, ROUTED, SUCCEEDED = 1, 2, 4, 8
"""What a fact is to a version, as bits: pages show it there; a lineage does; it routes to it; a plan to succeed it."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FIRST, _MOST = 16, 512
"""How many numbers are fetched at a time where nobody knows how many will be taken: few, then four times as many."""

_TABLES = """
CREATE TABLE kept (one INTEGER PRIMARY KEY CHECK (one = 1), head INTEGER NOT NULL, mark TEXT NOT NULL,
    maker TEXT NOT NULL, state BLOB NOT NULL);
CREATE TABLE kind (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE fact (kind INTEGER NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (kind, seq)) WITHOUT ROWID;
CREATE TABLE version (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, place INTEGER, standing TEXT,
    since INTEGER, digest TEXT NOT NULL, reason TEXT NOT NULL, trained TEXT NOT NULL, moved INTEGER NOT NULL,
    judged INTEGER);
CREATE UNIQUE INDEX version_place ON version (place) WHERE place IS NOT NULL;
CREATE UNIQUE INDEX version_judged ON version (judged) WHERE judged IS NOT NULL;
CREATE INDEX version_standing ON version (standing, moved) WHERE standing IS NOT NULL;
CREATE TABLE link (version INTEGER NOT NULL, kind INTEGER NOT NULL, seq INTEGER NOT NULL, what INTEGER NOT NULL,
    PRIMARY KEY (version, kind, seq)) WITHOUT ROWID;
CREATE TABLE scored (start INTEGER PRIMARY KEY, seq INTEGER NOT NULL);
CREATE TABLE routing (epoch INTEGER PRIMARY KEY, seq INTEGER NOT NULL);
"""
_VERSIONS = "SELECT number, name, place, standing, since, digest, reason, trained, moved, judged FROM version WHERE"
_PUT = """
INSERT INTO version (number, name, place, standing, since, digest, reason, trained, moved, judged)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (number) DO UPDATE SET
place = excluded.place, standing = excluded.standing, since = excluded.since, digest = excluded.digest,
reason = excluded.reason, trained = excluded.trained, moved = excluded.moved, judged = excluded.judged
"""
_LINKED = "FROM link WHERE version = (SELECT number FROM version WHERE name = ?) AND what & ?"
_OUT_OF_REACH = {
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_NOMEM,
}  # fmt: skip

Link = tuple[int, int, int, int]
"""Number of a version, number of a kind, number of a fact, and what the fact is to the version."""


class CatalogueError(Exception):
    """The catalogue cannot be used; `damaged` says that it has to be made anew, else it cannot be reached now.

    `Records` alone sees it: the record can be read without what is kept of it.
    """

    def __init__(self, problem: str, *, damaged: bool = True) -> None:
        super().__init__(f"what the dashboard keeps of the record cannot be used: {problem}")
        self.damaged = damaged


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """How far the catalogue goes: number and mark of the last fact, whose code made it, and the state of its folds."""

    head: int
    mark: str
    maker: str
    state: bytes


@dataclass(slots=True, kw_only=True)
class Entry:
    """One version.

    Attributes
    ----------
    place
        In the order of planning, from 0; None where the registry does not know it.
    record
        Where it stands; None likewise.
    trained
        Digest that its training made.
    moved
        Grows with each version that comes to a standing.
    judged
        In the order in which gates judged first, from 0; None before they did.
    """

    number: int
    name: str
    place: int | None = None
    record: VersionRecord | None = None
    trained: str = ""
    moved: int = 0
    judged: int | None = None


class Catalogue:
    """The tables, in the file `path`, or in memory for None. Not thread-safe, and nobody else's while it is open.

    Raises CatalogueError.
    """

    def __init__(self, path: Path | None) -> None:
        with _told():
            self._db = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False, timeout=0)
            try:
                self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=NORMAL")  # what a power cut takes is read again
                self._db.execute("PRAGMA cache_size=-65536")
                if not self._db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
                    self._db.executescript(f"BEGIN;{_TABLES}COMMIT;")
                self._kinds = {str(name): int(number) for number, name in self._db.execute("SELECT * FROM kind")}
            except BaseException:
                self._db.close()
                raise

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def kept(self) -> Kept | None:
        """Return how far it goes; None for one that is new."""
        with _told():
            row = self._db.execute("SELECT head, mark, maker, state FROM kept").fetchone()
        return None if row is None else Kept(head=row[0], mark=row[1], maker=row[2], state=row[3])

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Have all that is written in the block be there, or, where it raises, nothing of it."""
        with _told():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def keep(self, kept: Kept) -> None:
        """Say how far it goes now."""
        self._db.execute(
            "INSERT OR REPLACE INTO kept VALUES (1, ?, ?, ?, ?)", (kept.head, kept.mark, kept.maker, kept.state)
        )

    def kind(self, name: str) -> int:
        """Return the number of a kind, given to it when it is new."""
        number = self._kinds.get(name)
        if number is None:
            number = self._kinds[name] = len(self._kinds) + 1
            self._db.execute("INSERT INTO kind VALUES (?, ?)", (number, name))
        return number

    def add(self, facts: Sequence[tuple[int, int]], links: Sequence[Link]) -> None:
        """Put down facts, each as the number of its kind and its own, and what they are to versions."""
        self._db.executemany("INSERT INTO fact VALUES (?, ?)", facts)
        self._db.executemany("INSERT INTO link VALUES (?, ?, ?, ?)", links)

    def put(self, entries: Collection[Entry]) -> None:
        """Put down versions as they are now."""
        self._db.executemany(_PUT, map(_row, entries))

    def score(self, start: datetime, seq: int) -> None:
        """Put down which fact scored a window last."""
        self._db.execute("INSERT OR REPLACE INTO scored VALUES (?, ?)", (_micros(start), seq))

    def route(self, epoch: int, seq: int) -> None:
        """Put down which fact was the first routing of an epoch."""
        self._db.execute("INSERT OR IGNORE INTO routing VALUES (?, ?)", (epoch, seq))

    @property
    def kinds(self) -> Sequence[str]:
        """Names of the kinds that there are."""
        return sorted(self._kinds)

    def entry(self, name: str) -> Entry | None:
        """Return a version by name."""
        return next(iter(self._entries("name = ?", name)), None)

    def runs(self, begin: int, end: int) -> Sequence[Entry]:
        """Return the versions with places from `begin` to before `end`, in order."""
        return self._entries("place >= ? AND place < ? ORDER BY place", begin, end)

    def first(self, standing: Standing) -> Entry | None:
        """Return who was planned first of those that stand there."""
        return next(iter(self._entries("standing = ? ORDER BY place LIMIT 1", standing.value)), None)

    def standing(self, standing: Standing, most: int) -> Sequence[Entry]:
        """Return those that came to a standing last, in the order in which they did."""
        return self._entries("standing = ? ORDER BY moved DESC LIMIT ?", standing.value, most)[::-1]

    def judged(self, most: int) -> Sequence[str]:
        """Return the newest names of those that gates have judged, the newest first."""
        return [each.name for each in self._entries("judged IS NOT NULL ORDER BY judged DESC LIMIT ?", most)]

    def before(self, kind: str, seq: int) -> Iterator[Sequence[int]]:
        """Yield the numbers of the facts of a kind below `seq`, the newest first, some at a time."""
        number, most = self._kinds.get(kind), _FIRST
        while number is not None:
            query = "SELECT seq FROM fact WHERE kind = ? AND seq < ? ORDER BY seq DESC LIMIT ?"
            found = self._numbers(query, number, seq, most)
            if not found:
                return
            yield found
            seq, most = found[-1], min(4 * most, _MOST)

    def newest(self, kind: str, most: int) -> Sequence[int]:
        """Return the newest numbers of the facts of a kind, the newest first."""
        query = "SELECT seq FROM fact WHERE kind = ? ORDER BY seq DESC LIMIT ?"
        return self._numbers(query, self._kinds.get(kind), most)

    def count(self, kind: str) -> int:
        """Return how many facts of a kind there are."""
        return self._numbers("SELECT count(*) FROM fact WHERE kind = ?", self._kinds.get(kind))[0]

    def linked(self, version: str, what: int, kinds: Collection[str], *, but: bool = False) -> Sequence[int]:
        """Return the numbers of facts that are this to a version, in order: of these kinds, or of all `but` these."""
        of = [number for name, number in self._kinds.items() if (name in kinds) is not but]
        query = f"SELECT seq {_LINKED} AND kind IN ({', '.join('?' * len(of))})"
        return sorted(self._numbers(query, version, what, *of))

    def many(self, version: str, kind: str) -> int:
        """Return how many facts of a kind are about a version."""
        return self._numbers(f"SELECT count(*) {_LINKED} AND kind = ?", version, ABOUT, self._kinds.get(kind))[0]

    def scored(self, most: int) -> Sequence[int]:
        """Return the numbers of the facts that scored the newest windows last, in order of time."""
        return self._numbers("SELECT seq FROM scored ORDER BY start DESC LIMIT ?", most)[::-1]

    def routed(self, epoch: int) -> Sequence[int]:
        """Return the number of the first routing of an epoch, if any."""
        return self._numbers("SELECT seq FROM routing WHERE epoch = ?", epoch)

    def _numbers(self, query: str, *values: object) -> Sequence[int]:
        with _told(ValueError, TypeError):
            return [int(seq) for (seq,) in self._db.execute(query, values)]

    def _entries(self, query: str, *values: object) -> Sequence[Entry]:
        with _told(ValueError, TypeError):
            return [_entry(*row) for row in self._db.execute(f"{_VERSIONS} {query}", values)]


@contextmanager
def _told(*unreadable: type[Exception]) -> Iterator[None]:
    """Say what SQLite says in our words, and so what becomes of values that were never written."""
    errors: tuple[type[Exception], ...] = (sqlite3.Error, *unreadable)
    try:
        yield
    except errors as exc:
        code = getattr(exc, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        raise CatalogueError(str(exc), damaged=code not in _OUT_OF_REACH) from exc


def _micros(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


def _row(entry: Entry) -> tuple[object, ...]:
    record = entry.record
    stands: tuple[str | None, int | None, str, str] = (None, None, "", "")
    if record is not None:
        stands = (record.standing.value, _micros(record.since), record.digest, record.reason)
    return (entry.number, entry.name, entry.place, *stands, entry.trained, entry.moved, entry.judged)


def _entry(*row: Any) -> Entry:
    number, name, place, standing, since, digest, reason, trained, moved, judged = row
    record = None
    if standing is not None:
        at = _EPOCH + timedelta(microseconds=since)
        record = VersionRecord(version=name, standing=Standing(standing), since=at, digest=digest, reason=reason)
    return Entry(number=number, name=name, place=place, record=record, trained=trained, moved=moved, judged=judged)
