"""Half-open intervals of time."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from anew.domain.errors import InvariantError

__all__ = ["Interval", "require_utc"]


def require_utc(at: datetime, name: str) -> datetime:
    """Return `at` in UTC; a naive instant is refused, its zone is never guessed.

    Raises
    ------
    InvariantError
        `at` carries no time zone.
    """
    if at.tzinfo is None:
        raise InvariantError(
            f"{name} is {at.isoformat()} without a time zone; write it with one, e.g. {at.isoformat()}Z"
        )
    return at.astimezone(UTC)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Interval:
    """The instants from `start` up to, not including, `end`; both timezone-aware UTC."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        require_utc(self.start, "start")
        require_utc(self.end, "end")
        if self.end < self.start:
            raise InvariantError(f"an interval may not end ({self.end}) before it starts ({self.start})")

    def __contains__(self, at: datetime) -> bool:
        return self.start <= at < self.end

    @property
    def length(self) -> timedelta:
        """Time between start and end."""
        return self.end - self.start
