"""Connections to a PostgreSQL server, and what its errors mean to us; imports the driver only where it is asked for."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from anew.domain.errors import (
    AnewError,
    DiskFullError,
    IntegrityError,
    MissingExtraError,
    NotFoundError,
    UnavailableError,
)

if TYPE_CHECKING:
    import psycopg

__all__ = ["NOW", "Place", "PostgresPlace", "ServerClock", "connect", "querying", "streaming", "translate", "watching"]

NOW = "SELECT extract(epoch FROM clock_timestamp())"
"""The server's clock, in seconds."""
_LOCK_S = 8.0
"""Seconds that a transaction waits for another's lock: longer than one that is paused can hold it."""
_PAUSE_S = 5.0
"""Seconds after which the server ends a transaction whose program says nothing: one that is paused blocks nobody."""
_CONNECT_S = 5
_SENTENCES = {
    "28": "it does not let this user in; look at the URL's user and password, and at pg_hba.conf",
    "42501": "this user may not do that; grant it the schema, or CREATE on the database",
    "53": "it has no room left for this (memory, connections or disk); see to that, work goes on by itself",
    "55P03": "another program has kept the lock; end it, or try again",
    "57P": "it is shutting down or starting; work goes on when it is back",
    "25P03": "this program was silent for too long within a transaction, which was undone; try again",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresPlace:
    """A schema on a PostgreSQL server; `url` may hold a password, and is never shown."""

    url: str = field(repr=False)
    schema: str

    def __str__(self) -> str:
        """Name host, database and schema."""
        parts = urlsplit(self.url)
        hosts = parts.netloc.rpartition("@")[2]  # several, with ports, where one stands in for another
        return f"postgresql://{hosts}{parts.path} (schema {self.schema})"


@dataclass(frozen=True, slots=True)
class ServerClock:
    """The server's clock, by which the programs of all machines count the terms of leases; see `anew.ports.clock`.

    It counts on over a restart of the server. Set back, it lets a term last longer; set forward, a successor may come
    early, and fences the holder off.
    """

    ask: Callable[[], float]

    def now(self) -> datetime:
        """Return the present instant, timezone-aware UTC."""
        return datetime.fromtimestamp(self.ask(), UTC)

    def monotonic(self) -> float:
        """Return the seconds that it shows."""
        return self.ask()

    def epoch(self) -> str:
        """Return its name: there is one server."""
        return "server"


Place = Path | PostgresPlace
"""Where a control database is: a SQLite file, or a schema on a server."""


def connect(place: PostgresPlace, **more: Any) -> "psycopg.Connection[Any]":
    """Open a connection whose search path is the schema; its commits are on disk, and none of its waits is endless.

    Raises psycopg's errors, for `translate`.
    """
    driver, conninfo_to_dict = _driver()
    given = conninfo_to_dict(place.url)
    wishes = {
        "search_path": f'"{place.schema}"',
        "lock_timeout": f"{_LOCK_S:.0f}s",
        "idle_in_transaction_session_timeout": f"{_PAUSE_S:.0f}s",
        "synchronous_commit": "on",
        "timezone": "UTC",
    }
    options = [str(given.pop("options", "")), *(f"-c {name}={value}" for name, value in wishes.items())]
    given.setdefault("connect_timeout", _CONNECT_S)
    given.setdefault("application_name", "anew")
    # A host that vanished without a word is noticed in half a minute.
    given |= {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 4}
    opened: psycopg.Connection[Any] = driver.connect(**given, options=" ".join(options).strip(), **more)
    return opened


def _driver() -> tuple[Any, Any]:
    try:
        # Who keeps a file would wait 0.15 s for it.
        import psycopg  # noqa: PLC0415 - see above
        from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415 - see above
    except ImportError as exc:
        raise MissingExtraError("psycopg", "postgres") from exc
    return psycopg, conninfo_to_dict


@contextmanager
def querying(place: PostgresPlace) -> Iterator[Callable[..., Any]]:
    """Yield what executes a query with its values, in the manner of sqlite3: parameters are written as ``?``.

    Errors are ours.
    """
    psycopg, _ = _driver()
    try:
        with connect(place, autocommit=True) as connection:

            def execute(query: str, values: Sequence[object] = ()) -> Any:
                return connection.execute(query.replace("?", "%s"), values)

            yield execute
    except psycopg.Error as exc:
        raise translate(exc, place) from exc


@contextmanager
def streaming(place: PostgresPlace) -> Iterator[Callable[[str, Sequence[object]], Iterator[Any]]]:
    """Yield what executes one query, as `querying` does, and gives its rows as the server sends them: none is kept.

    Errors are ours.
    """
    psycopg, _ = _driver()
    try:
        with connect(place, autocommit=True) as connection, connection.cursor() as cursor:
            yield lambda query, values: cursor.stream(query.replace("?", "%s"), values)
    except psycopg.Error as exc:
        raise translate(exc, place) from exc


@contextmanager
def watching(place: PostgresPlace) -> Iterator[Callable[[float], None]]:
    """Yield a function that waits, for at most so many seconds, until somebody writes to `place`. Errors are ours."""
    psycopg, _ = _driver()
    try:
        with connect(place, autocommit=True) as connection:
            connection.execute(f'LISTEN "{place.schema}"')

            def wait(seconds: float) -> None:
                for _ in connection.notifies(timeout=seconds, stop_after=1):
                    return

            yield wait
    except psycopg.Error as exc:
        raise translate(exc, place) from exc


def translate(exc: BaseException, place: PostgresPlace) -> AnewError:
    """Return our error for one of psycopg's; raise it ``from exc``."""
    state = getattr(exc, "sqlstate", None) or ""
    said = str(exc).strip().splitlines()[0] if str(exc).strip() else type(exc).__name__
    if state == "53100":
        return DiskFullError(f"database {place}: the server's disk is full; nothing was written: free some space there")
    if state.startswith("3D"):
        return NotFoundError(f"database {place} is not there; create it on the server (createdb), or correct the URL")
    if state in ("3F000", "42P01"):
        return NotFoundError(f"no record at {place}; was this project brought up with another database?")
    if state.startswith(("XX001", "XX002")):
        return IntegrityError(f"database {place} is damaged ({state}): {said}; restore it from a backup")
    for prefix, sentence in _SENTENCES.items():
        if state.startswith(prefix):
            return UnavailableError(f"database {place} does not answer ({state}): {sentence}")
    return UnavailableError(f"database {place} does not answer ({state or type(exc).__name__}): {said}")
