"""What the SQL stores do when the file, the disk or another program stands in the way."""

import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

import anew.adapters.migrations as migrations
from anew.adapters.fact_chain import GENESIS
from anew.adapters.memory import ManualClock
from anew.adapters.sql_engine import Database, _refuse_network
from anew.adapters.sql_eventlog import ChainHead, SQLEventLog
from anew.adapters.sql_lease import SQLLease
from anew.adapters.sql_tables import METADATA
from anew.domain.errors import FencedError, IntegrityError, InvariantError, NotFoundError, UnavailableError
from anew.domain.facts import TrainingEnded
from anew.ports.eventlog import Grant
from anew.testing.contract_eventlog import command


class Store:
    """A log with its lease on one file."""

    def __init__(self, path: Path, *, busy_s: float = 5.0) -> None:
        self.path = path
        self.clock = ManualClock()
        self.database = Database(path, busy_s=busy_s)
        self.log = SQLEventLog(self.database, clock=self.clock)
        self.lease = SQLLease(self.database, clock=self.clock)

    def grant(self) -> Grant:
        """Acquire the lease."""
        grant = self.lease.acquire("tester", 60.0)
        assert grant is not None
        return grant


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "anew.db", busy_s=0.3)
    yield store
    store.database.close()


def edit(path: Path, statement: str, *values: object) -> None:
    """Change the database behind the program's back."""
    connection = sqlite3.connect(path)
    connection.execute(statement, values)
    connection.commit()
    connection.close()


def test_it_is_on_disk_at_commit(store: Store) -> None:
    with store.database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL


def test_the_tables_are_what_the_migrations_make(store: Store) -> None:
    with store.database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_head_is_the_newest_migration() -> None:
    here = Path(migrations.__file__).parent
    scripts = ScriptDirectory(str(here), version_locations=[str(here / "versions")])
    assert scripts.get_heads() == [migrations.HEAD]


def test_a_database_of_before_leases_had_a_clock_keeps_its_facts_and_its_epoch(store: Store) -> None:
    old = store.grant()
    store.log.append([command(1)], grant=old)
    store.database.close()
    edit(store.path, "ALTER TABLE lease DROP COLUMN clock_epoch")
    edit(store.path, "UPDATE alembic_version SET version_num = '0001'")
    again = Store(store.path)
    new = again.grant()
    assert new.epoch > old.epoch
    with pytest.raises(FencedError):
        again.log.append([command(2)], grant=old)
    assert [row.fact for row in again.log.read()] == [command(1)]
    again.database.close()


