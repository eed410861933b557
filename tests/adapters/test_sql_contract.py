"""The contract of log, lease and inbox, over memory and SQLite."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from anew.adapters.memory import InMemoryEventLog, InMemoryInbox, InMemoryLease, ManualClock
from anew.adapters.sql_engine import Database
from anew.adapters.sql_eventlog import SQLEventLog
from anew.adapters.sql_inbox import SQLInbox
from anew.adapters.sql_lease import SQLLease
from anew.testing.contract_eventlog import EventLogContract, InboxContract, LeaseContract, Stores


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
        clock = ManualClock()
        database = Database(tmp_path / "anew.db")
        yield Stores(
            log=SQLEventLog(database, clock=clock),
            lease=SQLLease(database, clock=clock),
            inbox=SQLInbox(database, clock=clock),
            clock=clock,
        )
        database.close()
