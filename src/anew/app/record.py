"""A project's record of facts, opened."""

from pathlib import Path

from anew.adapters.sql_database import SQLDatabase, open_database
from anew.app.record_place import SQLITE, had_record, has_record, owner_of, place_of, put_down, record_place, settled
from anew.domain.errors import ConflictError, NotFoundError

__all__ = ["open_record", "settle"]


def open_record(state: Path, *, migrate: bool = True) -> SQLDatabase:
    """Open the record of a project that was brought up before; raises as `record_place` and `open_database` do.

    Parameters
    ----------
    migrate
        Bring its tables to the newest revision? Say no to read facts alone.

    Raises
    ------
    NotFoundError
        It never was, or its record is lost; the message says which.
    """
    if not had_record(state):
        raise NotFoundError(f"{state.parent} was never brought up, or is no project's folder; begin with anew up there")
    return open_database(record_place(state), create=False, migrate=migrate)


def settle(state: Path, database: str, model: str) -> SQLDatabase:
    """Open the record where the settings' `database` wants it, making it when the project has none, and keep to it.

    Parameters
    ----------
    database
        ``sqlite``, a reference to a URL, or a URL without a password.

    Raises
    ------
    ConflictError
        The record is elsewhere: it has to be moved first; or what is there is another project's.
    """
    now, _ = settled(state)
    if now != database and (now != SQLITE or has_record(state)):
        raise ConflictError(
            f"this project's record is in {now}, and stores.database says {database}: move it with "
            "`anew migrate`, or write the former again"
        )
    opened = open_database(place_of(state, database, model), create=now != database or database == SQLITE)
    try:
        opened.claim(owner_of(state), begun=now == database)
    except BaseException:
        opened.close()
        raise
    if now != database:
        put_down(state, database, model)
    return opened
