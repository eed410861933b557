"""Event time never runs backwards and follows no step at once."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from anew.adapters.memory import InMemoryLease, ManualClock
from anew.domain.facts import RetrainRequested, Ticked, VersionPromoted
from anew.gateway.identity import prediction_id
from anew.loop.event_clock import PATIENCE_S, EventClock
from anew.trigger import Trigger
from anew.trigger.every import Every

pytestmark = pytest.mark.fault("L7")

START = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)
H = timedelta(hours=1)


def made() -> tuple[ManualClock, EventClock]:
    clock = ManualClock(START)
    return clock, EventClock(clock)


def test_an_ordinary_clock_is_event_time() -> None:
    clock, event = made()
    for seconds in (0.1, 5.0, 3600.0):
        clock.advance(seconds)
        clock.step(timedelta(seconds=0.5))  # slewed by a daemon
        assert event.now() == clock.now()
    assert event.steps() == ()


def test_a_clock_that_steps_a_day_ahead_and_back_moves_nothing() -> None:
    clock, event = made()
    clock.step(24 * H)
    clock.advance(60)
    assert event.now() == START + timedelta(seconds=60)
    assert event.steps() == (24 * H,)
    clock.step(-24 * H)
    clock.advance(60)
    assert event.now() == START + timedelta(seconds=120)
    assert event.steps() == ()


def test_a_clock_that_stays_ahead_is_followed_after_a_while() -> None:
    clock, event = made()
    clock.step(24 * H)
    event.now()
    clock.advance(PATIENCE_S)
    assert event.now() == clock.now()
    assert event.steps() == (24 * H,)


def test_a_clock_that_is_set_back_lets_event_time_stand_and_never_turns_it() -> None:
    clock, event = made()
    clock.step(-1 * H)
    shown = [event.now()]
    for _ in range(90):
        clock.advance(60)
        shown.append(event.now())
    assert shown == sorted(shown)
    assert shown[-1] == clock.now()
    assert event.steps() == (-1 * H,)


def test_a_clock_that_is_behind_the_record_at_the_beginning_is_one_that_was_set_back() -> None:
    clock = ManualClock(START)
    since = START + 24 * H
    event = EventClock(clock, since)
    shown = [event.now()]
    assert event.steps() == (-24 * H,)
    for _ in range(25 * 60):
        clock.advance(60)
        shown.append(event.now())
    assert shown[0] == since
    assert shown == sorted(shown)
    assert shown[-1] == clock.now()
    assert shown.count(since) > 24 * 60 - 2, "it stands at once"
    assert event.steps() == ()


def test_however_often_a_process_begins_behind_the_record_event_time_gains_no_lead() -> None:
    clock = ManualClock(START)
    since = START + H
    for _ in range(5):
        event = EventClock(clock, since)
        for _ in range(5):
            clock.advance(60)
            assert event.now() == since
        since = event.now()


@pytest.mark.parametrize("behind", [timedelta(seconds=1), timedelta(0), -24 * H, None])
def test_a_clock_that_is_hardly_behind_the_record_or_ahead_of_it_is_believed(behind: timedelta | None) -> None:
    clock = ManualClock(START)
    since = None if behind is None else START + behind
    event = EventClock(clock, since)
    assert event.now() == max(START, since or START)
    clock.advance(2)
    assert event.now() == clock.now()
    assert event.steps() == ()


def asked(clock: ManualClock, read: EventClock | ManualClock, steps: dict[int, timedelta]) -> list[datetime]:
    """Tick each minute for six hours while the clock steps; return for which instants a retrain was asked for."""
    trigger = Trigger(schedules=(Every(length=H),))
    promoted = VersionPromoted(model="m", at=START, version="v1", digest="d", previous="", evidence=(), reason="")
    state = trigger.apply(trigger.initial(), promoted)
    intended = []
    for minute in range(6 * 60):
        clock.advance(60)
        clock.step(steps.get(minute, timedelta(0)))
        at = read.now()
        tick = Ticked(model="m", at=at, wall=clock.now())
        state = trigger.apply(state, tick)
        for fact in trigger.decide(state, tick):
            state = trigger.apply(state, fact)
            intended.append(fact.intended)  # type: ignore[attr-defined]  # a decision about a schedule
            assert isinstance(fact, RetrainRequested) or fact.reason  # type: ignore[attr-defined]  # withheld: one is under way
    return intended


@pytest.mark.parametrize(
    "steps", [{100: -H}, {100: 24 * H, 105: -24 * H}, {100: 24 * H, 103: -25 * H}, {50: -H, 200: H}, {}]
)
def test_a_schedule_comes_neither_twice_nor_too_few_times_through_steps(steps: dict[int, timedelta]) -> None:
    clock, event = made()
    intended = asked(clock, event, steps)
    hours = [START.replace(hour=13 + i, minute=0) for i in range(6)]
    assert len(set(intended)) == len(intended)
    assert intended == hours[: len(intended)]
    assert len(intended) >= 5, "an hour that the clock went back is still to come"


def test_without_doubt_a_step_ahead_would_lose_a_day_of_schedules() -> None:
    """The negative control: what reads the wall clock asks for tomorrow's instant, and then for none until then."""
    clock, _ = made()
    intended = asked(clock, clock, {100: 24 * H, 105: -24 * H})
    assert len(intended) == 3
    assert intended[-1].date() == (START + 24 * H).date()


def test_a_lease_is_not_lost_for_ever_to_a_clock_that_was_set_back() -> None:
    clock = ManualClock(START)
    lease = InMemoryLease(clock)
    first = lease.acquire("one", 10.0)
    assert first is not None
    clock.step(-1 * H)
    assert lease.acquire("two", 10.0) is None
    clock.advance(11)
    assert lease.acquire("two", 10.0) is not None


def test_ids_stay_unique_though_the_same_instants_come_twice() -> None:
    chance = Random(3)
    instants = [START + timedelta(milliseconds=chance.randrange(100)) for _ in range(5000)]
    assert len({prediction_id(at) for at in [*instants, *instants]}) == 10_000
