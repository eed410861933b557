"""Copies a whole control database into an empty one, in one transaction."""

from collections.abc import Callable, Iterator
from enum import StrEnum
from itertools import zip_longest
from typing import Any

from sqlalchemy import Connection, Table, func, insert, select

from anew.adapters.sql_database import SQLDatabase
from anew.adapters.sql_tables import FACT, INBOX, LEASE
from anew.domain.errors import ConflictError, IntegrityError

__all__ = ["Held", "copy_record", "held_by"]

_PAGE = 500


class Held(StrEnum):
    """What a database holds, beside the record that is to be copied into it.

    BEFORE are its first facts, WAITING these and commands that wait there alone; BEGUN is what a project has that has
    no facts yet.
    """

    NOTHING = "nothing"
    SAME = "same"
    BEFORE = "before"
    WAITING = "waiting"
    BEGUN = "begun"
    OTHER = "other"


def held_by(target: SQLDatabase, source: SQLDatabase) -> Held:
    """Return what `target` holds, as compared with `source`."""
    with source.read() as old, target.read() as new:
        return _held(old, new)


def copy_record(source: SQLDatabase, target: SQLDatabase, told: Callable[[int, int], None] = lambda *_: None) -> int:
    """Copy facts with their hashes, commands and the epochs of leases; return how many facts there are.

    Every row is read back before the target is committed. A target that has the very same facts already is left as it
    is. Nobody may write to either meanwhile. `told` hears how many facts are copied, and of how many.

    Raises
    ------
    ConflictError
        The target holds something else.
    IntegrityError
        What is read back is not what was written.
    """
    with source.read() as old, target.write() as new:
        count, held = _count(old, FACT), _held(old, new)
        if held is Held.SAME:
            return count
        if held is not Held.NOTHING:
            raise ConflictError("the database to move to holds something already; name an empty one or delete that")
        for table in (FACT, INBOX, LEASE):
            for rows in _pages(old, table):
                new.execute(insert(table), rows)
                if table is FACT:
                    told(int(rows[-1]["seq"]), count)
            if not _same(old, new, table):
                raise IntegrityError(f"the copy of {table.name} is not what was copied; nothing was moved, try again")
    return count


def _held(old: Connection, new: Connection) -> Held:
    if not any(_count(new, table) for table in (FACT, INBOX, LEASE)):
        return Held.NOTHING
    count = _count(new, FACT)
    if count == _count(old, FACT) and _count(new, LEASE) and _same(old, new, FACT) and _same(old, new, INBOX):
        return Held.SAME
    if not count:
        return Held.BEGUN
    last = select(FACT.c.hash).where(FACT.c.seq == count)  # a hash says all that came before it
    mine, theirs = (connection.execute(last).scalar() for connection in (old, new))
    if mine is None or mine != theirs:
        return Held.OTHER
    waiting = new.execute(select(INBOX.c.id).where(INBOX.c.taken_at == "")).scalars()
    return Held.WAITING if set(waiting) - set(old.execute(select(INBOX.c.id)).scalars()) else Held.BEFORE


def _count(connection: Connection, table: Table) -> int:
    return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def _pages(connection: Connection, table: Table) -> Iterator[list[dict[str, Any]]]:
    """Yield a table's rows, a page at a time: memory stays small, and a server hears of us between two pages."""
    (key,) = table.primary_key
    query, last = select(table).order_by(key).limit(_PAGE), None
    while rows := connection.execute(query if last is None else query.where(key > last)).mappings().all():
        last = rows[-1][key.name]
        yield [dict(row) for row in rows]


def _same(old: Connection, new: Connection, table: Table) -> bool:
    """Do both hold the same rows?"""
    return all(mine == theirs for mine, theirs in zip_longest(_pages(old, table), _pages(new, table)))
