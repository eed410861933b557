"""The record of facts under kill -9, paused holders and full disks, with real processes."""

import os
import select
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from anew.adapters.memory import ManualClock
from anew.adapters.postgres_link import PostgresPlace, querying
from anew.adapters.sql_database import open_database
from anew.adapters.sql_engine import Database
from anew.adapters.sql_eventlog import SQLEventLog
from anew.app.record_place import put_down, record_place
from anew.domain.facts import RetrainCommanded
from tests.postgres_server import PostgresServer

pytestmark = pytest.mark.system

PROGRAM = Path(__file__).with_name("eventlog_programs.py")


@contextmanager
def running(*arguments: object, kill: str = "") -> Iterator[subprocess.Popen[str]]:
    """Run a program of eventlog_programs; it is killed at the end of the block."""
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM), *map(str, arguments)],
        env=os.environ | {"ANEW_KILL": kill},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=30)


def line(process: subprocess.Popen[str], begins: str, deadline_s: float = 30.0) -> str:
    """Return the next line of the program that begins so; fail when it ends or the deadline passes."""
    assert process.stdout is not None
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        if select.select([process.stdout], [], [], 0.1)[0]:
            text = process.stdout.readline()
            assert text, f"the program ended ({process.poll()}) without a line {begins!r}"
            if text.startswith(begins):
                return text.strip()
    raise AssertionError(f"no line {begins!r} within {deadline_s} s")


def facts(folder: Path) -> list[int]:
    """Verify chain and database, and return the numbers of the commands on record."""
    database = open_database(record_place(folder))
    database.integrity_check()
    log = SQLEventLog(database, clock=ManualClock())
    log.verify_chain()
    rows = [row.fact for row in log.read()]
    database.close()
    return [int(fact.command[1:]) for fact in rows if isinstance(fact, RetrainCommanded)]


def acknowledged(output: str) -> int:
    """Return the last head that the program was told."""
    return max((int(text.split()[1]) for text in output.splitlines() if text.startswith("acknowledged")), default=0)


