"""Who may join the queue, and who is turned away."""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from anew.domain.column import Value
from anew.domain.observation import Answer
from anew.gateway.admission import Admission
from anew.testing.fake_journal import FakeJournal
from anew.testing.fake_predictor import FakePredictor
from tests.gateway.test_app import ROW, SETTINGS, call, make, serving

BODY = json.dumps({"row": ROW}).encode()


class Slow(FakePredictor):
    """Takes two milliseconds for a row."""

    def answer(self, rows: Sequence[Mapping[str, Value]]) -> Sequence[Answer]:
        """Answer, after a while."""
        time.sleep(0.002 * len(rows))
        return FakePredictor.answer(self, rows)


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


def test_slow_rows_are_taken_few_at_a_time() -> None:
    queue = Admission(longest_s=1)
    assert queue.most_rows == 256
    queue.served(1, 0.002)
    assert queue.most_rows == 5
    queue.served(1, 10)
    assert queue.most_rows == 1


@pytest.mark.fault("S8")
def test_of_more_than_can_be_answered_in_time_the_newest_are_turned_away_and_then_all_is_well_again() -> None:
    journal = FakeJournal()
    app = make(journal, Slow(version="v1", digest="d"), replace(SETTINGS, queue_ms=20.0))

    async def story() -> None:
        assert (await call(app, "/predict", BODY))[0] == 200
        replies = await asyncio.gather(*(call(app, "/predict", BODY) for _ in range(100)))
        codes = [status for status, _ in replies]
        assert set(codes) == {200, 503}
        assert 5 <= codes.count(200) <= 30
        assert codes == sorted(codes)  # who came first is answered
        assert replies[-1][1]["error"]["code"] == "overloaded"
        assert (await call(app, "/predict", BODY))[0] == 200
        assert serving(app).counts["overloaded"] == codes.count(503)
        assert len(journal.records) == codes.count(200) + 2

    asyncio.run(story())


def test_control_without_admission_all_of_them_wait() -> None:
    app = make(FakeJournal(), Slow(version="v1", digest="d"), replace(SETTINGS, queue_ms=1e9))

    async def story() -> None:
        replies = await asyncio.gather(*(call(app, "/predict", BODY) for _ in range(100)))
        assert {status for status, _ in replies} == {200}

    asyncio.run(story())


def test_a_request_whose_deadline_has_passed_is_not_computed() -> None:
    journal = FakeJournal()
    app = make(journal, Slow(version="v1", digest="d"), replace(SETTINGS, queue_ms=1e9))

    async def story() -> None:
        hasty = {b"x-request-timeout-ms": b"0"}
        replies: list[tuple[int, Any]] = await asyncio.gather(
            *(call(app, "/predict", BODY) for _ in range(3)), call(app, "/predict", BODY, headers=hasty)
        )
        assert [status for status, _ in replies] == [200, 200, 200, 504]
        assert len(journal.records) == 3
        assert (await call(app, "/predict", BODY, headers={b"x-request-timeout-ms": b"60000"}))[0] == 200
        for wrong in (b"-1", b"1.5", b"soon", b"", b"9" * 30):
            assert (await call(app, "/predict", BODY, headers={b"x-request-timeout-ms": wrong}))[0] == 400

    asyncio.run(story())
