"""The stream of news: what is recorded, in order, for as long as the session is good."""

from collections.abc import Sequence
from datetime import UTC, datetime

import anyio
import pytest

from anew.dashboard import stream
from anew.dashboard.web import _Web
from anew.domain.facts import Ticked
from anew.ports.eventlog import Recorded
from tests.dashboard.story import ToldSource, dashboard_over, story

AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.fault("U3")
def test_a_session_that_is_over_ends_the_stream_of_a_busy_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_LOOK_S", 0.01)
    monkeypatch.setattr(stream, "BEAT_S", 0.05)
    asked: list[int] = []

    async def news(after: int) -> Sequence[Recorded]:
        return [Recorded(seq=after + 1, recorded_at=AT, fact=Ticked(model="m", at=AT, wall=AT).caused_by(""))]

    async def is_good() -> bool:
        asked.append(1)
        return len(asked) < 3

    async def heard() -> list[bytes]:
        with anyio.fail_after(10):
            return [each async for each in stream.events(0, news, is_good)]

    found = anyio.run(heard)
    assert len(asked) == 3
    assert [each.split(b"\n")[0] for each in found[1:4]] == [b"id: 1", b"id: 2", b"id: 3"]


def test_whoever_asks_from_the_beginning_of_a_long_record_gets_it_some_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("anew.dashboard.web._MOST_NEWS", 30)
    web, found = _Web(dashboard_over(ToldSource(story("x"), "x"))), list[int]()
    while news := web._news(found[-1] if found else 0):
        assert len(news) <= 30
        found += [each.seq for each in news]
    assert found == list(range(1, len(story("x")) + 1))
