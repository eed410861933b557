"""Who may join the queue, and who is turned away."""

import asyncio
import json
import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from anew.gateway.admission import Admission
from anew.gateway.refusal import RefusedError
from anew.gateway.row import RequestRow
from anew.gateway.serving import Answered
from anew.testing.fake_journal import FakeJournal
from tests.gateway.test_app import NOW, ROW, SETTINGS, Held, call, champion, make, serving

BODY = json.dumps({"row": ROW}).encode()


def test_the_queue_is_as_long_as_its_last_row_can_wait() -> None:
    queue = Admission(longest_s=0.1)
    assert queue.admits(0)
    queue.served(10, 0.1)
    queue.rows = 10
    assert queue.admits(0.1)
    assert not queue.admits(0.11)
    queue.rows = 11
    assert not queue.admits(0)
    queue.rows = 0
    assert queue.admits(99)  # else it would never learn that serving has become fast again
    for _ in range(60):
        queue.served(100, 0.01)
    queue.rows = 900
    assert queue.admits(0)


def test_few_may_wait_for_a_stall_and_many_may_not() -> None:
    queue = Admission(longest_s=0.1)
    queue.served(100, 0.005)  # 200 at once
    queue.rows = 199
    assert queue.admits(0.79)
    assert not queue.admits(0.81)
    queue.rows = 200
    assert queue.admits(0.1)
    assert not queue.admits(0.11)


def test_slow_rows_are_taken_few_at_a_time() -> None:
    queue = Admission(longest_s=1)
    assert queue.most_rows == 256
    queue.served(1, 0.002)
    assert queue.most_rows == 5
    queue.served(1, 10)
    assert queue.most_rows == 1
    for _ in range(20):
        queue.served(1, 0.002)
    assert 4 <= queue.most_rows <= 5


def burst(queue_ms: float) -> tuple[list[int], FakeJournal]:
    """Send 100 requests at once to a gateway that has learnt that a row takes it 200 ms, and one when all is over."""
    journal = FakeJournal()
    app = make(journal, settings=replace(SETTINGS, queue_ms=queue_ms))
    serving(app).admission.row_s = 0.2

    async def story() -> list[int]:
        replies = await asyncio.gather(*(call(app, "/predict", BODY) for _ in range(100)))
        codes = [status for status, _ in replies]
        assert {body["error"]["code"] for status, body in replies if status != 200} <= {"overloaded"}
        assert serving(app).counts["overloaded"] == codes.count(503)
        assert (await call(app, "/predict", BODY))[0] == 200
        return codes

    return asyncio.run(story()), journal


@pytest.mark.fault("S8")
def test_of_more_than_can_be_answered_in_time_the_newest_are_turned_away_and_then_all_is_well_again() -> None:
    codes, journal = burst(2100.0)
    assert codes == [200] * 11 + [503] * 89
    assert len(journal.records) == 12


@pytest.mark.fault("S8")
def test_control_without_admission_all_of_them_wait() -> None:
    assert burst(1e9)[0] == [200] * 100


@pytest.mark.fault("S6")
@pytest.mark.parametrize(("callers", "refused"), [(4, 0), (300, 300)], ids=["few", "control: many"])
def test_a_disk_that_stalls_turns_nobody_away_where_few_wait(callers: int, refused: int) -> None:
    Held.free = threading.Event()
    app = make(Held(), settings=replace(SETTINGS, queue_ms=20.0))
    serving(app).admission.row_s = 0.00001

    async def story() -> list[int]:
        first = asyncio.ensure_future(call(app, "/predict", BODY))
        while serving(app).commit.waiting_s < 0.03:  # longer than anybody should have to wait for a turn
            await asyncio.sleep(0.001)
        serving(app).admission.rows = callers - 4  # as many as had come before
        serving(app).commit.since = time.perf_counter() - 0.03  # however busy this machine is
        asked = [asyncio.ensure_future(call(app, "/predict", BODY)) for _ in range(max(callers, 4))]
        await asyncio.sleep(0.001)
        Held.free.set()
        return [status for status, _ in await asyncio.gather(first, *asked)]

    assert asyncio.run(story()).count(503) == refused


