"""Two orchestrators promote different versions at once: one wins, the other is told so."""

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from sqlalchemy import delete

from anew.adapters.memory import InMemoryEventLog, InMemoryLease, ManualClock
from anew.adapters.postgres_link import Place
from anew.adapters.sql_database import open_database
from anew.adapters.sql_eventlog import SQLEventLog
from anew.adapters.sql_lease import SQLLease
from anew.adapters.sql_tables import FACT, LEASE
from anew.domain.errors import FencedError
from anew.domain.fact import Fact
from anew.domain.facts import RolloutApproved, RolloutSuperseded, VersionPromoted
from anew.loop.engine import Engine
from anew.ports.eventlog import EventLog, Grant, Lease
from anew.registry import Registry
from anew.rollout import Rollout
from tests.loop.test_live import OLD, WALL
from tests.postgres_server import PostgresServer

Record = tuple[EventLog, Lease, ManualClock]
TTL_S = 10.0
RACES = int(os.environ.get("RACES", "100"))
"""Races in a database; ``RACES=1000`` for as many as in memory."""


class Unfenced(InMemoryEventLog):
    """A record that takes from anybody, as a registry does in which a champion is a name that is set."""

    def __init__(self, clock: ManualClock, lease: InMemoryLease) -> None:
        super().__init__(clock=clock, lease=lease)
        self._newest = lease

    def append(self, facts: Sequence[Fact], *, grant: Grant) -> int:  # noqa: ARG002  that is the fault
        """Append under whoever's grant is in force."""
        current = self._newest.current()
        assert current is not None
        return super().append(facts, grant=current)


def in_memory(log: type[InMemoryEventLog] = InMemoryEventLog) -> Record:
    clock = ManualClock(WALL)
    lease = InMemoryLease(clock)
    return log(clock=clock, lease=lease), lease, clock


def promote(engine: Engine, version: str) -> str:
    """Try to make `version` the first champion; return how that went."""
    approved = RolloutApproved(
        model="m", at=OLD, cause=version, version=version, champion="", digest=f"d-{version}", by="test"
    )
    try:
        facts = engine.submit(approved)
    except FencedError:
        return "fenced"
    if any(isinstance(each, RolloutSuperseded) and "but the champion is" in each.reason for each in facts):
        return "stale"
    return "promoted" if any(isinstance(each, VersionPromoted) for each in facts) else "nothing"


def race(record: Record) -> tuple[list[str], list[str]]:
    """Let a second orchestrator take over while the first one promotes; return both ends and who was promoted."""
    log, lease, clock = record
    first = lease.acquire("first", TTL_S)
    assert first is not None
    engine = Engine({"registry": Registry(), "rollout": Rollout()}, log, first)
    engine.recover()
    clock.advance(TTL_S + 1)  # the first one was paused, and does not know
    ends, start = ["", ""], threading.Barrier(2)

    def go_on() -> None:
        start.wait()
        ends[0] = promote(engine, "v1")

    def take_over() -> None:
        start.wait()
        second = lease.acquire("second", TTL_S)
        assert second is not None
        other = Engine({"registry": Registry(), "rollout": Rollout()}, log, second)
        other.recover()
        ends[1] = promote(other, "v2")

    threads = [threading.Thread(target=each) for each in (go_on, take_over)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ends, [each.fact.version for each in log.read() if isinstance(each.fact, VersionPromoted)]


def lost(make: Callable[[], Record], races: int) -> int:
    """Return in how many races not exactly one was promoted, or the other was not told."""
    wrong = 0
    for _ in range(races):
        ends, promoted = race(make())
        wrong += len(promoted) != 1 or sorted(ends) not in (["fenced", "promoted"], ["promoted", "stale"])
    return wrong


@pytest.mark.fault("P3")
def test_of_two_that_promote_at_once_exactly_one_wins_in_a_thousand_races(
    record_property: Callable[[str, object], None],
) -> None:
    assert lost(in_memory, 1_000) == 0
    record_property("figure", "1,000 of 1,000 races have one winner")


@pytest.mark.fault("P3")
def test_control_without_a_fence_both_win() -> None:
    assert lost(lambda: in_memory(Unfenced), 50) > 0


@pytest.mark.system
@pytest.mark.fault("P3")
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_exactly_one_wins_in_a_database_too(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    server: PostgresServer | None = request.getfixturevalue("postgres") if kind == "postgres" else None
    place: Place = tmp_path / "anew.db" if server is None else server.place()
    database = open_database(place)
    try:
        for _ in range(RACES):
            with database.write() as connection:
                for table in (FACT, LEASE):
                    connection.execute(delete(table))
            clock = ManualClock(WALL)
            record = SQLEventLog(database, clock=clock), SQLLease(database, clock=clock), clock
            assert lost(lambda record=record: record, 1) == 0  # type: ignore[misc]  # bound now, on purpose
    finally:
        database.close()
