"""The record on a PostgreSQL server when the server, its operator or another program stands in the way."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from anew.adapters.fact_reader import count_facts, read_facts, read_lease, watch_record
from anew.adapters.memory import ManualClock
from anew.adapters.postgres_link import PostgresPlace, connect, querying
from anew.adapters.sql_copy import copy_record
from anew.adapters.sql_database import SQLDatabase, open_database
from anew.adapters.sql_eventlog import SQLEventLog
from anew.adapters.sql_inbox import SQLInbox
from anew.adapters.sql_lease import SQLLease
from anew.adapters.system_clock import SystemClock
from anew.domain.errors import ConflictError, FencedError, IntegrityError, NotFoundError, UnavailableError
from anew.ports.eventlog import Grant
from anew.testing.contract_eventlog import command
from tests.postgres_server import PostgresServer

pytestmark = pytest.mark.system


class Store:
    """A record on a server."""

    def __init__(self, place: PostgresPlace) -> None:
        self.place = place
        self.database: SQLDatabase = open_database(place)
        self.clock = self.database.lease_clock(ManualClock())
        self.log = SQLEventLog(self.database, clock=SystemClock())
        self.lease = SQLLease(self.database, clock=self.clock)

    def grant(self, name: str = "tester", ttl_s: float = 60.0) -> Grant:
        """Acquire the lease."""
        grant = self.lease.acquire(name, ttl_s)
        assert grant is not None
        return grant


@pytest.fixture
def store(postgres: PostgresServer) -> Iterator[Store]:
    store = Store(postgres.place())
    yield store
    store.database.close()


def test_what_is_written_is_read_the_light_way(store: Store) -> None:
    grant = store.grant()
    store.log.append([command(1), command(2)], grant=grant)
    assert [each.fact for each in read_facts(store.place, after=1)] == [command(2)]
    assert not list(read_facts(store.place, kinds={"Ticked"}))
    assert count_facts(store.place) == 2
    assert read_lease(store.place, clock=SystemClock()) == grant
    store.lease.release(grant)
    assert read_lease(store.place, clock=SystemClock()) is None


_MANY = """
INSERT INTO fact (seq, id, model, kind, schema, at, cause, recorded_at, body, prev_hash, hash)
SELECT n, 'f' || n, model, kind, schema, at, cause, recorded_at, body || repeat(' ', 5000), prev_hash, 'h' || n
FROM fact, generate_series(2, 10000) AS n
"""
_SENDING = """
SELECT count(*) FROM pg_stat_activity
WHERE application_name = 'anew' AND state = 'active' AND query LIKE '%FROM fact WHERE%'
"""


def test_a_long_record_is_read_as_it_comes(store: Store, postgres: PostgresServer) -> None:
    store.log.append([command(1)], grant=store.grant())
    with querying(store.place) as execute:  # some 50 MB, more than the sockets between us hold
        execute(_MANY)

    def sending() -> int:
        return int(postgres.sql(_SENDING)[0][0])

    facts = read_facts(store.place)
    assert next(iter(facts)).seq == 1
    assert sending() == 1  # the server waits for us to take the rest
    assert sum(1 for _ in facts) == 9999
    with querying(store.place) as execute:  # the control: a cursor that has taken all before its first row is looked at
        rows = execute("SELECT seq, body FROM fact WHERE seq > ? ORDER BY seq", [0])
        assert rows.fetchone()[0] == 1
        assert sending() == 0
    left = read_facts(store.place)
    next(iter(left))
    left.close()  # type: ignore[attr-defined]  # a generator: who stops early frees the server
    deadline = time.monotonic() + 10
    while sending():
        assert time.monotonic() < deadline


@pytest.mark.fault("L7")
def test_a_lease_lasts_by_the_server_s_clock_whatever_machine_asks(store: Store) -> None:
    grant = store.grant("one host", 0.6)
    elsewhere = Store(store.place)  # another machine: its own clocks say nothing of ours
    assert elsewhere.lease.acquire("another host", 60.0) is None
    by_its_own = SQLLease(elsewhere.database, clock=SystemClock())
    assert by_its_own.current() is None  # the control: by its own clock it would have come at once
    assert elsewhere.lease.current() == grant
    deadline = time.monotonic() + 10
    while elsewhere.lease.acquire("another host", 60.0) is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with pytest.raises(FencedError):
        store.log.append([command(1)], grant=grant)
    elsewhere.database.close()


@pytest.mark.fault("K6")
@pytest.mark.parametrize("ended", [True, False])
def test_one_that_is_paused_in_a_transaction_does_not_block_its_successor(store: Store, ended: bool) -> None:
    grant = store.grant("paused", 0.1)
    paused = silent_transaction(store.place, minded=ended)
    try:
        if ended:
            other = Store(store.place)  # waits until the server has had enough of it
            assert other.lease.acquire("successor", 60.0) is not None
            other.database.close()
            with pytest.raises(FencedError):
                store.log.append([command(1)], grant=grant)
        else:  # the control: a server that waits for it for ever
            time.sleep(6.0)
            with pytest.raises(UnavailableError, match="kept the lock"), querying(store.place) as execute:
                execute("SET lock_timeout = '100ms'")
                execute("SELECT pg_advisory_lock(hashtextextended(?, 0))", [store.place.schema])
    finally:
        paused.close()


def silent_transaction(place: PostgresPlace, *, minded: bool) -> psycopg.Connection[Any]:
    """Begin to write, and say nothing any more; does the server mind?"""
    connection = connect(place)
    if not minded:
        connection.execute("SET idle_in_transaction_session_timeout = 0")
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [place.schema])
    return connection


def test_whoever_watches_is_told_of_a_write(store: Store) -> None:
    with watch_record(store.place) as wait:
        began = time.monotonic()
        wait(0.3)
        assert time.monotonic() - began >= 0.3  # nothing was written
        timer = threading.Timer(0.2, SQLInbox(store.database, clock=SystemClock()).post, [command(1)])
        timer.start()
        wait(30.0)
        assert [fact.id for fact in SQLInbox(store.database, clock=SystemClock()).pending()] == [command(1).id]
        timer.join()


@pytest.mark.fault("K11")
def test_it_goes_on_after_a_crash_of_the_server_and_loses_nothing_acknowledged(tmp_path: Path) -> None:
    server = PostgresServer()
    try:
        store = Store(server.place())
        grant = store.grant()
        store.log.append([command(1)], grant=grant)
        server.stop(signal.SIGQUIT)
        with pytest.raises(UnavailableError, match=r"postgresql://127\.0\.0\.1"):
            store.log.append([command(2)], grant=grant)
        server.start()
        assert store.log.append([command(2)], grant=grant) == 2
        assert store.log.verify_chain().seq == 2
        store.database.close()
    finally:
        server.close()


@pytest.mark.fault("K11")
def test_control_what_nobody_waited_for_does_not_survive_a_crash_of_the_server() -> None:
    server = PostgresServer()
    try:
        server.sql("ALTER SYSTEM SET wal_writer_delay = '10s'")
        server.sql("SELECT pg_reload_conf()")
        with suppress(psycopg.Error), psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("CREATE TABLE heard (n INTEGER)")
            connection.execute("SET synchronous_commit = off")
            connection.execute("INSERT INTO heard VALUES (1)")
            heard = connection.execute("SELECT n FROM heard").fetchall()
            server.stop(signal.SIGQUIT)
        assert heard == [(1,)]
        server.start()
        assert server.sql("SELECT n FROM heard") == []
    finally:
        server.close()


def test_a_server_that_does_not_bring_commits_to_disk_is_refused(store: Store, postgres: PostgresServer) -> None:
    store.database.integrity_check()
    postgres.sql("ALTER SYSTEM SET fsync = off")
    postgres.sql("SELECT pg_reload_conf()")
    try:
        deadline = time.monotonic() + 10
        while postgres.sql("SHOW fsync") != [("off",)]:
            assert time.monotonic() < deadline
        with closing(open_database(store.place)) as again, pytest.raises(IntegrityError, match="fsync=off"):
            again.integrity_check()
    finally:
        postgres.sql("ALTER SYSTEM RESET fsync")
        postgres.sql("SELECT pg_reload_conf()")


@pytest.mark.fault("D7")
def test_what_is_not_there_is_said_and_not_made(store: Store, postgres: PostgresServer) -> None:
    with pytest.raises(NotFoundError, match="restore it from a backup"):
        open_database(postgres.place(), create=False)
    with pytest.raises(NotFoundError, match="brought up with another database"):
        list(read_facts(postgres.place()))
    lost = PostgresPlace(url=postgres.url.replace("/postgres", "/nowhere"), schema="anew_x")
    with pytest.raises(UnavailableError, match='"nowhere" does not exist'):
        open_database(lost)


@pytest.mark.fault("H10")
def test_no_message_holds_the_password(postgres: PostgresServer) -> None:
    secret = PostgresPlace(url=postgres.url.replace("anew@", "nobody:hunter2@"), schema="anew_x")
    with pytest.raises(UnavailableError) as caught:
        open_database(secret)
    assert "hunter2" not in f"{caught.value}{caught.value.__cause__}{secret}{secret!r}"


def test_a_user_who_may_make_no_schema_is_told_what_to_grant(postgres: PostgresServer) -> None:
    postgres.sql("CREATE ROLE guest LOGIN")
    place = postgres.place()
    guest = PostgresPlace(url=postgres.url.replace("anew@", "guest@"), schema=place.schema)
    with pytest.raises(UnavailableError, match="CREATE on the database"):
        open_database(guest)
    postgres.sql(f"CREATE SCHEMA {place.schema} AUTHORIZATION guest")
    open_database(guest).close()


def edit(store: Store, statement: str) -> None:
    """Change the record behind the program's back."""
    with querying(store.place) as execute:
        execute(statement)