def test_a_request_whose_deadline_has_passed_is_not_computed() -> None:
    journal = FakeJournal()
    app = make(journal)

    async def story() -> None:
        hasty = {b"x-request-timeout-ms": b"0"}
        replies: list[tuple[int, Any]] = await asyncio.gather(
            *(call(app, "/predict", BODY) for _ in range(3)), call(app, "/predict", BODY, headers=hasty)
        )
        assert [status for status, _ in replies] == [200, 200, 200, 504]
        assert len(journal.records) == 3
        named = json.dumps({"row": ROW, "ids": ["mine"]}).encode()
        assert [(await call(app, "/predict", named, headers=each))[0] for each in (hasty, {})] == [504, 200]
        assert len(journal.records) == 4
        assert (await call(app, "/predict", BODY, headers={b"x-request-timeout-ms": b"60000"}))[0] == 200
        for wrong in (b"-1", b"1.5", b"soon", b"", b"1000000000"):
            status, said = await call(app, "/predict", BODY, headers={b"x-request-timeout-ms": wrong})
            assert status == 400
            assert "up to 999999999" in said["error"]["message"]

    asyncio.run(story())


def row() -> RequestRow:
    """Return a row as a parser makes it."""
    return RequestRow(values={"amount": 1.0, "shop": "a", "count": 1.0}, at=NOW, timed=False)


def as_it_is(answered: Answered) -> Answered:
    return answered


def test_who_fails_when_told_keeps_nobody_else_waiting() -> None:
    app = make(FakeJournal())
    app.endpoints[0].serving.switch.route = None

    def raises(_: object) -> None:
        raise RuntimeError("a defect")

    async def story() -> tuple[int, Any]:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        serving(app).enter([row()], as_it_is, raises)
        await asyncio.sleep(0.01)
        return await asyncio.wait_for(call(app, "/predict", BODY), 20)

    assert asyncio.run(story())[0] == 503  # there is no model


def test_those_for_whom_a_turn_has_no_room_are_answered_though_nothing_was_written_in_it() -> None:
    app = make(FakeJournal(), champion("raise"))
    serving(app).admission.row_s = 0.005  # so a turn takes two

    async def story() -> list[int]:
        asked = (call(app, "/predict", BODY) for _ in range(5))
        return [status for status, _ in await asyncio.wait_for(asyncio.gather(*asked), 20)]

    assert asyncio.run(story()) == [500] * 5


def test_a_request_that_follows_on_an_expired_one_finds_the_queue_as_it_is() -> None:
    app = make(FakeJournal())
    serving(app).admission.row_s = 0.2  # more than one row would wait too long
    heard = list[str]()

    async def story() -> None:
        ended = asyncio.get_running_loop().create_future()

        def expired(outcome: Answered | RefusedError) -> None:
            heard.append(outcome.code if isinstance(outcome, RefusedError) else "answered")
            serving(app).enter([row()], as_it_is, ended.set_result)

        serving(app).enter([row(), row()], as_it_is, expired, within_s=-1)
        heard.append("answered" if not isinstance(await asyncio.wait_for(ended, 20), RefusedError) else "refused")

    asyncio.run(story())
    assert heard == ["deadline", "answered"]


@pytest.mark.parametrize("defect", [False, True])
def test_what_is_said_is_made_once_while_the_disk_is_at_it_and_a_defect_in_it_is_a_500(defect: bool) -> None:
    Held.free = threading.Event()
    app = make(Held())
    made, heard = list[bool](), list[object]()

    def show(answered: Answered) -> str:
        made.append(Held.free.is_set())
        if defect:
            raise RuntimeError("a defect")
        return f"{len(answered[1])} answered"

    async def story() -> None:
        ended = asyncio.get_running_loop().create_future()

        def done(outcome: str | RefusedError) -> None:
            heard.append(outcome.code if isinstance(outcome, RefusedError) else outcome)
            ended.set_result(None)

        serving(app).enter([row()], show, done)
        while not made:
            await asyncio.sleep(0.001)
        assert not heard
        Held.free.set()
        await asyncio.wait_for(ended, 20)

    asyncio.run(story())
    assert (made, heard) == ([False, True], ["internal"]) if defect else (made, heard) == ([False], ["1 answered"])
