"""Drainers as real processes: what they prepare, and what becomes of orders when they die, stop or never begin."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from multiprocessing.connection import wait
from pathlib import Path

import pytest

from anew.adapters import drainer_processes
from anew.adapters.delta_lake import DeltaLake
from anew.adapters.drainer_line import (
    DrainOrder,
    read_answer,
    read_columns,
    read_order,
    told,
    unframed,
    write_columns,
)
from anew.adapters.drainer_processes import DrainerProcesses
from anew.adapters.lake_batch import prepare
from anew.adapters.segment_journal import SegmentJournal
from anew.adapters.segment_reader import SegmentReader
from anew.domain.column import Column, ColumnKind, Columns, Task
from anew.domain.errors import AnewError, ConflictError, IntegrityError, InvariantError, UnavailableError
from anew.domain.observation import Observation
from anew.loop.drain import Drainer
from anew.loop.shared_drain import SharedDrainer
from anew.ports.drainers import PreparedAnswer
from anew.testing.contract_lake import COLUMNS, EVER, label, prediction

ROWS = 30


def drainers_of(folder: Path) -> list[int]:
    """Return the process ids of the drainers of a folder, oldest first."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (process / "cmdline").read_bytes().split(b"\0")
            if str(folder / "journal").encode() in command:
                found.append(int(process.name))
    return sorted(found)


def eventually(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.02)


def write(folder: Path, journal: str, first: int, rows: int = ROWS) -> None:
    """Have a gateway acknowledge some predictions with their labels."""
    with closing(SegmentJournal(folder / "journal" / journal, segment_bytes=4096)) as written:
        said: list[Observation] = [o for i in range(first, first + rows) for o in (prediction(i), label(i))]
        for start in range(0, len(said), 10):
            written.append(said[start : start + 10])


def opened(folder: Path) -> DeltaLake:
    """Open the lake."""
    return DeltaLake(folder / "lake", COLUMNS, "m", folder / "state" / "lake.db")


@contextmanager
def started(folder: Path, count: int = 2, lease_s: float = 30.0) -> Iterator[DrainerProcesses]:
    """Start drainers."""
    with DrainerProcesses(count, folder / "journal", COLUMNS, folder / "logs", lease_s=lease_s) as drainers:
        yield drainers


def answered(drainers: DrainerProcesses) -> PreparedAnswer:
    """Wait for one answer."""
    (one,) = drainers.answers(60.0)
    return one


def asked(drainers: DrainerProcesses, journal: str, *, after: int = 0, most: int = 1000) -> None:
    """Ask as soon as somebody is free."""
    eventually(lambda: drainers.ask(journal, after=after, most=most))


def rows_of(lake: DeltaLake) -> Sequence[str]:
    """Return the ids of all predictions that are stored, as often as they are."""
    return sorted(lake.fresh("predictions", after=0, upto=lake.versions()["predictions"])["_id"].to_list())


def test_they_prepare_what_the_loop_would_have_read_byte_for_byte(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path, f"w{number}", 100 * number)
    with started(tmp_path) as drainers, closing(opened(tmp_path)) as lake:
        reader = SegmentReader(tmp_path / "journal")
        drainer = SharedDrainer(reader, lake, most=17, drainers=drainers)
        while drainer.drain_once().read:
            pass
        assert rows_of(lake) == [f"p{100 * number + i:08d}" for number in range(3) for i in range(ROWS)]
        (first, *_) = sorted((tmp_path / "lake" / "predictions").glob("*.parquet"))
        first.write_bytes(b"damaged")
        (repaired,) = lake.rebuild(reader)
        assert "was made again from the journal" in repaired
        assert list(lake.verify()) == []
    with closing(DeltaLake(tmp_path / "other", COLUMNS, "m", tmp_path / "other.db")) as alone:
        by_one = Drainer(SegmentReader(tmp_path / "journal"), alone, most=17)
        while by_one.drain_once().read:
            pass
        assert alone.labelled(EVER).equals(opened(tmp_path).labelled(EVER))
    assert drainers_of(tmp_path) == []


def test_a_journal_without_more_and_one_that_is_damaged_are_told_from_each_other(tmp_path: Path) -> None:
    write(tmp_path, "w0", 0)
    write(tmp_path, "w1", 100)
    oldest = sorted((tmp_path / "journal" / "w1").glob("*.seg"))[0]
    oldest.unlink()
    with started(tmp_path, count=1) as drainers:
        asked(drainers, "w0", after=2 * ROWS)
        assert answered(drainers) == PreparedAnswer(journal="w0")
        asked(drainers, "w1")
        found = answered(drainers)
        assert isinstance(found.problem, IntegrityError)
        assert "are gone, its oldest segment is" in str(found.problem)
        asked(drainers, "w0", most=7)
        batch = answered(drainers).batch
        assert batch is not None
        assert (batch.journal, batch.after, batch.observations) == ("w0", 0, 7)


