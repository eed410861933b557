"""A light way to read the record: by the database's own driver, no SQLAlchemy, nothing written, no lock kept."""

import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Any, NamedTuple

from anew.adapters.fact_codec import decode
from anew.adapters.postgres_link import NOW, Place, PostgresPlace, ServerClock, querying, streaming, watching
from anew.adapters.sqlite_errors import translate
from anew.adapters.sqlite_opening import read_only
from anew.domain.errors import NotFoundError
from anew.ports.clock import Clock, is_past
from anew.ports.eventlog import Grant, Recorded

__all__ = [
    "FactReader",
    "StoredFact",
    "count_facts",
    "read_facts",
    "read_lease",
    "read_stored",
    "reading_facts",
    "watch_record",
]

_LOOK_S = 0.05
_COLUMNS = "SELECT seq, recorded_at, kind, schema, body FROM fact"


class StoredFact(NamedTuple):
    """A fact as it is stored: what its hash is made of, with the hash before it."""

    seq: int
    recorded_at: str
    kind: str
    schema: int
    body: str

    def recorded(self) -> Recorded:
        """Read it; raises IntegrityError for what is no fact."""
        fact = decode(self.kind, self.schema, self.body.encode())
        return Recorded(seq=self.seq, recorded_at=datetime.fromisoformat(self.recorded_at), fact=fact)


def read_facts(place: Place, after: int = 0, kinds: Collection[str] | None = None) -> Iterator[Recorded]:
    """Yield the facts of the database at `place` with ``seq > after``, in order, as they stand when reading begins.

    They come one by one, whatever their number: neither side keeps them.

    Parameters
    ----------
    kinds
        Names of the kinds wanted, e.g. ``{"VersionPromoted"}``; None for all.

    Raises
    ------
    NotFoundError
        There is no database at `place`.
    UnavailableError, IntegrityError
        It cannot be read, or holds something else than facts.
    """
    for stored in read_stored(place, after, kinds):
        yield stored.recorded()


def read_stored(place: Place, after: int = 0, kinds: Collection[str] | None = None) -> Iterator[StoredFact]:
    """Yield the same facts as `read_facts` does, as they are stored; raises the same errors."""
    query, values = f"{_COLUMNS} WHERE seq > ?", [after, *sorted(kinds or ())]
    if kinds is not None:
        query += f" AND kind IN ({', '.join('?' * len(kinds))})"
    with streaming(place) if isinstance(place, PostgresPlace) else _opened(place) as execute:
        for row in execute(query + " ORDER BY seq", values):
            yield StoredFact(*row)


class FactReader:
    """Facts of one database by number, by id and by cause, each found by an index. Not thread-safe.

    Its methods raise the same errors as `read_facts`, but for NotFoundError: what is not there is left out.
    """

    def __init__(self, execute: Callable[..., Any]) -> None:
        self._execute = execute

    def head(self) -> int:
        """Return the number of the last fact; 0 for none."""
        return _count(self._execute)

    def mark(self, seq: int) -> str:
        """Return what tells the record up to `seq` from every other: the hash it ends in; empty: it is shorter."""
        found = self._execute("SELECT hash FROM fact WHERE seq = ?", [seq]).fetchone()
        return str(found[0]) if found else ""

    def after(self, seq: int, most: int) -> Sequence[Recorded]:
        """Return the next facts after number `seq`, at most so many."""
        return self._found(f"{_COLUMNS} WHERE seq > ? ORDER BY seq LIMIT ?", [seq, most])

    def at(self, seqs: Sequence[int]) -> Sequence[Recorded]:
        """Return the facts with these numbers, in order of number."""
        if not seqs:
            return ()
        return self._found(f"{_COLUMNS} WHERE seq IN ({', '.join('?' * len(seqs))}) ORDER BY seq", list(seqs))

    def find(self, id: str) -> Recorded | None:
        """Return the fact with this id."""
        return next(iter(self._found(f"{_COLUMNS} WHERE id = ?", [id])), None)

    def last(self, kind: str) -> Recorded | None:
        """Return the newest fact of a kind; it is looked for from the newest fact back."""
        return next(iter(self._found(f"{_COLUMNS} WHERE kind = ? ORDER BY seq DESC LIMIT 1", [kind])), None)

    def caused_by(self, id: str) -> Sequence[Recorded]:
        """Return the facts whose cause is the one with this id, in order of number."""
        return self._found(f"{_COLUMNS} WHERE cause = ? ORDER BY seq", [id])

    def _found(self, query: str, values: Sequence[object]) -> Sequence[Recorded]:
        return [_recorded(row) for row in self._execute(query, values).fetchall()]


@contextmanager
def reading_facts(place: Place) -> Iterator[FactReader]:
    """Yield what reads single facts of the database at `place`, over one connection.

    Raises the same errors as `read_facts`.
    """
    with _opened(place) as execute:
        yield FactReader(execute)


def count_facts(place: Place) -> int:
    """Return how many facts are on record: the number of the last, since numbers have no gaps.

    Raises the same errors as `read_facts`.
    """
    with _opened(place) as execute:
        return _count(execute)


def read_lease(place: Place, *, clock: Clock, name: str = "loop") -> Grant | None:
    """Return who holds the lease `name`, or None: whether a loop is running, and which.

    Raises the same errors as `read_facts`.
    """
    with _opened(place) as execute:
        found = execute("SELECT * FROM lease WHERE name = ?", [name])
        values = found.fetchone()
        row = dict(zip([each[0] for each in found.description], values, strict=True)) if values else {}
        # A database of before `clock_epoch` has not been opened by a loop of this release yet.
        if not row.get("holder") or "clock_epoch" not in row:
            return None
        counted = ServerClock(lambda: float(execute(NOW).fetchone()[0])) if isinstance(place, PostgresPlace) else clock
        if is_past(counted, row["clock_epoch"], row["expires_at"]):
            return None
    return Grant(holder=row["holder"], epoch=row["epoch"])


def _count(execute: Callable[..., Any]) -> int:
    return int(execute("SELECT COALESCE(MAX(seq), 0) FROM fact").fetchone()[0])


def _recorded(row: Sequence[Any]) -> Recorded:
    return StoredFact(*row).recorded()


@contextmanager
def watch_record(place: Place) -> Iterator[Callable[[float], None]]:
    """Yield a function that waits until something may have been written, at most so many seconds.

    A server says so; a file is looked at again after a moment. Either way it may return for nothing.
    """
    if isinstance(place, PostgresPlace):
        with watching(place) as wait:
            yield wait
    else:
        yield lambda seconds: time.sleep(min(seconds, _LOOK_S))


@contextmanager
def _opened(place: Place) -> Iterator[Callable[..., Any]]:
    """Yield what executes a query, whose parameters are written as ``?``."""
    if isinstance(place, PostgresPlace):
        with querying(place) as execute:
            yield execute
        return
    if not place.is_file():
        raise NotFoundError(f"no database at {place}; is this the folder of a project that was brought up (anew up)?")
    try:
        with closing(sqlite3.connect(read_only(place), uri=True)) as connection:
            yield connection.execute
    except sqlite3.Error as exc:
        raise translate(exc, place) from exc
