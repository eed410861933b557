"""Cron schedules: each intended local time once, also where the clock is put forward or back."""

from datetime import UTC, datetime, timedelta

import pytest

from anew.adapters.cron_schedule import CronSchedule
from anew.domain.errors import SettingsError


def fired(schedule: CronSchedule, start: datetime, end: datetime, step: timedelta) -> list[str]:
    """Return the intended instants of a walk, each with when the walk noticed it."""
    last, at, found = start, start, []
    while at < end:
        due = schedule.due(last, at)
        if due is not None:
            assert due <= at < due + step
            found.append(due.strftime("%d %H:%M"))
            last = due
        at += step
    return found


@pytest.mark.fault("L8")
def test_a_time_that_comes_twice_counts_once() -> None:
    schedule = CronSchedule(expression="30 2 * * *", zone="Europe/Berlin")
    start, end = datetime(2026, 10, 24, tzinfo=UTC), datetime(2026, 10, 27, tzinfo=UTC)
    assert fired(schedule, start, end, timedelta(minutes=10)) == ["24 00:30", "25 00:30", "26 01:30"]


@pytest.mark.fault("L8")
def test_a_time_that_does_not_come_counts_once_after_the_jump() -> None:
    schedule = CronSchedule(expression="30 2 * * *", zone="Europe/Berlin")
    start, end = datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 3, 31, tzinfo=UTC)
    assert fired(schedule, start, end, timedelta(minutes=10)) == ["28 01:30", "29 01:30", "30 00:30"]


@pytest.mark.parametrize(
    ("expression", "days"),
    [("0 3 * * MON", ["05", "12", "19", "26"]), ("0 3 1 * *", ["01"]), ("0 3 31 1 *", ["31"])],
)
def test_weekly_monthly_and_yearly(expression: str, days: list[str]) -> None:
    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    found = fired(CronSchedule(expression=expression), start, end, timedelta(hours=1))
    assert found == [f"{day} 03:00" for day in days]


def test_what_was_missed_is_due_once() -> None:
    schedule = CronSchedule(expression="0 3 * * *")
    until = datetime(2026, 1, 9, 12, tzinfo=UTC)
    assert schedule.due(datetime(2026, 1, 1, tzinfo=UTC), until) == datetime(2026, 1, 9, 3, tzinfo=UTC)
    assert schedule.due(datetime(2026, 1, 9, 3, tzinfo=UTC), until) is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"expression": "* * * * *"}, "more than once an hour"),
        ({"expression": "0 3 * *"}, "write minute hour day month weekday"),
        ({"expression": "61 3 * * *"}, "is no cron expression"),
        ({"expression": "R 3 * * *"}, "is no cron expression"),
        ({"expression": "0 R(1-5) * * *"}, "is no cron expression"),
        ({"expression": "@daily"}, "is no cron expression"),
        ({"expression": "0 3 30 2 *"}, "there is no such day"),
        ({"expression": "0 3 * * *", "zone": "Berlin"}, "'Berlin' is no time zone"),
        ({"expression": "0 3 * * *", "zone": "../etc/passwd"}, "is no time zone"),
    ],
)
def test_what_could_never_be_kept_is_refused(given: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        CronSchedule(**given)  # type: ignore[arg-type]  # text all