def test_a_newer_record_is_refused(store: Store) -> None:
    edit(store, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(IntegrityError, match="upgrade anew"):
        open_database(store.place)


@pytest.mark.fault("A10")
def test_a_changed_record_is_found(store: Store) -> None:
    store.log.append([command(n) for n in range(3)], grant=store.grant())
    edit(store, "UPDATE fact SET body = replace(body, 'ada', 'eve') WHERE seq = 2")
    with pytest.raises(IntegrityError, match=r"fact 2 .*other contents"):
        store.log.verify_chain()


def test_a_copy_is_whole_repeatable_and_never_over_something_else(store: Store, tmp_path: Path) -> None:
    grant = store.grant()
    store.log.append([command(n) for n in range(1200)], grant=grant)
    SQLInbox(store.database, clock=SystemClock()).post(command(5000))
    store.lease.release(grant)
    there = open_database(tmp_path / "anew.db")
    assert copy_record(store.database, there) == 1200
    assert copy_record(store.database, there) == 1200  # killed before the project knew of it
    clock = ManualClock()
    log = SQLEventLog(there, clock=clock)
    assert log.verify_chain() == store.log.verify_chain()
    assert [fact.id for fact in SQLInbox(there, clock=clock).pending()] == [command(5000).id]
    later = SQLLease(there, clock=clock).acquire("next", 1.0)
    assert later is not None
    assert later.epoch == grant.epoch + 1  # epochs go on: nobody from before writes here
    log.append([command(1200)], grant=later)
    with pytest.raises(ConflictError, match="holds something already"):
        copy_record(store.database, there)
    there.close()
