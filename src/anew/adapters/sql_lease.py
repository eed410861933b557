"""Leases in a SQL database."""

from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from anew.adapters.sql_database import SQLDatabase
from anew.adapters.sql_tables import LEASE
from anew.domain.errors import FencedError, InvariantError
from anew.ports.clock import Clock
from anew.ports.eventlog import Grant

__all__ = ["SQLLease", "require_grant"]


def require_grant(connection: Connection, name: str, grant: Grant) -> None:
    """Raise FencedError unless `grant` is the last one given of the lease `name`; call it inside the write itself.

    A grant that has expired but was not given to another still holds: only a successor fences it off.
    """
    # Held to the end of the transaction; SQLite has the whole database locked already and ignores it.
    row = connection.execute(select(LEASE).where(LEASE.c.name == name).with_for_update()).one_or_none()
    holder, epoch = ("", 0) if row is None else (row.holder, row.epoch)
    if not grant.holder or (holder, epoch) != (grant.holder, grant.epoch):
        raise FencedError(
            f"{grant.holder!r} wrote with epoch {grant.epoch} of lease {name!r}, but it is at epoch {epoch} "
            f"of {holder or 'nobody'!r}; stop writing and acquire it again"
        )


class SQLLease:
    """The lease `name` in the table `lease`. Thread- and process-safe; see `anew.ports.eventlog.Lease`.

    Its term is counted on the machine's monotonic clock, which no setting of the wall clock touches. A lease of another
    epoch of that clock, before the machine was started last, has ended with its holder.
    """

    def __init__(self, database: SQLDatabase, *, clock: Clock, name: str = "loop") -> None:
        self._database = database
        self._clock = clock
        self._name = name

    def acquire(self, holder: str, ttl_s: float) -> Grant | None:
        """Take the lease when it is free or has expired; None when another has it."""
        if not holder:
            raise InvariantError("a lease needs a holder's name, found an empty one")
        now = self._clock.monotonic()  # asked for before a transaction is begun: the clock may be the server's
        with self._database.read() as connection:
            if self._waits(self._row(connection), holder, now, ttl_s):
                return None
        with self._database.write() as connection:
            row = self._row(connection)
            if row is None:
                values = {"name": self._name, "holder": holder, "epoch": 1, **self._term(now + ttl_s)}
                connection.execute(insert(LEASE).values(values))
                return Grant(holder=holder, epoch=1)
            held = self._held(row, now)
            if held and row.holder != holder:
                if not self._waits(row, holder, now, ttl_s):
                    # Further ahead than a whole term: of a start that has no name of its own. Wait one term, not more.
                    self._store(connection, row.holder, row.epoch, now + ttl_s)
                return None
            grant = Grant(holder=holder, epoch=row.epoch if held else row.epoch + 1)
            self._store(connection, holder, grant.epoch, now + ttl_s)
            return grant

    def renew(self, grant: Grant, ttl_s: float) -> None:
        """Extend the lease, or raise FencedError when it has passed on."""
        end = self._clock.monotonic() + ttl_s
        with self._database.write() as connection:
            require_grant(connection, self._name, grant)
            self._store(connection, grant.holder, grant.epoch, end)

    def release(self, grant: Grant) -> None:
        """Give the lease back; without effect when it is no longer held."""
        with self._database.write() as connection:
            connection.execute(
                update(LEASE)
                .where(LEASE.c.name == self._name, LEASE.c.holder == grant.holder, LEASE.c.epoch == grant.epoch)
                .values(holder="")
            )

    def current(self) -> Grant | None:
        """Return the grant in force, or None when the lease is free or has expired."""
        now = self._clock.monotonic()
        with self._database.read() as connection:
            row = self._row(connection)
        return Grant(holder=row.holder, epoch=row.epoch) if row is not None and self._held(row, now) else None

    def _row(self, connection: Connection) -> Row[Any] | None:
        return connection.execute(select(LEASE).where(LEASE.c.name == self._name)).one_or_none()

    def _held(self, row: Row[Any], now: float) -> bool:
        return bool(row.holder and row.clock_epoch == self._clock.epoch() and now < row.expires_at)

    def _waits(self, row: Row[Any] | None, holder: str, now: float, ttl_s: float) -> bool:
        """Is it another's for no longer than a term? Then there is nothing to write: whoever waits changes no term."""
        if row is None or row.holder == holder or not self._held(row, now):
            return False
        return bool(row.expires_at - now <= ttl_s)

    def _store(self, connection: Connection, holder: str, epoch: int, end: float) -> None:
        values = {"holder": holder, "epoch": epoch, **self._term(end)}
        connection.execute(update(LEASE).where(LEASE.c.name == self._name).values(values))

    def _term(self, end: float) -> dict[str, float | str]:
        return {"expires_at": end, "clock_epoch": self._clock.epoch()}
