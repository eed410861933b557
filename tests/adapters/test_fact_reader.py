"""The light read path gives what the log holds, imports little and writes nothing."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from anew.adapters.fact_reader import read_facts, read_lease, reading_facts
from anew.adapters.memory import ManualClock
from anew.adapters.postgres_link import Place
from anew.adapters.sql_database import open_database
from anew.adapters.sql_engine import Database
from anew.adapters.sql_eventlog import SQLEventLog
from anew.adapters.sql_lease import SQLLease
from anew.adapters.sqlite_opening import read_only
from anew.domain.errors import IntegrityError, NotFoundError, UnavailableError
from anew.domain.facts import RetrainApproved
from anew.testing.contract_eventlog import command
from tests.postgres_server import PostgresServer

AT = datetime(2026, 1, 1, tzinfo=UTC)


def filled(place: Place) -> None:
    clock = ManualClock(AT)
    database = open_database(place)
    grant = SQLLease(database, clock=clock).acquire("host/1", 30.0)
    assert grant is not None
    facts = [command(1), RetrainApproved(model="m", at=AT, by="policy").caused_by(command(1).id), command(2)]
    SQLEventLog(database, clock=clock).append(facts, grant=grant)
    database.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a folder # with? signs%" / "anew.db"
    filled(path)
    return path


@pytest.fixture(params=["file", pytest.param("server", marks=pytest.mark.system)])
def place(request: pytest.FixtureRequest) -> Place:
    """A record with the same three facts, in a file and on a server."""
    if request.param == "file":
        found: Path = request.getfixturevalue("path")
        return found
    server: PostgresServer = request.getfixturevalue("postgres")
    on_server = server.place()
    filled(on_server)
    return on_server


def test_it_reads_what_the_log_holds(path: Path) -> None:
    database = Database(path)
    assert list(read_facts(path)) == list(SQLEventLog(database, clock=ManualClock()).read())
    database.close()


def test_it_reads_a_part(path: Path) -> None:
    assert [row.seq for row in read_facts(path, after=1)] == [2, 3]
    assert [row.seq for row in read_facts(path, kinds={"RetrainCommanded"})] == [1, 3]
    assert [row.seq for row in read_facts(path, after=1, kinds={"RetrainCommanded", "RetrainApproved"})] == [2, 3]
    assert list(read_facts(path, kinds=())) == []


def test_it_reads_single_facts(place: Place) -> None:
    first, second, third = read_facts(place)
    with reading_facts(place) as reader:
        assert reader.head() == 3
        assert reader.after(0, 2) == [first, second]
        assert reader.after(2, 2) == [third]
        assert reader.after(3, 2) == []
        assert reader.at([3, 1, 9]) == [first, third]
        assert reader.at([]) == ()
        assert reader.find(second.fact.id) == second
        assert reader.find("none") is None
        assert reader.last("RetrainCommanded") == third
        assert reader.last("VersionPromoted") is None
        assert reader.caused_by(first.fact.id) == [second]
        assert reader.caused_by("none") == []


def test_a_mark_tells_a_record_from_others(place: Place) -> None:
    database = open_database(place)
    head = SQLEventLog(database, clock=ManualClock()).verify_chain()
    database.close()
    with reading_facts(place) as reader:
        assert reader.mark(head.seq) == head.hash
        assert len({reader.mark(seq) for seq in range(5)}) == 4
        assert (reader.mark(0), reader.mark(4)) == ("", "")


def test_what_cannot_be_read_is_told_as_by_the_others(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError), reading_facts(tmp_path / "none.db"):
        pass
    (tmp_path / "broken.db").write_bytes(b"these are no facts" * 1_000)
    with pytest.raises(IntegrityError), reading_facts(tmp_path / "broken.db") as reader:
        reader.head()


def test_it_tells_who_holds_the_lease(path: Path) -> None:
    clock = ManualClock()
    clock.advance(29.0)
    held = read_lease(path, clock=clock)
    assert held is not None
    assert (held.holder, held.epoch) == ("host/1", 1)
    assert read_lease(path, clock=clock, name="drainer") is None
    clock.advance(1.0)
    assert read_lease(path, clock=clock) is None


def test_a_database_of_before_its_lease_had_a_clock_has_no_holder(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE lease DROP COLUMN clock_epoch")
    assert read_lease(path, clock=ManualClock()) is None


def test_it_reads_beside_a_writer_in_the_middle_of_a_transaction(path: Path) -> None:
    database = Database(path)
    with database.write() as connection:
        connection.exec_driver_sql("DELETE FROM fact")
        assert len(list(read_facts(path))) == 3
        connection.rollback()
    database.close()


def test_it_writes_nothing(path: Path) -> None:
    before = path.read_bytes()
    list(read_facts(path))
    assert path.read_bytes() == before


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no database at"):
        list(read_facts(tmp_path / "anew.db"))
    assert list(tmp_path.iterdir()) == []


def test_another_file_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "anew.db"
    other.write_bytes(b"this is no database, it only has the name of one" * 100)
    with pytest.raises(IntegrityError, match="no SQLite file"):
        list(read_facts(other))
    other.write_bytes(b"")
    with pytest.raises(UnavailableError, match="no such table"):
        list(read_facts(other))


def test_it_imports_neither_sqlalchemy_nor_a_model_library() -> None:
    heavy = {"sqlalchemy", "alembic", "dbos", "numpy", "polars", "pyarrow", "pydantic", "lightgbm", "sklearn"}
    code = f"import sys, anew.adapters.fact_reader; print(sorted({heavy!r} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == "[]"


def test_a_file_that_nobody_can_write_is_still_unless_its_log_holds_something(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a b?.db"
    assert read_only(path).endswith("/a%20b%3F.db?mode=ro")
    monkeypatch.setattr(os, "access", lambda *_: False)
    log = tmp_path / "a b?.db-wal"
    for held, still in ((None, True), (b"", True), (b"x", False)):
        if held is not None:
            log.write_bytes(held)
        assert read_only(path).endswith("immutable=1") is still
    log.write_bytes(b"")
    (tmp_path / "a b?.db-shm").write_bytes(b"shared")  # a writer has it open, who has not written yet
    assert read_only(path).endswith("mode=ro")
    log.unlink()
    assert read_only(path).endswith("immutable=1"), "nobody has: it was left behind"
