"""What the SQL stores ask of a database, and the one that a place stands for."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection

from anew.adapters.postgres_link import Place
from anew.adapters.sql_engine import Database
from anew.ports.clock import Clock

__all__ = ["SQLDatabase", "is_there", "open_database"]


class SQLDatabase(Protocol):
    """A control database, opened. Thread- and process-safe; its errors are ours."""

    def write(self) -> AbstractContextManager[Connection]:
        """Enter for the one write transaction of the moment: on disk at the end, undone when the block raises."""
        ...

    def read(self) -> AbstractContextManager[Connection]:
        """Enter for a connection that sees one state."""
        ...

    def lease_clock(self, own: Clock) -> Clock:
        """Return the clock that every program which may open this database counts terms on; `own` is this machine's."""
        ...

    def integrity_check(self) -> None:
        """Raise IntegrityError when the database is damaged, or keeps no promise."""
        ...

    def claim(self, owner: str, *, begun: bool) -> None:
        """Have it be one project's and no other's, where others could come to it.

        Parameters
        ----------
        owner
            What tells the project from others, 32 hexadecimal digits.
        begun
            Does the project know that its record is here? Otherwise one that is here is another's.

        Raises
        ------
        ConflictError
            It is another project's.
        """
        ...

    def close(self) -> None:
        """Close every connection."""
        ...


def open_database(place: Place, *, create: bool = True, migrate: bool = True) -> SQLDatabase:
    """Open the SQLite file or the PostgreSQL schema at `place`; raises as their classes do."""
    if isinstance(place, Path):
        return Database(place, create=create, migrate=migrate)
    # Who keeps a file needs no driver.
    from anew.adapters.sql_postgres import PostgresDatabase  # noqa: PLC0415 - see above

    return PostgresDatabase(place, create=create, migrate=migrate)


def is_there(place: Place) -> bool:
    """Is there a control database at `place`? Makes none; a server that does not answer raises as `open_database`."""
    if isinstance(place, Path):
        return place.exists()
    from anew.adapters.sql_postgres import has_tables  # noqa: PLC0415 - as above

    return has_tables(place)
