"""Since change: train on what came after the last change that a detector saw."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from anew.domain.errors import InvariantError
from anew.domain.interval import Interval
from anew.train.span import BEGINNING

__all__ = ["SinceChange"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SinceChange:
    """The rows since the start of the first window in a row in which the latest alert's detector found something.

    Never less than `least`, because a change of yesterday leaves too few rows to learn from; all rows while nothing was
    found. Older rows may be rehearsed beside.

    When not to use it: with detectors that alarm without a change, each false alarm throws rows away; where the world
    drifts slowly, there is no instant of change.

    Parameters
    ----------
    least
        Shortest span.
    delay
        Age at which labels count: the least reaches back from the newest labelled rows.
    """

    least: timedelta
    delay: timedelta = timedelta(0)

    def __post_init__(self) -> None:
        if self.least <= timedelta(0):
            raise InvariantError(f"a least span of {self.least} holds no rows")

    def since(self, change: datetime | None, end: datetime) -> tuple[Interval, str]:
        """Return the span that ends with `end`, and why it begins where it does.

        >>> from datetime import UTC
        >>> day = datetime(2026, 3, 10, tzinfo=UTC)
        >>> span, why = SinceChange(least=timedelta(days=5)).since(day, day + timedelta(days=20))
        >>> span.start == day, why
        (True, 'since the change seen at 2026-03-10 00:00')
        """
        if change is None:
            return Interval(start=BEGINNING, end=end), "no change was seen yet"
        latest = max(BEGINNING, end - self.delay - self.least)
        if change > latest:
            return (
                Interval(start=latest, end=end),
                f"the shortest span, for the change seen at {change:%Y-%m-%d %H:%M} is new",
            )
        return Interval(start=change, end=end), f"since the change seen at {change:%Y-%m-%d %H:%M}"
