"""The control database on a PostgreSQL server: a schema for each project, one writer at a time, on disk at commit."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError

from anew.adapters.migrations import settle
from anew.adapters.postgres_link import NOW, PostgresPlace, ServerClock, connect, translate
from anew.domain.errors import ConflictError, IntegrityError, NotFoundError
from anew.ports.clock import Clock

__all__ = ["PostgresDatabase", "has_tables", "postgres_engine"]


def postgres_engine(place: PostgresPlace, *, connections: int = 10) -> Engine:
    """Return an engine on the server of `place`; a connection that died while it rested is replaced unnoticed."""
    return create_engine(
        "postgresql+psycopg://",
        creator=lambda: connect(place),
        pool_pre_ping=True,
        pool_size=connections,
        isolation_level="READ COMMITTED",
    )


def has_tables(place: PostgresPlace) -> bool:
    """Are there the tables of a record in the schema? Raises as `PostgresDatabase` does."""
    try:
        with connect(place) as connection:
            query = "SELECT 1 FROM pg_tables WHERE schemaname = %s AND tablename = 'fact'"
            return connection.execute(query, [place.schema]).fetchone() is not None
    except psycopg.Error as exc:
        raise translate(exc, place) from exc


class PostgresDatabase:
    """The control database of a project, opened; see `anew.adapters.sql_database.SQLDatabase`.

    Writers queue for one lock, as they do for SQLite's file: `seq` has no gaps, and what is read within a write is what
    it is appended to. The server ends a transaction whose program is silent, so that one which is paused within it
    holds up its successor for seconds.

    Parameters
    ----------
    place
        The server and the project's schema, made when it is not there.
    create
        May it be made? Say no where facts are known to exist: an empty record is no record.
    migrate
        Bring its tables to the newest revision? Say no to read facts alone.

    Raises
    ------
    NotFoundError
        There is no such database, or no such schema and `create` is false.
    UnavailableError
        The server cannot be reached or refuses; the message says what to do.
    IntegrityError
        It is damaged, of a newer anew, or does not bring commits to disk.
    """

    def __init__(self, place: PostgresPlace, *, create: bool = True, migrate: bool = True) -> None:
        self.place = place
        with self._translated():
            self._settle(create)
        self._engine = postgres_engine(place)
        try:
            with self.write() if migrate else self.read() as connection:
                settle(connection, migrate=migrate)
        except BaseException:
            self._engine.dispose()
            raise

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Yield a connection with the write lock; on disk when the block ends, undone when it raises."""
        with self._translated(), self._engine.begin() as connection:
            # Who watches hears of it at the commit.
            values = {"lock": self.place.schema, "channel": self.place.schema}
            connection.execute(text(_LOCK + ", pg_notify(:channel, '')"), values)
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a connection that sees one state of the database and blocks nobody."""
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with self._translated(), self._engine.connect().execution_options(**options) as connection:
            yield connection

    def lease_clock(self, own: Clock) -> Clock:  # noqa: ARG002  that of one machine says nothing to another
        """Return the server's."""

        def ask() -> float:
            with self.read() as connection:
                return float(connection.exec_driver_sql(NOW).scalar_one())

        return ServerClock(ask)

    def integrity_check(self) -> None:
        """Ask the server whether what it acknowledges is on its disk.

        Raises
        ------
        IntegrityError
            It is not.
        """
        with self.read() as connection:
            if connection.exec_driver_sql("SHOW fsync").scalar() != "on":
                raise IntegrityError(
                    f"database {self.place} runs with fsync=off and would lose facts at a power failure; switch it on"
                )

    def claim(self, owner: str, *, begun: bool) -> None:
        """Have the schema be one project's; see `SQLDatabase`."""
        schema = self.place.schema
        with self.write() as connection:
            of = text("SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = :schema")
            said = connection.execute(of, {"schema": schema}).scalar() or ""
            holds = connection.exec_driver_sql("SELECT EXISTS (SELECT 1 FROM fact)").scalar()
            if said == f"{_OWNER}{owner}":
                return
            if said.startswith(_OWNER) or (holds and not begun):
                raise ConflictError(
                    f"{self.place} holds the record of another project whose model has the same name: give this model "
                    "another name, or write another database in stores.database. If it is this project's own, whose "
                    "folder was lost, restore the folder from its backup"
                )
            # Neither a schema's name nor a comment can be a parameter; the owner is hexadecimal.
            named = psycopg.sql.Identifier(schema).as_string()
            connection.exec_driver_sql(f"COMMENT ON SCHEMA {named} IS '{_OWNER}{int(owner, 16):032x}'")

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def _settle(self, create: bool) -> None:
        """See that the schema is there, before any connection of the pool asks which schema it is in."""
        with connect(self.place) as connection:
            connection.execute(_LOCK.replace(":lock", "%s"), [self.place.schema])
            there = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [self.place.schema]).fetchone()
            if there:
                return
            if not create:
                raise NotFoundError(
                    f"database {self.place} is not there, but this project has one; restore it from a backup"
                )
            connection.execute(psycopg.sql.SQL("CREATE SCHEMA {}").format(psycopg.sql.Identifier(self.place.schema)))

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as exc:
            raise translate(exc.orig or exc, self.place) from exc
        except psycopg.Error as exc:  # raised while connecting
            raise translate(exc, self.place) from exc


_OWNER = "anew project "

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(:lock, 0))"
