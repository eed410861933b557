"""A light way to read the record: by the database's own driver, no SQLAlchemy, nothing written, no lock kept."""

import sqlite3
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Any

from anew.adapters.fact_codec import decode
from anew.adapters.postgres_link import NOW, Place, PostgresPlace, ServerClock, querying, streaming, watching
from anew.adapters.sqlite_errors import translate
from anew.domain.errors import NotFoundError
from anew.ports.clock import Clock, is_past
from anew.ports.eventlog import Grant, Recorded

__all__ = ["count_facts", "read_facts", "read_lease", "watch_record"]

_LOOK_S = 0.05


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
    query, values = "SELECT seq, recorded_at, kind, schema, body FROM fact WHERE seq > ?", [after, *sorted(kinds or ())]
    if kinds is not None:
        query += f" AND kind IN ({', '.join('?' * len(kinds))})"
    with streaming(place) if isinstance(place, PostgresPlace) else _opened(place) as execute:
        for seq, recorded_at, kind, schema, body in execute(query + " ORDER BY seq", values):
            fact = decode(kind, schema, body.encode())
            yield Recorded(seq=seq, recorded_at=datetime.fromisoformat(recorded_at), fact=fact)


def count_facts(place: Place) -> int:
    """Return how many facts are on record: the number of the last, since numbers have no gaps.

    Raises the same errors as `read_facts`.
    """
    with _opened(place) as execute:
        return int(execute("SELECT COALESCE(MAX(seq), 0) FROM fact").fetchone()[0])


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
        with closing(sqlite3.connect(f"{place.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            yield connection.execute
    except sqlite3.Error as exc:
        raise translate(exc, place) from exc
