"""Schedules written as cron expressions in a time zone (croniter)."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from croniter import CroniterBadDateError, croniter  # type: ignore[import-untyped]  # it ships no types

from anew.domain.errors import SettingsError

__all__ = ["CronSchedule"]

_MOST_STEPS = 10
"""Candidates looked at from two hours after the end backwards; every minute would need 120, and is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CronSchedule:
    """Intends a retrain at the local times of a cron expression of five fields: minute hour day month weekday.

    Every intended local time counts once: where the clock is put back and a time comes twice, the first; where it is
    put forward over a time, that long after the jump. What was missed while nothing ran is made up for once.

    Raises
    ------
    SettingsError
        The expression or the zone is none, or it comes more than once an hour.
    """

    expression: str
    zone: str = "UTC"
    past_cooldown: bool = False

    def __post_init__(self) -> None:
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
            raise SettingsError(
                f"{self.zone!r} is no time zone; write one of the tz database, e.g. Europe/Berlin"
            ) from exc
        drawn = re.search(r"(?<![A-Z])[RH](?![A-Z])", self.expression.upper())  # croniter's: another time at each look
        if len(self.expression.split()) != 5 or drawn or not croniter.is_valid(self.expression):
            raise SettingsError(
                f"{self.expression!r} is no cron expression; write minute hour day month weekday, e.g. '0 3 * * MON'"
            )
        walk = croniter(self.expression, datetime(2024, 1, 1))  # noqa: DTZ001  local time, on purpose
        try:
            first = [walk.get_next(datetime) for _ in range(30)]
        except CroniterBadDateError as exc:
            raise SettingsError(f"cron {self.expression!r} never comes: there is no such day") from exc
        if min(b - a for a, b in pairwise(first)) < timedelta(hours=1):
            raise SettingsError(
                f"cron {self.expression!r} comes more than once an hour, which no retraining keeps up with"
            )

    @property
    def name(self) -> str:
        """``cron EXPRESSION ZONE``."""
        return f"cron {self.expression} {self.zone}"

    def due(self, after: datetime, until: datetime) -> datetime | None:
        """Return the last intended instant in ``(after, until]``, None when there is none."""
        zone = ZoneInfo(self.zone)
        local = until.astimezone(zone).replace(tzinfo=None) + timedelta(hours=2)
        walk = croniter(self.expression, local)
        for _ in range(_MOST_STEPS):
            at: datetime = walk.get_prev(datetime).replace(tzinfo=zone, fold=0).astimezone(UTC)
            if at <= until:
                return at if at > after else None
        raise AssertionError(f"{self.name} comes too often")
