"""Group commit on the event loop."""

import asyncio
import threading
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from anew.domain.errors import UnavailableError
from anew.domain.observation import Label, Observation, ShadowAnswer
from anew.gateway.commit import GroupCommit
from anew.ports.journal import Written
from anew.testing.fake_journal import FakeJournal
from anew.testing.journal_thread import JournalThread

AT = datetime(2026, 1, 1, tzinfo=UTC)


def label(name: str) -> Label:
    return Label(id=name, model="m", prediction="p", at=AT, received_at=AT, value=1)


class Slow(FakeJournal):
    """Waits in its first commit until told to go on."""

    gate = threading.Event()
    begun = False

    def append(self, observations: Sequence[Observation | ShadowAnswer]) -> int:
        """Wait, then keep."""
        self.begun = True
        assert self.gate.wait(20)
        return FakeJournal.append(self, observations)


def test_who_comes_in_one_turn_or_during_a_sync_shares_one() -> None:
    journal = Slow()
    journal.gate = threading.Event()

    async def story() -> None:
        commit = GroupCommit(JournalThread(journal))
        first = [asyncio.ensure_future(commit.append([label(f"a{i}")])) for i in range(10)]
        await asyncio.sleep(0.01)
        second = [asyncio.ensure_future(commit.append([label(f"b{i}")])) for i in range(10)]
        await asyncio.sleep(0.01)
        assert not any(task.done() for task in first + second)
        journal.gate.set()
        await asyncio.gather(*first, *second)
        await commit.close()

    asyncio.run(story())
    assert journal.commits == 2
    assert [record.id for record in journal.records if isinstance(record, Label)] == [
        f"{part}{i}" for part in "ab" for i in range(10)
    ]
    assert journal.closed


def test_a_refusal_reaches_everyone_who_waits_and_service_resumes() -> None:
    journal = FakeJournal(problem="full")

    async def story() -> None:
        commit = GroupCommit(JournalThread(journal))
        commit.later([label("nobody waits"), label("nor here")])
        with pytest.raises(UnavailableError, match="full"):
            await commit.append([label("a")])
        assert (commit.unsaved, commit.problem) == (2, "full")
        journal.problem = ""
        await commit.append([label("b")])
        assert commit.problem == ""
        await commit.close()

    asyncio.run(story())
    assert [record.id for record in journal.records if isinstance(record, Label)] == ["b"]


class Unsendable(JournalThread):
    """Cannot send what is called so."""

    def write(self, records: Sequence[Observation | ShadowAnswer], told: Written) -> None:
        """Write, or raise."""
        if any(isinstance(each, Label) and each.id == "unsendable" for each in records):
            raise TypeError("no bytes for it")
        JournalThread.write(self, records, told)


def test_a_group_that_cannot_be_sent_is_told_and_the_next_one_goes_on() -> None:
    journal = FakeJournal()

    async def story() -> None:
        commit = GroupCommit(Unsendable(journal))
        with pytest.raises(TypeError, match="no bytes"):
            await asyncio.wait_for(commit.append([label("unsendable")]), 20)
        await asyncio.wait_for(commit.append([label("a")]), 20)
        await asyncio.wait_for(commit.close(), 20)

    asyncio.run(story())
    assert [each.id for each in journal.records if isinstance(each, Label)] == ["a"]


class Strict(FakeJournal):
    """Takes nothing once it is closed."""

    def append(self, observations: Sequence[Observation | ShadowAnswer]) -> int:
        """Keep."""
        assert not self.closed
        return FakeJournal.append(self, observations)


def test_what_is_entered_by_the_turn_of_closing_is_written_before_it() -> None:
    journal = Strict()

    async def story() -> None:
        commit = GroupCommit(JournalThread(journal))
        asyncio.get_running_loop().call_soon(commit.later, [label("left behind")])
        await commit.close()
        assert commit.unsaved == 0

    asyncio.run(story())
    assert (len(journal.records), journal.closed) == (1, True)


def test_closing_waits_for_what_was_entered() -> None:
    journal = FakeJournal()

    async def story() -> None:
        commit = GroupCommit(JournalThread(journal))
        commit.later([label("a")])
        await commit.close()

    asyncio.run(story())
    assert len(journal.records) == 1


def test_after_a_slow_sync_those_who_were_told_and_come_again_share_the_next() -> None:
    journal = Slow()
    journal.gate = threading.Event()

    async def story() -> None:
        commit = GroupCommit(JournalThread(journal))

        async def twice() -> None:
            await commit.append([label("a1")])
            await commit.append([label("a2")])

        first = asyncio.ensure_future(twice())
        while not journal.begun:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.005)  # a slow disk
        assert commit.waiting_s >= 0.005
        second = asyncio.ensure_future(commit.append([label("b")]))
        await asyncio.sleep(0)
        journal.gate.set()
        await asyncio.gather(first, second)
        await commit.close()

    asyncio.run(story())
    assert journal.commits == 2
    assert len(journal.records) == 3


def test_what_is_to_be_done_meanwhile_is_done_while_the_disk_is_at_it_whatever_it_comes_to() -> None:
    journal = Slow(problem="full")
    journal.gate = threading.Event()
    heard: list[str] = []

    async def story() -> None:
        commit = GroupCommit(JournalThread(journal))
        ended = asyncio.get_running_loop().create_future()

        def told(problem: BaseException | None) -> None:
            heard.append(str(problem))
            ended.set_result(None)

        commit.enter([label("a")], told, lambda: heard.append("meanwhile"))
        await asyncio.sleep(0.01)
        assert heard == ["meanwhile"]
        journal.gate.set()
        await ended
        await commit.close()

    asyncio.run(story())
    assert heard == ["meanwhile", "full"]
