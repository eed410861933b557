"""Bring the tables of a database to the newest revision, or back to one before: whole or not at all."""

from pathlib import Path
from threading import Lock

from sqlalchemy import Connection, inspect, text

from anew.domain.boundary import reach
from anew.domain.errors import ConflictError, IntegrityError

__all__ = ["HEAD", "check_revision", "downgrade", "settle"]

HEAD = "0002"
"""The newest revision in `versions`."""

_TABLE = "alembic_version"
_ONE = Lock()
"""Migrations speak to one database at a time, that of the whole process: two threads would write into each other's."""


def settle(connection: Connection, *, migrate: bool) -> None:
    """Run the migrations that are missing, within the transaction that `connection` is in; or change nothing.

    Raises
    ------
    IntegrityError
        The database is of a revision that this version of anew does not know; or nothing is to be changed, and it holds
        no facts' tables.
    """
    found = _revision(connection)
    if not migrate:
        _check_readable(found)
    elif found != HEAD:
        _run(connection, found, HEAD, back=False)
        reach("migration.done")


def downgrade(connection: Connection, revision: str) -> None:
    """Undo the migrations after `revision`, within the transaction that `connection` is in; facts stay as they are.

    Raises
    ------
    IntegrityError
        This version of anew knows no such revision, or the database is of a newer one.
    ConflictError
        There is nothing before it: that would be to delete the facts.
    """
    check_revision(revision)
    found = _revision(connection)
    if found != revision:
        _run(connection, found, revision, back=True)
        reach("migration.done")


def check_revision(revision: str) -> None:
    """Refuse a revision to which `downgrade` would not bring the tables; raises as it does."""
    known = _known()
    if not revision or revision < "0001":
        raise ConflictError(f"there is no revision {revision!r} to go back to, and none without facts")
    if revision not in known:
        raise IntegrityError(f"this anew knows no revision {revision!r}; it knows {', '.join(known)}")


def _check_readable(found: str) -> None:
    if not found:
        raise IntegrityError("the database holds no record of facts; restore it from a backup")
    if found not in _known():
        raise IntegrityError(
            f"the database is of revision {found!r}, and this anew knows up to {HEAD!r}: a newer one wrote it; "
            "upgrade anew"
        )


def _known() -> list[str]:
    return sorted(path.name[1:5] for path in (Path(__file__).parent / "versions").glob("v*.py"))


def _revision(connection: Connection) -> str:
    if not inspect(connection).has_table(_TABLE):
        return ""
    return connection.execute(text(f"SELECT version_num FROM {_TABLE}")).scalar() or ""  # noqa: S608 - a constant


def _run(connection: Connection, found: str, wanted: str, *, back: bool) -> None:
    # alembic takes 0.3 s to import and is needed once in the life of a database.
    from alembic.operations import Operations  # noqa: PLC0415 - see above
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415 - see above
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - see above
    from alembic.util import CommandError  # noqa: PLC0415 - see above

    here = Path(__file__).parent
    scripts = ScriptDirectory(str(here), version_locations=[str(here / "versions")])
    steps = scripts._downgrade_revs if back else scripts._upgrade_revs
    context = MigrationContext.configure(
        connection,
        opts={"fn": lambda heads, _: steps(wanted, heads or None)},  # type: ignore[arg-type]  # no heads
    )
    try:
        with _ONE, Operations.context(context):
            context.run_migrations()
    except CommandError as exc:
        raise IntegrityError(
            f"the database is of revision {found!r}, this anew knows up to {HEAD!r}, and {wanted!r} was asked for; "
            "a newer anew wrote it: upgrade anew, or restore a backup from before"
        ) from exc
