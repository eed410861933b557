"""A journal written by a process of its own: what becomes of groups when it dies, is full, or never begins."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
import uvloop

from anew.adapters.journal_line import GroupAnswer, unframed
from anew.adapters.journal_process import JournalProcess
from anew.adapters.segment_journal import SegmentJournal
from anew.adapters.segment_reader import SegmentReader
from anew.domain.errors import AnewError, ConflictError, IntegrityError, UnavailableError
from anew.domain.observation import Label, Observation, ShadowAnswer
from anew.testing.contract_lake import label as numbered


def label(name: str) -> Label:
    """Make a label with this id."""
    return numbered(0, id=name)


def read(folder: Path, journal: str = "w0") -> list[str]:
    """Return the ids that a drainer finds."""
    reader, after, found = SegmentReader(folder), 0, list[str]()
    while (batch := reader.read(journal, after=after, most=1000)).position > after:
        found += [each.id for each in batch.observations]
        after = batch.position
    return found


async def written(journal: JournalProcess, records: Sequence[Observation | ShadowAnswer]) -> float:
    """Return when they are on disk, with the seconds that the disk took; raise why they are not."""
    ended: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def told(problem: Exception | None, took_s: float) -> None:
        if problem is None:
            ended.set_result(took_s)
        else:
            ended.set_exception(problem)

    journal.write(records, told)
    return await asyncio.wait_for(ended, 30)


def run(
    folder: Path,
    story: Callable[[JournalProcess], Awaitable[None]],
    most_bytes: int = 1 << 30,
    segment_bytes: int = 16 << 20,
) -> None:
    """Tell `story` of the journal ``w0`` on the loop of a gateway, and close it."""

    async def whole() -> None:
        journal = JournalProcess(folder / "w0", most_bytes=most_bytes, segment_bytes=segment_bytes)
        await journal.open()
        try:
            await story(journal)
        finally:
            pid = journal.pid
            await journal.close()
        assert journal.pid is None
        assert pid is None or gone(pid)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(whole())


def refused(folder: Path) -> None:
    """Open the journal, which cannot be."""
    asyncio.run(JournalProcess(folder / "w0").open())


async def killed(journal: JournalProcess) -> None:
    """Kill the process, and return when the loop has noticed."""
    line = journal._line
    assert line is not None
    line.process.kill()
    while line.lost is None:
        await asyncio.sleep(0.01)


def gone(pid: int | None) -> bool:
    """Is there no such process any more?"""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


def test_what_is_told_is_on_disk_in_order_and_a_clean_end_leaves_a_mark(tmp_path: Path) -> None:
    async def story(journal: JournalProcess) -> None:
        for i in range(5):
            assert 0 < await written(journal, [label(f"{i}{each}") for each in "abc"]) < 20
            assert read(tmp_path)[-1] == f"{i}c"

    run(tmp_path, story)
    assert read(tmp_path) == [f"{i}{each}" for i in range(5) for each in "abc"]
    again = SegmentJournal(tmp_path / "w0")
    assert (again.last, again.torn_bytes) == (15, 0)


def test_a_group_of_many_megabytes_goes_through(tmp_path: Path) -> None:
    many = [label(f"{i:06d}" + "x" * 400) for i in range(20_000)]

    async def story(journal: JournalProcess) -> None:
        await written(journal, many)
        await written(journal, [label("last")])

    run(tmp_path, story)
    assert read(tmp_path) == [*(each.id for each in many), "last"]


@pytest.mark.fault("S5")
def test_a_process_that_is_killed_takes_nothing_that_was_told_and_another_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "anew.gateway")

    async def story(journal: JournalProcess) -> None:
        assert journal.pid is not None
        await written(journal, [label("a")])
        for name in ("b", "c"):
            pid = journal.pid
            os.kill(pid, signal.SIGSTOP)  # so that it dies with the group in its hands
            lost = asyncio.ensure_future(written(journal, [label(f"lost {name}")]))
            await asyncio.sleep(0.05)
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(UnavailableError, match=r"journal w0 ended \(code -9\).*not written"):
                await lost
            await written(journal, [label(name)])
            assert journal.pid != pid
            assert gone(pid)

    run(tmp_path, story)
    assert read(tmp_path) == ["a", "b", "c"]
    assert [each.message for each in caplog.records] == ["journal_process_ended journal=w0 code=-9"] * 2


def test_one_that_is_killed_between_two_groups_costs_none_and_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "anew.gateway")

    async def story(journal: JournalProcess) -> None:
        for name in ("a", "b"):
            await killed(journal)
            await written(journal, [label(name)])

    run(tmp_path, story)
    assert read(tmp_path) == ["a", "b"]
    assert [each.message for each in caplog.records] == ["journal_process_ended journal=w0 code=-9"] * 2


@pytest.mark.fault("S5")
def test_who_ends_all_processes_of_a_gateway_leaves_it_its_last_groups(tmp_path: Path) -> None:
    async def story(journal: JournalProcess) -> None:
        pid = journal.pid
        assert pid is not None
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(pid, number)
        await asyncio.sleep(0.05)
        await written(journal, [label("last")])
        assert journal.pid == pid

    run(tmp_path, story)
    assert read(tmp_path) == ["last"]


def test_one_that_ends_in_the_moment_before_it_is_asked_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = JournalProcess._opened

    async def dies(journal: JournalProcess) -> object:
        line = await opened(journal)
        line.process.kill()
        while line.lost is None:
            await asyncio.sleep(0.01)
        await line.lost
        return line

    async def story(journal: JournalProcess) -> None:
        await killed(journal)
        with monkeypatch.context() as patched:
            patched.setattr(JournalProcess, "_opened", dies)
            with pytest.raises(UnavailableError, match=r"ended \(code -9\)"):
                await written(journal, [label("lost")])
        await written(journal, [label("b")])

    run(tmp_path, story)
    assert read(tmp_path) == ["b"]


def test_what_comes_after_the_end_is_refused_and_starts_nothing(tmp_path: Path) -> None:
    async def story(journal: JournalProcess) -> None:
        await written(journal, [label("a")])
        await journal.close()
        with pytest.raises(UnavailableError, match="journal w0 is closed"):
            await written(journal, [label("late")])

    run(tmp_path, story)
    assert read(tmp_path) == ["a"]


def test_a_defect_of_who_is_told_costs_no_other_group(tmp_path: Path) -> None:
    async def story(journal: JournalProcess) -> None:
        said = list[str]()
        asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(str(context["exception"])))
        pid, heard = journal.pid, asyncio.Event()

        def told(_: Exception | None, __: float) -> None:
            heard.set()
            raise RuntimeError("a defect")

        journal.write([label("a")], told)
        await heard.wait()
        await written(journal, [label("b")])
        assert (said, journal.pid) == (["a defect"], pid)

    run(tmp_path, story)
    assert read(tmp_path) == ["a", "b"]


def test_a_full_journal_says_so_and_takes_again_once_it_was_trimmed(tmp_path: Path) -> None:
    async def story(journal: JournalProcess) -> None:
        i = 0
        with pytest.raises(UnavailableError, match=r"journal w0 could not take 1 records: .*was not drained"):
            for i in range(200):
                await written(journal, [label(f"{i:03d}")])
        assert read(tmp_path) == [f"{each:03d}" for each in range(i)]
        SegmentReader(tmp_path).trim("w0", upto=i)
        await written(journal, [label("again")])

        batch = SegmentReader(tmp_path).read("w0", after=i, most=9)
        assert [each.id for each in batch.observations] == ["again"]

    run(tmp_path, story, most_bytes=4096, segment_bytes=1024)


def test_a_journal_that_another_process_writes_is_refused_at_once_and_nothing_is_left(tmp_path: Path) -> None:
    held = SegmentJournal(tmp_path / "w0")
    with pytest.raises(ConflictError, match="another process"):
        refused(tmp_path)
    held.close()
    run(tmp_path, written_one)
    assert read(tmp_path) == ["one"]


def test_a_journal_that_is_let_go_of_in_a_moment_is_waited_for(tmp_path: Path) -> None:
    held = SegmentJournal(tmp_path / "w0")
    later = threading.Timer(0.5, held.close)
    later.start()
    run(tmp_path, written_one)
    later.join()
    assert read(tmp_path) == ["one"]


async def written_one(journal: JournalProcess) -> None:
    await written(journal, [label("one")])


def test_a_damaged_journal_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    run(tmp_path, written_twice)
    (file,) = (tmp_path / "w0").glob("*.seg")
    damaged = bytearray(file.read_bytes())
    damaged[60] ^= 1
    file.write_bytes(damaged)
    with pytest.raises(IntegrityError, match="is damaged"):
        refused(tmp_path)
    assert file.read_bytes() == damaged


async def written_twice(journal: JournalProcess) -> None:
    await written(journal, [label("one")])
    await written(journal, [label("two")])


def test_a_folder_that_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "w0").write_text("a file")
    with pytest.raises(UnavailableError, match="cannot be opened"):
        refused(tmp_path)


def test_a_journal_that_cannot_be_opened_any_more_is_told_and_tried_again(tmp_path: Path) -> None:
    async def story(journal: JournalProcess) -> None:
        await written(journal, [label("a")])
        pid = journal.pid
        await killed(journal)
        while not gone(pid):
            await asyncio.sleep(0.01)
        held = SegmentJournal(tmp_path / "w0")
        for _ in range(2):
            with pytest.raises(UnavailableError, match=r"cannot be opened again: .*another process"):
                await written(journal, [label("refused")])
        held.close()
        await written(journal, [label("b")])

    run(tmp_path, story)
    assert read(tmp_path) == ["a", "b"]


PROGRAM = """
import asyncio, sys
from pathlib import Path
from anew.adapters.journal_process import JournalProcess
from anew.testing.contract_lake import label

