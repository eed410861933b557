"""The lease while a turn waits for others: it is kept for minutes, and neither for ever nor after it has passed on."""

import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from anew.adapters.memory import InMemoryLease, ManualClock
from anew.adapters.postgres_link import Place
from anew.adapters.sql_database import open_database
from anew.adapters.sql_lease import SQLLease
from anew.domain.errors import FencedError, UnavailableError
from anew.loop.drain import DrainReport
from anew.loop.lease_keeper import LEASE_S, STEP_S, LeaseKeeper
from anew.ports.eventlog import Grant, Lease
from anew.testing.fake_traffic import FakeTraffic
from tests.loop.test_live import WALL, Bed, Drained
from tests.postgres_server import PostgresServer

SOON_S = 10.0
"""Seconds that are waited for a thread; none is, where all is well."""


class Beats(FakeTraffic):
    """Traffic that says when the loop was heard of again."""

    heard = threading.Event()

    def beat(self) -> None:
        """Count, and say so."""
        super().beat()
        self.heard.set()


@dataclass
class Away(Drained):
    """A drainer that waits for a lake for so many seconds."""

    clock: ManualClock = field(default_factory=ManualClock)
    traffic: Beats = field(default_factory=Beats)
    seconds: float = 0.0
    kept: bool = True

    def drain_once(self) -> DrainReport:
        """Wait, and let whoever keeps the lease do so every three seconds."""
        while self.seconds > 0:
            self.traffic.heard.clear()
            self.clock.advance(3.0)
            self.seconds -= 3.0
            if self.kept:
                assert self.traffic.heard.wait(SOON_S)
        return super().drain_once()


def waiting(*, kept: bool) -> Bed:
    """Return a loop whose next turn waits for its lake for forty seconds."""
    bed = Bed()
    bed.traffic = Beats()
    bed.drainer = Away(clock=bed.clock, traffic=bed.traffic, seconds=40.0, kept=kept)
    bed.begin()
    return bed


@pytest.mark.fault("D15")
def test_while_a_turn_waits_for_the_lake_the_lease_is_kept_and_the_gateways_hear_of_the_loop() -> None:
    bed = waiting(kept=True)
    with bed.loop._keeper.running(0.001):
        bed.turn()
    assert bed.lease.acquire("two", LEASE_S) is None
    assert bed.traffic.beats >= 13


@pytest.mark.fault("D15")
def test_control_between_two_turns_alone_the_lease_is_lost_to_whoever_waits_for_it() -> None:
    bed = waiting(kept=False)
    bed.turn()
    assert bed.lease.acquire("two", LEASE_S) is not None


def keeper(lease: Lease, clock: ManualClock) -> LeaseKeeper:
    """Return one of the grant that `lease` gives."""
    grant = lease.acquire("one", LEASE_S)
    assert grant is not None
    return LeaseKeeper(lease, FakeTraffic(), clock, grant)


def test_a_loop_that_hangs_for_minutes_loses_the_lease() -> None:
    clock = ManualClock(WALL)
    lease = InMemoryLease(clock)
    ours = keeper(lease, clock)
    waited = 0.0
    while lease.current() is not None:
        clock.advance(3.0)
        waited += 3.0
        ours.stand_in()
    assert STEP_S < waited <= STEP_S + LEASE_S + 3.0
    ours.move_on()
    assert lease.current() is not None, "it did not hang after all, and nobody has come"


def test_a_turn_that_does_one_long_thing_after_another_and_says_so_keeps_the_lease() -> None:
    clock = ManualClock(WALL)
    lease = InMemoryLease(clock)
    ours = keeper(lease, clock)
    for _ in range(int(STEP_S)):
        clock.advance(3.0)
        ours.come_on()
        ours.stand_in()
    assert lease.acquire("two", LEASE_S) is None


def test_who_has_lost_the_lease_does_not_get_it_back_and_hears_of_it_at_its_next_turn() -> None:
    clock = ManualClock(WALL)
    lease = InMemoryLease(clock)
    ours = keeper(lease, clock)
    clock.advance(LEASE_S + 1.0)
    other = lease.acquire("two", LEASE_S)
    ours.stand_in()
    assert lease.current() == other
    with pytest.raises(FencedError):
        ours.move_on()


def test_a_store_that_does_not_answer_ends_no_keeper() -> None:
    clock = ManualClock(WALL)
    lease = InMemoryLease(clock)
    ours = keeper(lease, clock)

    class Silent(InMemoryLease):
        def renew(self, grant: Grant, ttl_s: float) -> None:  # noqa: ARG002  as every lease
            raise UnavailableError("locked")

    ours._lease = Silent(clock)
    ours.stand_in()
    ours._lease = lease
    clock.advance(LEASE_S - 1.0)
    ours.stand_in()
    clock.advance(LEASE_S - 1.0)
    assert lease.current() is not None


@pytest.mark.system
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_another_thread_renews_while_the_loop_reads_the_record(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server: PostgresServer | None = request.getfixturevalue("postgres") if kind == "postgres" else None
    place: Place = tmp_path / "anew.db" if server is None else server.place()
    database = open_database(place)
    try:
        clock = ManualClock(WALL)
        lease = SQLLease(database, clock=clock)
        ours = keeper(lease, clock)
        clock.advance(LEASE_S - 1.0)
        with database.read() as connection:
            connection.exec_driver_sql("SELECT count(*) FROM fact").scalar()
            other = threading.Thread(target=ours.stand_in)
            other.start()
            other.join(SOON_S)
        clock.advance(LEASE_S - 1.0)
        assert lease.current() is not None
    finally:
        database.close()
