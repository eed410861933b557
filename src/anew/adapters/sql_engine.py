"""Opens the control database and keeps its promises: one writer, short transactions, on disk at commit."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import parse_qsl

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

from anew.adapters.file_system import NETWORK, mounted_on
from anew.adapters.migrations import settle
from anew.adapters.sqlite_errors import translate
from anew.adapters.sqlite_opening import read_only, write_ahead
from anew.domain.errors import IntegrityError, NotFoundError, UnavailableError
from anew.ports.clock import Clock

__all__ = ["Database", "sqlite_engine"]


def sqlite_engine(path: Path, *, busy_s: float = 5.0, writes: bool = True) -> Engine:
    """Return an engine on the SQLite file `path`: WAL, synchronous=FULL, BEGIN IMMEDIATE unless told it only reads.

    Parameters
    ----------
    busy_s
        How long to wait for another process's lock, in seconds.
    writes
        May it write? Otherwise the file is opened as it is, also where nobody can write.
    """
    # a path may hold signs that mean something in a URL
    url = URL.create("sqlite", database=str(path))
    if not writes:
        database, _, asked = read_only(path).partition("?")
        url = URL.create("sqlite", database=database, query={"uri": "true", **dict(parse_qsl(asked))})
    engine = create_engine(url, connect_args={"timeout": busy_s, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _settings(connection: Any, _: Any) -> None:  # Any: SQLAlchemy hands over the driver's own object
        # We begin transactions ourselves: the driver would begin them late, after the reads, without the write lock.
        connection.isolation_level = None
        if writes:
            write_ahead(connection, deadline=time.monotonic() + busy_s)
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        reads = connection.get_execution_options().get("anew_reads", False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


class Database:
    """The control database of a project, opened, and migrated unless it is to be left as it is. Thread-safe.

    Parameters
    ----------
    path
        SQLite file, created with its folder when it is not there.
    busy_s
        How long to wait for a lock before UnavailableError, in seconds.
    create
        May it be made when it is not there? Say no where facts are known to exist: an empty record is no record.
    migrate
        Bring its tables to the newest revision? Say no to read facts alone: nothing is written then.

    Raises
    ------
    NotFoundError
        It is not there, or empty, and `create` is false.
    UnavailableError
        It cannot be opened, read or written; the message says what to do.
    IntegrityError
        It is no database, damaged, on a network file system, or of a newer anew.
    """

    def __init__(self, path: Path, *, busy_s: float = 5.0, create: bool = True, migrate: bool = True) -> None:
        self.path = path.absolute()
        if not create and (not self.path.exists() or not self.path.stat().st_size):
            raise NotFoundError(
                f"database {self.path} is not there or empty, but this project has one; restore it from a backup"
            )
        self._busy_s = busy_s
        self._writing = Lock()
        _refuse_network(self.path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise UnavailableError(f"folder {self.path.parent} cannot be made: {exc}") from exc
        self._engine = sqlite_engine(self.path, busy_s=busy_s, writes=migrate)
        self._inode: tuple[int, int] | None = None
        try:
            with self.write() if migrate else self.read() as connection:
                settle(connection, migrate=migrate)
        except BaseException:
            self._engine.dispose()
            raise
        self._inode = _inode(self.path)
        _sync_folder(self.path.parent)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Yield a connection with the write lock; on disk when the block ends, undone when it raises."""
        if not self._writing.acquire(timeout=self._busy_s):
            raise UnavailableError(f"database {self.path} was busy for {self._busy_s} s in this process; try again")
        try:
            with self._translated(), self._engine.begin() as connection:
                self._same_file()
                yield connection
            self._same_file()
        finally:
            self._writing.release()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a connection that sees one state of the database and blocks no writer."""
        self._same_file()
        with self._translated(), self._engine.connect().execution_options(anew_reads=True) as connection:
            yield connection

    def lease_clock(self, own: Clock) -> Clock:
        """Return this machine's: nobody else's programs open the file."""
        return own

    def integrity_check(self) -> None:
        """Read every page and index of the database.

        Raises
        ------
        IntegrityError
            Something is damaged; the message has SQLite's first finding.
        """
        with self.read() as connection:
            found = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar()
        if found != "ok":
            raise IntegrityError(f"database {self.path} is damaged: {found}; restore it from a backup")

    def claim(self, owner: str, *, begun: bool) -> None:
        """Do nothing: a file lies in its project's own folder."""

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as exc:
            raise translate(exc.orig or exc, self.path) from exc
        except sqlite3.Error as exc:  # raised while connecting
            raise translate(exc, self.path) from exc

    def _same_file(self) -> None:
        """Refuse to go on with a file that nobody finds any more: SQLite would write to it without complaint."""
        if self._inode is not None and _inode(self.path) != self._inode:
            raise IntegrityError(
                f"database {self.path} was deleted or replaced while it was open; "
                "stop, put the right file back (with its -wal file), start again"
            )


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _refuse_network(path: Path, mounts: Path = Path("/proc/self/mounts")) -> None:
    """Refuse a network file system, where the write-ahead log loses facts; where /proc is missing, nothing is known."""
    kind, point = mounted_on(path, mounts)
    if kind in NETWORK:
        raise IntegrityError(
            f"database {path} lies on a network file system ({kind} at {point}), where SQLite cannot keep facts safe; "
            "put the project on a local disk"
        )