@pytest.fixture(params=["sqlite", "postgres"])
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Return a folder whose record is kept in it, or on a server."""
    if request.param == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres")
        put_down(tmp_path, server.url, server.place().schema.removeprefix("anew_"))
    return tmp_path


def lease(folder: Path) -> dict[str, Any]:
    """Return the row of the lease as it is, by its columns."""
    place = record_place(folder)
    opened: Any = querying(place) if isinstance(place, PostgresPlace) else closing(sqlite3.connect(place))
    with opened as asked:
        found = getattr(asked, "execute", asked)("SELECT * FROM lease")
        names = [each[0] for each in found.description]
        return dict(zip(names, found.fetchone(), strict=True))


def tables(folder: Path) -> int:
    """Return how many tables there are."""
    place = record_place(folder)
    if isinstance(place, PostgresPlace):
        with querying(place) as execute:
            found = execute("SELECT count(*) FROM pg_tables WHERE schemaname = ?", [place.schema]).fetchone()
    else:
        with closing(sqlite3.connect(place)) as connection:
            found = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return int(found[0])


@pytest.mark.fault("K1")
def test_killed_at_every_boundary_of_an_append_nothing_acknowledged_is_lost(folder: Path) -> None:
    known = 0
    for boundary in ("eventlog.before_write", "eventlog.before_commit", "eventlog.after_commit"):
        for nth in (1, 4):
            with running("appender", folder, kill=f"{boundary}:{nth}") as process:
                output, _ = process.communicate(timeout=60)
                assert process.returncode == -signal.SIGKILL
            known = max(known, acknowledged(output))
            found = facts(folder)
            # Whole pairs, without gap; at most the one pair that was committed and not yet acknowledged is more.
            assert found == list(range(len(found)))
            assert len(found) % 2 == 0
            assert known <= len(found) <= known + 2
            assert (len(found) == known + 2) == (boundary == "eventlog.after_commit")
            known = len(found)


@pytest.mark.fault("K1")
def test_killed_at_random_moments_nothing_acknowledged_is_lost(folder: Path) -> None:
    for kill in range(5):
        with running("appender", folder) as process:
            for _ in range(7 * (kill + 1)):
                line(process, "acknowledged")
            process.kill()
            output, _ = process.communicate(timeout=30)
        found = facts(folder)
        assert acknowledged(output) <= len(found)
        assert found == list(range(len(found)))


@pytest.mark.fault("K7")
@pytest.mark.parametrize("boundary", ["migration.between", "migration.done"])
def test_killed_in_a_migration_it_is_done_whole_the_next_time(folder: Path, boundary: str) -> None:
    with running("opener", folder, kill=f"{boundary}:1") as process:
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
    assert tables(folder) == 0
    with running("opener", folder) as process:
        line(process, "opened")
    assert facts(folder) == []


@pytest.mark.fault("K7")
def test_control_a_migration_in_more_than_one_transaction_is_found_half_done(folder: Path) -> None:
    with running("halver", folder, kill="migration.between:1") as process:
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
    assert tables(folder) > 0


@pytest.mark.fault("O1")
@pytest.mark.fault("K7")
@pytest.mark.parametrize("kill", ["", "migration.done:1"])
def test_back_to_an_older_revision_and_forward_again_every_fact_and_epoch_stays(folder: Path, kill: str) -> None:
    with running("appender", folder) as process:
        while int(line(process, "acknowledged").split()[1]) < 8:
            pass
    before = facts(folder)
    epoch = lease(folder)["epoch"]
    with running("backer", folder, kill=kill) as process:
        output, _ = process.communicate(timeout=60)
    assert ("back" in output) is not bool(kill)
    assert ("clock_epoch" in lease(folder)) is bool(kill)  # whole, or not at all
    assert facts(folder) == before  # which opens it, and so brings it forward
    assert lease(folder)["epoch"] == epoch
    with running("appender", folder) as process:
        line(process, "acknowledged")
    assert lease(folder)["epoch"] == epoch + 1
    assert facts(folder)[: len(before)] == before


@pytest.mark.fault("O1")
def test_control_a_way_back_that_forgets_the_lease_is_found_by_the_epoch(tmp_path: Path) -> None:
    with running("appender", tmp_path) as process:
        line(process, "acknowledged")
    with running("appender", tmp_path) as process:
        line(process, "acknowledged")
    epoch = lease(tmp_path)["epoch"]
    with running("backer", tmp_path) as process:
        line(process, "back")
    with closing(sqlite3.connect(tmp_path / "anew.db")) as connection:
        connection.execute("DELETE FROM lease")
        connection.commit()
    with running("appender", tmp_path) as process:
        line(process, "acknowledged")
    assert lease(tmp_path)["epoch"] < epoch, "who was fenced off would be let in again"


@pytest.mark.fault("O3")
def test_of_racing_processes_one_gets_the_lease(folder: Path) -> None:
    open_database(record_place(folder)).close()
    with (
        running("racer", folder, "a") as a,
        running("racer", folder, "b") as b,
        running("racer", folder, "c") as c,
    ):
        for process in (a, b, c):
            line(process, "ready")
        (folder / "go").touch()
        results = [process.communicate(timeout=60)[0].strip() for process in (a, b, c)]
    assert sorted(results) == ["lost", "lost", "won"]


@pytest.mark.fault("K6")
def test_a_paused_holder_is_fenced_off_when_it_goes_on(folder: Path) -> None:
    with running("holder", folder, "first") as first:
        line(first, "holds 1")
        line(first, "wrote")
        first.send_signal(signal.SIGSTOP)
        with running("holder", folder, "second") as second:
            line(second, "holds 2")
            for _ in range(5):
                line(second, "wrote")
            first.send_signal(signal.SIGCONT)
            line(first, "fenced")
            line(second, "wrote")
    found = facts(folder)
    epochs = [number // 1_000_000 for number in found]
    assert epochs == sorted(epochs), "no fact of the first holder stands after one of the second"
    assert set(epochs) == {1, 2}


@pytest.mark.fault("D1")
@pytest.mark.fault("D5")
def test_on_a_full_disk_nothing_acknowledged_is_lost_and_work_goes_on_when_there_is_room(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(500_000))
        with running("filler", disk) as process:
            assert process.stdout is not None
            assert process.stdin is not None
            last = ""
            while not (text := process.stdout.readline()).startswith("unavailable"):
                assert text, "the program ended before the disk was full"
                last = text
            assert "disk is full" in text
            head = acknowledged(last)
            assert head > 10
            assert len(facts(disk)) == head
            ballast.unlink()
            process.stdin.write("\n")
            process.stdin.flush()
            assert acknowledged(line(process, "acknowledged")) == head + 1
        assert len(facts(disk)) >= head + 1
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.fault("D7")
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
@pytest.mark.parametrize("verb", ["write", "open"])
def test_a_file_that_may_not_be_written_is_refused_with_what_to_do(verb: str) -> None:
    code = (
        "import os, sys; from pathlib import Path\n"
        "from anew.adapters.sql_engine import Database; from anew.domain.errors import UnavailableError\n"
        "Database(Path(sys.argv[2])).close()\n"  # all is imported while the folders of the code may be read
        "if sys.argv[1] == 'open': os.chmod(sys.argv[2], 0)\n"
        "os.seteuid(65534)\n"
        "try: Database(Path(sys.argv[2]))\n"
        "except UnavailableError as exc: print(exc)"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "anew.db"
        Database(path).close()
        path.parent.chmod(0o755)
        path.chmod(0o644)
        found = subprocess.run(
            [sys.executable, "-c", code, verb, str(path)], capture_output=True, text=True, timeout=60, check=True
        )
    assert str(path) in found.stdout
    assert {"write": "permission on the file and its folder", "open": "may be read and written"}[verb] in found.stdout
