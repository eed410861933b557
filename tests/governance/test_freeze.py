"""Freezes hold by the clocks of their zone, also when those are put forward or back."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter  # type: ignore[import-untyped]  # it ships no types

from anew.app.governing import parse_freeze
from anew.domain.errors import InvariantError, SettingsError
from anew.governance.freeze import Freeze, Once

WEEKEND = "Fri 16:00 - Mon 08:00 Europe/Berlin"
BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("freeze", "wall", "until"),
    [
        (WEEKEND, "2026-01-09 14:59", None),
        (WEEKEND, "2026-01-09 15:00", "2026-01-12 07:00"),  # winter: an hour before UTC
        (WEEKEND, "2026-01-12 06:59", "2026-01-12 07:00"),
        (WEEKEND, "2026-01-12 07:00", None),
        (WEEKEND, "2026-07-10 13:59", None),
        (WEEKEND, "2026-07-10 14:00", "2026-07-13 06:00"),  # summer: two hours
        (WEEKEND, "2026-03-27 15:00", "2026-03-30 06:00"),  # it begins in winter and ends in summer
        (WEEKEND, "2026-03-30 06:00", None),
        (WEEKEND, "2026-10-23 14:00", "2026-10-26 07:00"),  # and the other way round
        ("Sat 00:00 - Sun 02:30 Europe/Berlin", "2026-10-25 01:29", "2026-10-25 01:30"),  # 02:30 comes twice
        ("Sun 02:30 - Sun 04:00 Europe/Berlin", "2026-10-25 00:30", "2026-10-25 03:00"),
        ("Sun 02:30 - Sun 04:00 Europe/Berlin", "2026-03-29 00:30", "2026-03-29 02:00"),  # 02:30 never comes
        ("2026-03-27 00:00 - 2026-03-29 02:30 Europe/Berlin", "2026-03-29 01:29", "2026-03-29 01:30"),
        ("2026-03-29 02:30 - 2026-03-29 12:00 Europe/Berlin", "2026-03-29 00:30", "2026-03-29 10:00"),
        ("Mon 08:00 - Fri 16:00", "2026-01-07 00:00", "2026-01-09 16:00"),
        ("Mon 08:00 - Fri 16:00", "2026-01-10 00:00", None),
        ("Mon 12:00 - Mon 08:00", "2026-01-11 00:00", "2026-01-12 08:00"),  # all week but four hours
        ("Mon 12:00 - Mon 08:00", "2026-01-12 09:00", None),
        ("2026-12-20 00:00 - 2027-01-04 08:00 Europe/Berlin", "2026-12-19 23:00", "2027-01-04 07:00"),
        ("2026-12-20 00:00 - 2027-01-04 08:00 Europe/Berlin", "2026-12-19 22:59", None),
        ("2026-12-20 00:00 - 2027-01-04 08:00 Europe/Berlin", "2027-01-04 07:00", None),
    ],
)
@pytest.mark.fault("L8")
def test_a_freeze_holds_by_the_clocks_of_its_zone(freeze: str, wall: str, until: str | None) -> None:
    assert parse_freeze(freeze).until(at(wall)) == (None if until is None else at(until))


@pytest.mark.fault("L8")
def test_a_year_of_weekends_begins_and_ends_when_cron_says() -> None:
    """Each change over a year, hour by hour, beside another reading of the same local times."""
    freeze, changes, frozen = parse_freeze(WEEKEND), [], None
    wall = at("2026-01-05 00:00")
    while wall < at("2027-01-04 00:00"):
        now = freeze.until(wall) is not None
        if frozen is not None and now != frozen:
            changes.append(wall)
        frozen, wall = now, wall + timedelta(hours=1)
    expected = []
    for expression in ("0 16 * * FRI", "0 8 * * MON"):
        walk = croniter(expression, datetime(2026, 1, 5))  # noqa: DTZ001  local time, on purpose
        while (local := walk.get_next(datetime)) < datetime(2027, 1, 4):  # noqa: DTZ001  likewise
            expected.append(local.replace(tzinfo=BERLIN).astimezone(UTC))
    assert changes == sorted(expected)
    assert len(changes) > 100


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("weekends", "is no freeze; write e.g. Fri 16:00"),
        ("Fri 16:00", "is no freeze"),
        ("Fry 16:00 - Mon 08:00", "'Fry' is no day"),
        ("Fri 25:00 - Mon 08:00", "hour must be in 0..23"),
        ("Fri 16:00 - Mon 08:00 Mars/Olympus", "'Mars/Olympus' is no time zone"),
        ("2026-02-30 00:00 - 2026-03-01 00:00", "day"),
    ],
)
def test_what_is_no_freeze_is_refused(text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        parse_freeze(text)


def test_a_freeze_without_end_or_of_no_time_is_refused() -> None:
    with pytest.raises(InvariantError, match="nothing would ever be promoted"):
        Freeze(name="x", start_day=0, start=time(8), end_day=0, end=time(8), zone=UTC)
    with pytest.raises(InvariantError, match="ends before it begins"):
        Once(name="x", start=at("2026-01-02"), end=at("2026-01-01"))
    with pytest.raises(InvariantError, match="0 for Monday"):
        Freeze(name="x", start_day=7, start=time(8), end_day=0, end=time(8), zone=UTC)
