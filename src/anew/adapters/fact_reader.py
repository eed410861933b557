"""A light way to read the record: the standard library's sqlite3, no SQLAlchemy, nothing written, no lock kept."""

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

from anew.adapters.fact_codec import decode
from anew.adapters.sqlite_errors import translate
from anew.domain.errors import NotFoundError
from anew.ports.clock import Clock, is_past
from anew.ports.eventlog import Grant, Recorded

__all__ = ["count_facts", "read_facts", "read_lease"]


def read_facts(path: Path, after: int = 0, kinds: Collection[str] | None = None) -> Iterator[Recorded]:
    """Yield the facts of the database at `path` with ``seq > after``, in order, as they stand when reading begins.

    Parameters
    ----------
    kinds
        Names of the kinds wanted, e.g. ``{"VersionPromoted"}``; None for all.

    Raises
    ------
    NotFoundError
        There is no database at `path`.
    UnavailableError, IntegrityError
        It cannot be read, or holds something else than facts.
    """
    query, values = "SELECT seq, recorded_at, kind, schema, body FROM fact WHERE seq > ?", [after, *sorted(kinds or ())]
    if kinds is not None:
        query += f" AND kind IN ({', '.join('?' * len(kinds))})"
    with _opened(path) as connection:
        for seq, recorded_at, kind, schema, body in connection.execute(query + " ORDER BY seq", values):
            fact = decode(kind, schema, body.encode())
            yield Recorded(seq=seq, recorded_at=datetime.fromisoformat(recorded_at), fact=fact)


def count_facts(path: Path) -> int:
    """Return how many facts are on record; raises the same errors as `read_facts`."""
    with _opened(path) as connection:
        return int(connection.execute("SELECT COUNT(*) FROM fact").fetchone()[0])


def read_lease(path: Path, *, clock: Clock, name: str = "loop") -> Grant | None:
    """Return who holds the lease `name`, or None: whether a loop is running, and which.

    Raises the same errors as `read_facts`.
    """
    with _opened(path) as connection:
        connection.row_factory = sqlite3.Row
        row = connection.execute("SELECT * FROM lease WHERE name = ?", [name]).fetchone()
    # A database of before `clock_epoch` has not been opened by a loop of this release yet.
    if row is None or not row["holder"] or "clock_epoch" not in row.keys():  # noqa: SIM118  a Row looks among values
        return None
    if is_past(clock, row["clock_epoch"], row["expires_at"]):
        return None
    return Grant(holder=row["holder"], epoch=row["epoch"])


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    if not path.is_file():
        raise NotFoundError(f"no database at {path}; is this the folder of a project that has been started?")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            yield connection
    except sqlite3.Error as exc:
        raise translate(exc, path) from exc
