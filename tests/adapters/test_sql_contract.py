"""The contract of log, lease and inbox, over memory, SQLite and PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from anew.adapters.memory import InMemoryEventLog, InMemoryInbox, InMemoryLease, ManualClock
from anew.adapters.postgres_link import Place
from anew.adapters.sql_database import open_database
from anew.adapters.sql_eventlog import SQLEventLog
from anew.adapters.sql_inbox import SQLInbox
from anew.adapters.sql_lease import SQLLease
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
