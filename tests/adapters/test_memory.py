"""The clock that is moved by hand, and steps that run where they stand."""

from datetime import UTC, datetime, timedelta

import pytest

from anew.adapters.memory import InlineSteps, ManualClock
from anew.domain.errors import InvariantError

START = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_manual_clock_stands_still_until_it_is_moved() -> None:
    clock = ManualClock(START)
    assert (clock.now(), clock.now()) == (START, START)
    clock.advance(90.0)
    assert clock.now() == START + timedelta(seconds=90)
    assert clock.monotonic() == 90.0
    clock.set(START + timedelta(hours=1))
    assert clock.monotonic() == 3600.0


def test_set_back_its_monotonic_reading_stays() -> None:
    clock = ManualClock(START)
    clock.advance(100.0)
    clock.advance(-50.0)
    assert clock.now() == START + timedelta(seconds=50)
    assert clock.monotonic() == 100.0


def test_a_manual_clock_begins_in_a_time_zone() -> None:
    with pytest.raises(InvariantError, match="without a time zone"):
        ManualClock(datetime(2026, 1, 1))  # noqa: DTZ001 - what is refused


def test_inline_steps_run_each_in_its_turn() -> None:
    clock = ManualClock(START)
    steps = InlineSteps(sleep_s=clock.advance)
    assert [steps.run("poll", lambda n=n: str(n)) for n in range(3)] == ["0", "1", "2"]  # type: ignore[misc]  # bound now
    steps.sleep(30.0)
    assert clock.monotonic() == 30.0


def test_inline_steps_resume_where_a_planted_crash_left_them() -> None:
    calls: list[str] = []

    def effect(steps: InlineSteps, *, crash: bool) -> str:
        first = steps.run("submit", lambda: calls.append("submit") or "job")  # type: ignore[func-returns-value]  # it returns None, and then comes the text
        if crash:
            raise KeyboardInterrupt
        return first + steps.run("collect", lambda: calls.append("collect") or "ed")  # type: ignore[func-returns-value]  # it returns None, and then comes the text

    before = InlineSteps()
    with pytest.raises(KeyboardInterrupt):
        effect(before, crash=True)
    assert effect(InlineSteps(done=before.done), crash=False) == "jobed"
    assert calls == ["submit", "collect"]
