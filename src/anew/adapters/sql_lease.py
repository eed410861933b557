"""Leases in a SQL database."""

from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from anew.adapters.sql_database import SQLDatabase
from anew.adapters.sql_tables import LEASE
from anew.domain.errors import FencedError, InvariantError
from anew.ports.clock import Clock, is_past
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
        with self._database.write() as connection:
            row = connection.execute(select(LEASE).where(LEASE.c.name == self._name)).one_or_none()
            if row is None:
                connection.execute(insert(LEASE).values(name=self._name, holder=holder, epoch=1, **self._term(ttl_s)))
                return Grant(holder=holder, epoch=1)
            held = self._held(row)
            if held and row.holder != holder:
                # Further ahead than a whole term: of a start that has no name of its own. Wait one term, not for ever.
                left = row.expires_at - self._clock.monotonic()
                self._store(connection, row.holder, row.epoch, min(left, ttl_s))
                return None
            grant = Grant(holder=holder, epoch=row.epoch if held else row.epoch + 1)
            self._store(connection, holder, grant.epoch, ttl_s)
            return grant

    def renew(self, grant: Grant, ttl_s: float) -> None:
        """Extend the lease, or raise FencedError when it has passed on."""
        with self._database.write() as connection:
            require_grant(connection, self._name, grant)
            self._store(connection, grant.holder, grant.epoch, ttl_s)

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
        with self._database.read() as connection:
            row = connection.execute(select(LEASE).where(LEASE.c.name == self._name)).one_or_none()
        if row is None or not self._held(row):
            return None
        return Grant(holder=row.holder, epoch=row.epoch)

    def _held(self, row: Row[Any]) -> bool:
        return row.holder != "" and not is_past(self._clock, row.clock_epoch, row.expires_at)

    def _store(self, connection: Connection, holder: str, epoch: int, ttl_s: float) -> None:
        values = {"holder": holder, "epoch": epoch, **self._term(ttl_s)}
        connection.execute(update(LEASE).where(LEASE.c.name == self._name).values(values))

    def _term(self, ttl_s: float) -> dict[str, float | str]:
        return {"expires_at": self._clock.monotonic() + ttl_s, "clock_epoch": self._clock.epoch()}