def stopped_at(folder: Path, drainers: DrainerProcesses, journal: str) -> int:
    """Have the only drainer stopped before it can do its order; return its process id."""
    asked(drainers, journal, after=2 * ROWS)
    answered(drainers)
    (pid,) = drainers_of(folder)
    os.kill(pid, signal.SIGSTOP)
    assert drainers.ask(journal, after=0, most=10)
    return pid


@pytest.mark.fault("D14")
def test_the_order_of_one_that_is_killed_is_answered_and_another_takes_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drainer_processes, "_BACKOFF_S", (600.0,))
    monkeypatch.setattr(drainer_processes, "_END_S", 60.0)
    write(tmp_path, "w0", 0)
    with started(tmp_path, count=1) as drainers:
        killed = stopped_at(tmp_path, drainers, "w0")
        assert not drainers.ask("w1", after=0, most=10), "it has an order"
        os.kill(killed, signal.SIGKILL)
        lost = answered(drainers)
        assert lost.journal == "w0"
        assert isinstance(lost.problem, UnavailableError)
        assert f"ended with code -{int(signal.SIGKILL)}" in str(lost.problem)
        assert not drainers.ask("w0", after=0, most=10), "nobody is there yet"
        drainers._drainers[0].again_at = 0.0
        asked(drainers, "w0", most=10)
        batch = answered(drainers).batch
        assert batch is not None
        assert batch.observations == 10
        assert drainers_of(tmp_path) != [killed]


@pytest.mark.fault("D14")
def test_one_that_is_stopped_past_its_lease_is_killed_before_its_order_passes_on(tmp_path: Path) -> None:
    write(tmp_path, "w0", 0)
    with started(tmp_path, count=1) as drainers:
        stopped = stopped_at(tmp_path, drainers, "w0")
        drainers._lease_s = 0.3  # from now on, so that however busy this machine is it was not silent before
        lost = answered(drainers)
        drainers._lease_s = 30.0
        assert "was silent for longer than its lease lasts" in str(lost.problem)
        with pytest.raises(ProcessLookupError):  # to wake up it is too late
            os.kill(stopped, signal.SIGCONT)
        asked(drainers, "w0", most=10)
        assert answered(drainers).batch is not None


@pytest.mark.fault("D14")
def test_one_that_wakes_up_after_its_rows_were_stored_has_them_stored_no_second_time(tmp_path: Path) -> None:
    write(tmp_path, "w0", 0)
    with started(tmp_path, count=1) as drainers, closing(opened(tmp_path)) as lake:
        stopped = stopped_at(tmp_path, drainers, "w0")
        Drainer(SegmentReader(tmp_path / "journal"), lake, most=7).drain_once()
        os.kill(stopped, signal.SIGCONT)
        late = answered(drainers).batch
        assert late is not None
        assert (late.after, late.observations) == (0, 10)
        before = rows_of(lake)
        with pytest.raises(ConflictError, match="w0 was read after 0 and is stored up to"):
            lake.commit(late)
        assert rows_of(lake) == before
        assert list(lake.verify()) == []


@pytest.mark.fault("D14")
def test_what_one_says_while_nobody_listens_counts(tmp_path: Path) -> None:
    write(tmp_path, "w0", 0)
    with started(tmp_path, count=1) as drainers:
        asked(drainers, "w0")
        line = drainers._drainers[0].line
        assert line is not None
        eventually(lambda: wait([line], 0))
        drainers._lease_s = 0.05
        time.sleep(0.1)  # the loop is at something else for longer than the lease lasts
        assert answered(drainers).batch is not None


SLOW = """
import socket, sys, time
from anew.adapters.drainer_line import READY, read_order, told, unframed
from anew.ports.drainers import PreparedAnswer
line, received = socket.socket(fileno=int(sys.argv[2])), bytearray()
line.sendall(READY)
while piece := line.recv(65536):
    received += piece
    while (message := unframed(received)) is not None:
        order = read_order(message)
        time.sleep(1.5 if order.journal == "slow" else 0)
        line.sendall(told(PreparedAnswer(journal=order.journal)))
"""