async def main():
    journal = JournalProcess(Path(sys.argv[1]))
    await journal.open()
    def told(problem, took):
        print(journal.pid, problem, flush=True)
    journal.write([label(0, id="a")], told)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.fault("S5")
def test_it_dies_with_its_gateway_and_leaves_the_journal_to_the_next(tmp_path: Path) -> None:
    gateway = subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path / "w0")], stdout=subprocess.PIPE, text=True)
    assert gateway.stdout is not None
    pid, problem = gateway.stdout.readline().split()
    assert problem == "None"
    gateway.kill()
    run(tmp_path, written_one)  # at once: the old process may still be about to end
    gateway.wait()
    gateway.stdout.close()
    until = time.monotonic() + 10
    while not gone(int(pid)):
        assert time.monotonic() < until
        time.sleep(0.01)
    assert read(tmp_path) == ["a", "one"]


def test_an_answer_comes_in_pieces(tmp_path: Path) -> None:
    told = [GroupAnswer(None, 0.25), GroupAnswer(IntegrityError("é"), 0.5), GroupAnswer(AnewError("odd"), 1.0)]
    received, found = bytearray(), list[GroupAnswer]()
    for byte in b"".join(each.told() for each in told):
        received.append(byte)
        said = unframed(received)
        if said is not None:
            found.append(said)
    assert [(type(each.problem), str(each.problem or ""), each.took_s) for each in found] == [
        (type(None), "", 0.25),
        (IntegrityError, "é", 0.5),
        (UnavailableError, "odd", 1.0),
    ]


def test_each_process_is_told_up_to_where_its_records_are_stored(tmp_path: Path) -> None:
    stored = iter([7, 11])

    async def story() -> None:
        journal = JournalProcess(tmp_path / "w0", stored=lambda: next(stored))
        await journal.open()
        await written(journal, [label("a")])
        await killed(journal)
        await written(journal, [label("b")])
        await journal.close()

    with asyncio.Runner() as runner:
        runner.run(story())
    assert [path.name for path in sorted((tmp_path / "w0").glob("*.seg"))] == [f"{8:020d}.seg", f"{12:020d}.seg"]
    assert [each.id for each in SegmentReader(tmp_path).read("w0", after=11, most=9).observations] == ["b"]
