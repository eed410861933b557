"""Freeze: times of the week, or once, in which nothing is promoted."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo

from anew.domain.errors import InvariantError

__all__ = ["Freeze", "Once", "instants"]

_WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze:
    """A part of every week, by the clocks of a zone.

    Where clocks are put forward or back over its start or end, it lasts as long as it can be read to last.

    Parameters
    ----------
    name
        How it stands in the policy.
    start_day, end_day
        Days of the week, 0 for Monday; an end before the start lies in the week after.

    Examples
    --------
    >>> night = Freeze(name="n", start_day=4, start=time(16), end_day=0, end=time(8), zone=UTC)
    >>> night.until(datetime(2024, 3, 30, tzinfo=UTC))
    datetime.datetime(2024, 4, 1, 8, 0, tzinfo=datetime.timezone.utc)
    """

    name: str
    start_day: int
    start: time
    end_day: int
    end: time
    zone: tzinfo

    def __post_init__(self) -> None:
        if not (0 <= self.start_day <= 6 and 0 <= self.end_day <= 6):
            raise InvariantError(f"days {self.start_day} and {self.end_day}: use 0 for Monday up to 6 for Sunday")
        if (self.start_day, self.start) == (self.end_day, self.end):
            raise InvariantError(f"{self.name!r} begins when it ends, so nothing would ever be promoted")

    def until(self, wall: datetime) -> datetime | None:
        """Return when the freeze that is in force at `wall` ends, in UTC; None when none is."""
        today = wall.astimezone(self.zone).date()
        monday = today - timedelta(days=today.weekday())
        wraps = (self.end_day, self.end) < (self.start_day, self.start)
        for week in (monday + _WEEK, monday, monday - _WEEK):
            last = week + timedelta(days=self.end_day) + (_WEEK if wraps else timedelta(0))
            start = min(instants(datetime.combine(week + timedelta(days=self.start_day), self.start), self.zone))
            end = max(instants(datetime.combine(last, self.end), self.zone))
            if start <= wall < end:
                return end
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Once:
    """One interval of wall time, e.g. the days around a holiday; both instants in UTC."""

    name: str
    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise InvariantError(f"{self.name!r} ends before it begins")

    def until(self, wall: datetime) -> datetime | None:
        """Return when the freeze ends, if it is in force at `wall`; None otherwise."""
        return self.end if self.start <= wall < self.end else None


def instants(local: datetime, zone: tzinfo) -> tuple[datetime, datetime]:
    """Return both instants, in UTC, that a local time can mean; they differ where clocks are put forward or back."""
    there = local.replace(tzinfo=zone)
    return there.replace(fold=0).astimezone(UTC), there.replace(fold=1).astimezone(UTC)