def test_a_journal_that_is_merely_slow_comes_to_an_end_whatever_else_is_read_in_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drainer_processes, "_COMMAND", (sys.executable, "-c", SLOW))
    monkeypatch.setattr(drainer_processes, "_BACKOFF_S", (0.0,))
    with started(tmp_path, count=1, lease_s=0.5) as drainers:
        for _ in range(9):
            asked(drainers, "slow")
            if answered(drainers).problem is None:
                return
            asked(drainers, "quick")
            answered(drainers)
    raise AssertionError("it never was read")


def test_one_is_told_of_as_many_columns_as_there_are(tmp_path: Path) -> None:
    features = tuple(Column(name=f"a feature with a long name {i:05d}", kind=ColumnKind.NUMBER) for i in range(9000))
    columns = Columns(time="at", target="y", task=Task.REGRESSION, features=features)
    assert len(write_columns(columns)) > 1 << 18
    with DrainerProcesses(1, tmp_path / "journal", columns, tmp_path / "logs") as drainers:
        (tmp_path / "journal" / "w0").mkdir(parents=True)
        asked(drainers, "w0")
        assert answered(drainers) == PreparedAnswer(journal="w0")


def test_they_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    code = f"""
import time
from pathlib import Path
from anew.adapters.drainer_processes import DrainerProcesses
from anew.adapters.lake_batch import prepare
from anew.testing.contract_lake import COLUMNS
with DrainerProcesses(2, Path({str(tmp_path / "journal")!r}), COLUMNS, Path({str(tmp_path / "logs")!r})):
    time.sleep(600)
"""
    parent = subprocess.Popen([sys.executable, "-c", code])
    try:
        eventually(lambda: len(drainers_of(tmp_path)) == 2)
    finally:
        parent.kill()
        parent.wait()
    eventually(lambda: drainers_of(tmp_path) == [])


def test_one_that_cannot_begin_is_tried_again_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, "w0", 0)
    command = drainer_processes._COMMAND
    with monkeypatch.context() as broken:
        broken.setattr(drainer_processes, "_COMMAND", ("/nowhere/python",))
        with started(tmp_path, count=1) as drainers:
            assert not drainers.ask("w0", after=0, most=10)
            assert "drainer 0 cannot be started" in caplog.text
            broken.setattr(drainer_processes, "_COMMAND", (*command[:1], "-c", "raise SystemExit(3)"))
            eventually(lambda: not drainers.ask("w0", after=0, most=10) and "ended with code 3" in caplog.text)
            broken.setattr(drainer_processes, "_COMMAND", command)
            asked(drainers, "w0")
            assert answered(drainers).batch is not None


def test_a_message_is_taken_when_it_is_whole() -> None:
    received = bytearray()
    orders = [DrainOrder(journal="w" * 100, after=0, most=1), DrainOrder(journal="w1", after=7, most=5)]
    said = b"".join(map(told, orders))
    found = []
    for place in range(0, len(said), 7):
        received += said[place : place + 7]
        while (message := unframed(received)) is not None:
            found.append(read_order(message))
    assert found == orders
    assert not received


def said_again(answer: PreparedAnswer) -> PreparedAnswer:
    """Return what is heard of an answer."""
    message = unframed(bytearray(told(answer)))
    assert message is not None
    return read_answer(message)


def test_what_is_heard_is_what_was_said() -> None:
    batch = prepare(COLUMNS, "w0", 9, [prediction(1), label(1), prediction(2)], after=6)
    answer = PreparedAnswer(journal="w0", batch=batch)
    assert said_again(answer) == answer
    assert read_columns(write_columns(COLUMNS)) == COLUMNS


@pytest.mark.parametrize("problem", [ConflictError("one"), UnavailableError("two"), IntegrityError("three")])
def test_a_problem_is_heard_as_of_its_kind(problem: AnewError) -> None:
    heard = said_again(PreparedAnswer(journal="w0", problem=problem)).problem
    assert (type(heard), str(heard)) == (type(problem), str(problem))


def test_a_problem_that_journals_have_not_is_damage() -> None:
    heard = said_again(PreparedAnswer(journal="w0", problem=InvariantError("a batch of no rows"))).problem
    assert (type(heard), str(heard)) == (IntegrityError, "a batch of no rows")


def test_one_that_says_what_cannot_be_read_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    code = "import socket, sys; s = socket.socket(fileno=int(sys.argv[2]))\n"
    code += "s.sendall(bytes(8)); s.recv(1 << 16); s.sendall(bytes(7) + bytes([1, 0xC1])); s.recv(1)"
    monkeypatch.setattr(drainer_processes, "_COMMAND", (sys.executable, "-c", code))
    with started(tmp_path, count=1) as drainers:
        asked(drainers, "w0")
        assert isinstance(answered(drainers).problem, UnavailableError)
        assert "cannot be read" in caplog.text
