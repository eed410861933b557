"""Bring the tables of a database to the newest revision, whole or not at all."""

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from anew.domain.boundary import reach
from anew.domain.errors import IntegrityError

__all__ = ["HEAD", "upgrade"]

HEAD = "0002"
"""The newest revision in `versions`."""

_TABLE = "alembic_version"


def upgrade(connection: Connection) -> None:
    """Run the migrations that are missing, within the transaction that `connection` is in.

    Raises
    ------
    IntegrityError
        The database is of a revision that this version of anew does not know.
    """
    found = _revision(connection)
    if found == HEAD:
        return
    _run(connection, found)
    reach("migration.done")


def _revision(connection: Connection) -> str:
    if not inspect(connection).has_table(_TABLE):
        return ""
    return connection.execute(text(f"SELECT version_num FROM {_TABLE}")).scalar() or ""  # noqa: S608 - a constant


def _run(connection: Connection, found: str) -> None:
    # alembic takes 0.3 s to import and is needed once in the life of a database.
    from alembic.operations import Operations  # noqa: PLC0415 - see above
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415 - see above
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - see above
    from alembic.util import CommandError  # noqa: PLC0415 - see above

    here = Path(__file__).parent
    scripts = ScriptDirectory(str(here), version_locations=[str(here / "versions")])
    context = MigrationContext.configure(
        connection,
        opts={"fn": lambda heads, _: scripts._upgrade_revs(HEAD, heads or None)},  # type: ignore[arg-type]  # no heads
    )
    try:
        with Operations.context(context):
            context.run_migrations()
    except CommandError as exc:
        raise IntegrityError(
            f"the database is of revision {found!r}, this anew knows up to {HEAD!r}; "
            "a newer anew wrote it: upgrade anew, or restore a backup from before"
        ) from exc