def test_databases_that_are_made_at_once_do_not_get_into_each_others_way(tmp_path: Path) -> None:
    failed: list[Exception] = []

    def make(number: int) -> None:
        try:
            Database(tmp_path / f"{number}.db").close()
        except Exception as exc:  # noqa: BLE001 - what fails in a thread is told below
            failed.append(exc)

    threads = [threading.Thread(target=make, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_opening_again_keeps_everything(store: Store) -> None:
    store.log.append([command(1)], grant=store.grant())
    store.database.close()
    again = Store(store.path)
    assert [row.fact for row in again.log.read()] == [command(1)]
    again.database.close()


def test_a_newer_database_is_refused(store: Store) -> None:
    store.database.close()
    edit(store.path, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(IntegrityError, match=r"'9999'.*'0002'.*upgrade anew"):
        Database(store.path)


# -- the chain


def test_the_chain_of_nothing_and_of_facts(store: Store) -> None:
    assert store.log.verify_chain() == ChainHead(seq=0, hash=GENESIS)
    grant = store.grant()
    store.log.append([command(1), command(2)], grant=grant)
    first = store.log.verify_chain()
    store.log.append([command(3)], grant=grant)
    assert first.seq == 2
    assert store.log.verify_chain().seq == 3
    assert store.log.verify_chain().hash != first.hash


@pytest.mark.fault("A10")
@pytest.mark.parametrize(
    ("statement", "row", "what"),
    [
        ("UPDATE fact SET body = replace(body, 'ada', 'eve') WHERE seq = 3", 3, "other contents"),
        ("UPDATE fact SET recorded_at = '2020-01-01T00:00:00.000000+00:00' WHERE seq = 3", 3, "other contents"),
        ("UPDATE fact SET kind = 'RollbackCommanded' WHERE seq = 3", 3, "other contents"),
        ("UPDATE fact SET cause = 'x' WHERE seq = 3", 3, "columns"),
        ("UPDATE fact SET model = 'x' WHERE seq = 3", 3, "columns"),
        ("UPDATE fact SET at = 'x' WHERE seq = 3", 3, "columns"),
        ("UPDATE fact SET hash = prev_hash WHERE seq = 3", 3, "other contents"),
        ("UPDATE fact SET prev_hash = hash WHERE seq = 3", 3, "continue"),
        ("DELETE FROM fact WHERE seq = 3", 4, "gone"),
        ("DELETE FROM fact WHERE seq = 1", 2, "gone"),
    ],
)
def test_a_changed_record_is_found_and_its_first_bad_row_named(
    store: Store, statement: str, row: int, what: str
) -> None:
    store.log.append([command(n) for n in range(5)], grant=store.grant())
    assert store.log.verify_chain().seq == 5
    edit(store.path, statement)
    with pytest.raises(IntegrityError, match=rf"fact {row} .*{what}"):
        store.log.verify_chain()


@pytest.mark.fault("A10")
def test_a_cut_off_tail_shows_only_against_a_head_from_before(store: Store) -> None:
    store.log.append([command(n) for n in range(5)], grant=store.grant())
    exported = store.log.verify_chain()
    edit(store.path, "DELETE FROM fact WHERE seq > 3")
    assert store.log.verify_chain().seq == 3  # whole in itself
    with pytest.raises(IntegrityError, match="ends at fact 3, and reached fact 5"):
        store.log.verify_chain(exported)


@pytest.mark.fault("A10")
def test_a_record_written_anew_shows_only_against_a_head_from_before(store: Store) -> None:
    grant = store.grant()
    store.log.append([command(n) for n in range(5)], grant=grant)
    exported = store.log.verify_chain()
    assert store.log.verify_chain(exported) == exported
    edit(store.path, "DELETE FROM fact WHERE seq > 3")
    store.log.append([command(n) for n in (7, 8, 9)], grant=grant)  # a chain as whole as any
    assert store.log.verify_chain().seq == 6
    with pytest.raises(IntegrityError, match=r"at fact 5 .* another than"):
        store.log.verify_chain(exported)


# -- locks, disks, files


@pytest.mark.fault("D6")
def test_it_waits_for_another_program_s_lock(tmp_path: Path) -> None:
    store = Store(tmp_path / "anew.db", busy_s=30.0)
    grant = store.grant()
    other = sqlite3.connect(store.path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(1.0, other.rollback)
    timer.start()
    assert store.log.append([command(1)], grant=grant) == 1
    timer.join()
    other.close()
    store.database.close()


@pytest.mark.fault("D6")
def test_a_lock_that_is_kept_makes_it_unavailable_and_nothing_is_appended(store: Store) -> None:
    grant = store.grant()
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(UnavailableError, match="another process has kept it locked") as caught:
        store.log.append([command(1)], grant=grant)
    assert "database is locked" not in str(caught.value)
    assert store.log.head() == 0  # reading goes on
    with pytest.raises(UnavailableError):
        Database(store.path, busy_s=0.1)
    other.rollback()
    other.close()
    assert store.log.append([command(1)], grant=grant) == 1


@pytest.mark.fault("D3")
def test_a_full_database_appends_nothing_and_goes_on_when_there_is_room(store: Store) -> None:
    grant = store.grant()
    store.log.append([command(0)], grant=grant)
    with store.database.write() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")  # SQLite rounds up to what is used
    with pytest.raises(UnavailableError, match="full"):
        store.log.append([command(n) for n in range(1, 2000)], grant=grant)
    assert store.log.head() == 1
    with store.database.write() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
    assert store.log.append([command(n) for n in range(1, 2000)], grant=grant) == 2000
    store.log.verify_chain()


@pytest.mark.fault("D7")
@pytest.mark.parametrize("how", ["deleted", "replaced", "folder"])
def test_a_file_that_is_gone_stops_writing_and_reading(store: Store, how: str) -> None:
    grant = store.grant()
    store.log.append([command(1)], grant=grant)
    if how == "deleted":
        store.path.unlink()
    elif how == "replaced":
        copy = store.path.with_name("copy.db")
        shutil.copy(store.path, copy)
        copy.replace(store.path)
    else:
        store.path.parent.rename(store.path.parent.with_name("elsewhere"))
    with pytest.raises(IntegrityError, match="deleted or replaced while it was open"):
        store.log.append([command(2)], grant=grant)
    with pytest.raises(IntegrityError, match="deleted or replaced"):
        store.log.head()


@pytest.mark.fault("D7")
def test_control_who_does_not_look_whether_it_is_the_same_file_acknowledges_into_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant = store.grant()
    store.path.unlink()
    monkeypatch.setattr(Database, "_same_file", lambda _: None)
    store.log.append([command(1)], grant=grant)
    assert not store.path.exists()


@pytest.mark.fault("D7")
def test_a_project_that_had_a_database_does_not_get_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="restore it from a backup"):
        Database(tmp_path / "anew.db", create=False)
    (tmp_path / "anew.db").write_bytes(b"")
    with pytest.raises(NotFoundError, match="empty"):
        Database(tmp_path / "anew.db", create=False)
    assert [path.name for path in tmp_path.iterdir()] == ["anew.db"]


@pytest.mark.fault("D7")
def test_a_network_file_system_is_refused(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("/dev/sda / ext4 rw 0 0\nserver:/x /mnt/my\\040share nfs4 rw 0 0\n")
    with pytest.raises(IntegrityError, match="nfs4 at /mnt/my share"):
        _refuse_network(Path("/mnt/my share/project/anew.db"), mounts)
    _refuse_network(Path("/mnt/my share elsewhere/anew.db"), mounts)
    _refuse_network(Path("/home/anew.db"), tmp_path / "no such file")


@pytest.mark.fault("D8")
def test_a_damaged_page_is_found(store: Store) -> None:
    store.log.append([command(n) for n in range(500)], grant=store.grant())
    store.database.integrity_check()
    store.database.close()
    damaged = bytearray(store.path.read_bytes())
    for page in range(8, len(damaged) // 4096 - 1, 3):
        damaged[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    store.path.write_bytes(damaged)
    again = Database(store.path)
    with pytest.raises(IntegrityError, match="damaged"):
        again.integrity_check()
    with pytest.raises(IntegrityError, match="damaged"):
        SQLEventLog(again, clock=ManualClock()).verify_chain()
    again.close()


@pytest.mark.fault("D8")
def test_control_a_letter_that_changed_within_a_page_passes_sqlites_check_and_not_the_chain(store: Store) -> None:
    store.log.append([command(n) for n in range(500)], grant=store.grant())
    store.database.close()
    with closing(sqlite3.connect(store.path)) as connection:
        (body,) = connection.execute("SELECT body FROM fact WHERE seq = 250").fetchone()
    data = store.path.read_bytes()
    place = data.index(body.encode()) + body.index(":") + 2
    store.path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    again = Database(store.path)
    again.integrity_check()
    with pytest.raises(IntegrityError):
        SQLEventLog(again, clock=ManualClock()).verify_chain()
    again.close()


def test_another_file_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "anew.db"
    path.write_text("this is text" * 1000)
    with pytest.raises(IntegrityError, match="no SQLite file"):
        Database(path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError, match="cannot be made"):
        Database(tmp_path / "file" / "anew.db")


def test_a_fact_that_would_not_come_back_is_refused_before_anything_is_written(store: Store) -> None:
    at = command(1).at
    bad = TrainingEnded(model="m", at=at, version="v", outcome="failed", detail="", compute_s=float("nan")).caused_by(
        ""
    )
    with pytest.raises(InvariantError):
        store.log.append([command(1), bad], grant=store.grant())
    assert store.log.head() == 0


@pytest.mark.fault("A10")
def test_control_a_chain_alone_sees_neither_a_cut_nor_a_record_written_anew(store: Store) -> None:
    """Why heads are exported: without one, what was cut off or written anew with the same code is whole in itself."""
    grant = store.grant()
    store.log.append([command(n) for n in range(5)], grant=grant)
    whole = store.log.verify_chain()
    edit(store.path, "DELETE FROM fact WHERE seq > 3")
    assert store.log.verify_chain().seq == 3
    store.log.append([command(n) for n in (7, 8)], grant=grant)
    again = store.log.verify_chain()
    assert again.seq == whole.seq
    assert again != whole
