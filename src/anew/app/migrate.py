"""Moves a project's record of facts to another database, and its artifacts to another place."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from anew.adapters.migrations import check_revision, downgrade
from anew.adapters.postgres_link import Place
from anew.adapters.sql_copy import Held, copy_record, held_by
from anew.adapters.sql_database import SQLDatabase, is_there, open_database
from anew.adapters.sql_eventlog import ChainHead, SQLEventLog
from anew.adapters.sql_lease import SQLLease
from anew.adapters.system_clock import SystemClock
from anew.app.alone import alone, lock_of
from anew.app.kept import count_kept, move_kept
from anew.app.record import open_record
from anew.app.record_place import (
    artifact_place,
    effects_schema,
    has_record,
    owner_of,
    place_of,
    put_down,
    record_place,
    settled,
)
from anew.app.settings import Settings
from anew.app.status import loop_holder
from anew.domain.errors import ConflictError, IntegrityError, NotFoundError
from anew.loop.progress import Counting, uncounting

__all__ = ["Moved", "go_back", "move_record"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A record that was moved, or stayed: from where to where, and the head of its chain, which is the same in both.

    `kept` says the same of the artifacts and snapshots: from where, to where, and how many; None when they stayed.
    `holder` is who runs the loop, which has to end before anything is moved; empty for nobody.
    """

    source: str
    target: str
    head: ChainHead
    kept: tuple[str, str, int] | None = None
    holder: str = ""


def move_record(settings: Settings, to: str, *, dry_run: bool = False, counting: Counting = uncounting) -> Moved:
    """Copy the record to the database `to`, verify the copy, and have the project use it from now on.

    So with artifacts and snapshots, where ``stores.artifacts`` says that they belong elsewhere. The former ones are
    left as they are, a file of facts under the name ``anew.db.moved``. Killed at any moment, the project uses
    the one or the other, each of them whole; called again, it finishes.

    Parameters
    ----------
    to
        As in ``stores.database``.
    dry_run
        Verify the record where it is, look whether the other database can take it, and move nothing. The project may be
        running.
    counting
        Hears how far the copying is.

    Raises
    ------
    NotFoundError
        The project was never brought up.
    ConflictError
        It is running, everything is there already, or the database holds something else; the message says what.
    IntegrityError
        The record does not verify, or an artifact is damaged; that is not moved.
    """
    state = settings.state
    if not has_record(state):
        raise NotFoundError(f"{settings.root} was never brought up (anew up): write stores.database, and begin there")
    wanted, there = settings.policy.stores.artifacts, artifact_place(state)
    with _undisturbed(state, dry_run=dry_run):
        moved = _moved_record(settings, to, counting, dry_run=dry_run)
        if wanted != there:
            told = counting("artifacts and snapshots copied")
            count = count_kept(state) if dry_run else move_kept(state, wanted, told)
            return replace(moved, kept=(there, wanted, count))
        if moved.source == moved.target:
            raise ConflictError(f"this project's record is in {moved.source} already")
    return moved


def _moved_record(settings: Settings, to: str, counting: Counting, *, dry_run: bool) -> Moved:
    state = settings.state
    source, target = record_place(state), place_of(state, to, settings.model)
    if dry_run or settled(state)[0] == to:
        with closing(open_record(state, migrate=not dry_run)) as database:
            head = _chain(database) if dry_run else _verified(database)
            if settled(state)[0] == to:
                target = source
            elif is_there(target):
                with closing(open_database(target, create=False, migrate=False)) as there:
                    _refuse_held(target, held_by(there, database))
        return Moved(source=str(source), target=str(target), head=head, holder=loop_holder(state) if dry_run else "")
    with closing(open_record(state)) as old, closing(open_database(target)) as new:
        head = _verified(old)
        _refuse_held(target, held_by(new, old))
        new.claim(owner_of(state), begun=True)
        copy_record(old, new, counting("facts copied"))
        if _verified(new) != head:
            raise IntegrityError(f"the copy in {target} has another head than {source}; nothing was moved")
    put_down(state, to, settings.model)
    if isinstance(source, Path):
        source.replace(source.with_name("anew.db.moved"))  # closed, it has no other files
    return Moved(source=str(source), target=str(target), head=head)


@contextmanager
def _undisturbed(state: Path, *, dry_run: bool) -> Iterator[None]:
    """See that nobody runs the project meanwhile; whoever only looks needs not."""
    if dry_run:
        yield
        return
    with alone(lock_of(state)):
        yield


def _refuse_held(target: Place, held: Held) -> None:
    """Refuse a database that holds something else than the record that is to go there, and say what to do."""
    if held in (Held.NOTHING, Held.SAME):
        return
    before = "this project's record of before, from when it was there: its first facts, all of which this one has, too"
    whose = {
        Held.BEFORE: f"holds {before}. Nothing is lost with it",
        Held.WAITING: f"holds {before}, and commands that no loop has taken. These are lost with it: give them again "
        "where they are meant still",
        Held.BEGUN: "holds a lease or commands and no facts, of a project that was begun there. See that none uses it",
        Held.OTHER: "holds a record that is not this one. Keep it unless you know what it is",
    }
    if isinstance(target, Path):
        way = f"move {target} away"
    else:
        way = f'DROP SCHEMA "{target.schema}", "{effects_schema(target.schema)}" CASCADE there'
    raise ConflictError(f"nothing was moved: {target} {whose[held]}: {way}, or name another database")


def go_back(settings: Settings, revision: str, *, dry_run: bool = False) -> Moved:
    """Bring the record's tables back to a revision that an older anew reads; returns where it is, and its head.

    The next `anew up` of this version brings them forward again. No fact is touched; in a dry run, no table either.

    Raises
    ------
    NotFoundError
        The project was never brought up.
    ConflictError
        It is running, or there is nothing to go back to.
    IntegrityError
        There is no such revision, or the record does not verify.
    """
    state = settings.state
    if not has_record(state):
        raise NotFoundError(f"{settings.root} was never brought up (anew up): there is no record to change")
    with _undisturbed(state, dry_run=dry_run), closing(open_record(state, migrate=not dry_run)) as database:
        head = _chain(database) if dry_run else _verified(database)
        if dry_run:
            check_revision(revision)
        else:
            with database.write() as connection:
                downgrade(connection, revision)
    place = str(record_place(state))
    return Moved(source=place, target=place, head=head, holder=loop_holder(state) if dry_run else "")


def _verified(database: SQLDatabase) -> ChainHead:
    clock = SystemClock()
    holder = SQLLease(database, clock=database.lease_clock(clock)).current()
    if holder is not None:
        raise ConflictError(f"{holder.holder} keeps this project's loop; stop it first")
    return _chain(database)


def _chain(database: SQLDatabase) -> ChainHead:
    return SQLEventLog(database, clock=SystemClock()).verify_chain()
