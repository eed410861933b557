"""Moves a project's record of facts to another database, and its artifacts to another place."""

from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from anew.adapters.migrations import check_revision, downgrade
from anew.adapters.sql_copy import copy_record
from anew.adapters.sql_database import SQLDatabase, open_database
from anew.adapters.sql_eventlog import ChainHead, SQLEventLog
from anew.adapters.sql_lease import SQLLease
from anew.adapters.system_clock import SystemClock
from anew.app.alone import alone
from anew.app.kept import count_kept, move_kept
from anew.app.record import open_record
from anew.app.record_place import artifact_place, has_record, owner_of, place_of, put_down, record_place, settled
from anew.app.settings import Settings
from anew.domain.errors import ConflictError, IntegrityError, NotFoundError

__all__ = ["Moved", "go_back", "move_record"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A record that was moved, or stayed: from where to where, and the head of its chain, which is the same in both.

    `kept` says the same of the artifacts and snapshots: from where, to where, and how many; None when they stayed.
    """

    source: str
    target: str
    head: ChainHead
    kept: tuple[str, str, int] | None = None


def move_record(settings: Settings, to: str, *, dry_run: bool = False) -> Moved:
    """Copy the record to the database `to`, verify the copy, and have the project use it from now on.

    So with artifacts and snapshots, where ``stores.artifacts`` says that they belong elsewhere. The former ones are
    left as they are, a file of facts under the name ``anew.db.moved``. Killed at any moment, the project uses
    the one or the other, each of them whole; called again, it finishes.

    Parameters
    ----------
    to
        As in ``stores.database``.
    dry_run
        Verify the record where it is, and move nothing; the other database is not asked for.

    Raises
    ------
    NotFoundError
        The project was never brought up.
    ConflictError
        It is running, everything is there already, or the database holds something else.
    IntegrityError
        The record does not verify, or an artifact is damaged; that is not moved.
    """
    state = settings.state
    if not has_record(state):
        raise NotFoundError(f"{settings.root} was never brought up (anew up): write stores.database, and begin there")
    wanted, there = settings.policy.stores.artifacts, artifact_place(state)
    with alone(state / "run" / "up.lock"):
        moved = _moved_record(settings, to, dry_run=dry_run)
        if wanted != there:
            count = count_kept(state) if dry_run else move_kept(state, wanted)
            return replace(moved, kept=(there, wanted, count))
        if moved.source == moved.target:
            raise ConflictError(f"this project's record is in {moved.source} already")
    return moved


def _moved_record(settings: Settings, to: str, *, dry_run: bool) -> Moved:
    state = settings.state
    source, target = record_place(state), place_of(state, to, settings.model)
    if dry_run or settled(state)[0] == to:
        with closing(open_record(state)) as database:
            end = source if settled(state)[0] == to else target
            return Moved(source=str(source), target=str(end), head=_verified(database))
    with closing(open_record(state)) as old, closing(open_database(target)) as new:
        head = _verified(old)
        new.claim(owner_of(state), begun=True)
        copy_record(old, new)
        if _verified(new) != head:
            raise IntegrityError(f"the copy in {target} has another head than {source}; nothing was moved")
    put_down(state, to, settings.model)
    if isinstance(source, Path):
        source.replace(source.with_name("anew.db.moved"))  # closed, it has no other files
    return Moved(source=str(source), target=str(target), head=head)


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
    with alone(state / "run" / "up.lock"), closing(open_record(state)) as database:
        head = _verified(database)
        if dry_run:
            check_revision(revision)
        else:
            with database.write() as connection:
                downgrade(connection, revision)
    place = str(record_place(state))
    return Moved(source=place, target=place, head=head)


def _verified(database: SQLDatabase) -> ChainHead:
    clock = SystemClock()
    holder = SQLLease(database, clock=database.lease_clock(clock)).current()
    if holder is not None:
        raise ConflictError(f"{holder.holder} keeps this project's loop; stop it first")
    return SQLEventLog(database, clock=clock).verify_chain()
