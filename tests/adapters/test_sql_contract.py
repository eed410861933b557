"""The contract of log, lease and inbox, over memory, SQLite and PostgreSQL."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from anew.adapters.memory import InMemoryEventLog, InMemoryInbox, InMemoryLease, ManualClock
from anew.adapters.migrations import downgrade
from anew.adapters.postgres_link import Place
from anew.adapters.sql_database import SQLDatabase, open_database
from anew.adapters.sql_eventlog import SQLEventLog
from anew.adapters.sql_inbox import SQLInbox
from anew.adapters.sql_lease import SQLLease
from anew.domain.errors import IntegrityError
from anew.testing.contract_eventlog import EventLogContract, InboxContract, LeaseContract, Stores
from tests.postgres_server import PostgresServer


class TestInMemory(EventLogContract, LeaseContract, InboxContract):
    """The stores in memory."""

    @pytest.fixture
    def stores(self) -> Stores:
        """Make empty stores."""
        clock = ManualClock()
        lease = InMemoryLease(clock)
        log = InMemoryEventLog(clock=clock, lease=lease)
        return Stores(log=log, lease=lease, inbox=InMemoryInbox(), clock=clock)


class TestSQLite(EventLogContract, LeaseContract, InboxContract):
    """The stores on SQLite."""

    @pytest.fixture
    def stores(self, tmp_path: Path) -> Iterator[Stores]:
        """Make empty stores in a new file."""
        yield from stores_at(tmp_path / "anew.db")


@pytest.mark.system
class TestPostgres(EventLogContract, LeaseContract, InboxContract):
    """The stores on a PostgreSQL server."""

    @pytest.fixture
    def stores(self, postgres: PostgresServer) -> Iterator[Stores]:
        """Make empty stores in a new schema."""
        yield from stores_at(postgres.place())


def stores_at(place: Place) -> Iterator[Stores]:
    clock = ManualClock()
    database = open_database(place)
    yield Stores(
        log=SQLEventLog(database, clock=clock),
        lease=SQLLease(database, clock=clock),
        inbox=SQLInbox(database, clock=clock),
        clock=clock,
    )
    database.close()


def test_who_only_reads_leaves_the_tables_as_they_are(tmp_path: Path) -> None:
    read_alone(tmp_path / "anew.db")


@pytest.mark.system
def test_who_only_reads_leaves_the_tables_on_a_server_as_they_are(postgres: PostgresServer) -> None:
    read_alone(postgres.place())


def read_alone(place: Place) -> None:
    with closing(open_database(place)) as opened, opened.write() as connection:
        downgrade(connection, "0001")
    with closing(open_database(place, create=False, migrate=False)) as opened:
        assert SQLEventLog(opened, clock=ManualClock()).verify_chain().seq == 0
        assert revision(opened) == "0001"
    with closing(open_database(place, create=False)) as opened:  # the control
        assert revision(opened) == "0002"
        with opened.write() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(IntegrityError, match="upgrade anew"):
        open_database(place, create=False, migrate=False)


def revision(database: SQLDatabase) -> str:
    with database.read() as connection:
        return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar())
