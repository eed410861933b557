"""A schedule by interval: retrain every so often, drift or not."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from anew.domain.errors import InvariantError

__all__ = ["Every"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LEAST = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Every:
    """Intends a retrain at each multiple of `length` since 1970-01-01T00:00Z: 24h is every midnight UTC.

    The instants depend on nothing but the length, so that a restart moves none. What was missed while nothing ran is
    made up for once. For hours of the day in a zone, or for months, use a cron schedule.
    """

    length: timedelta
    past_cooldown: bool = False

    def __post_init__(self) -> None:
        if self.length < _LEAST:
            raise InvariantError(f"every {self.length}: a minute is the least")

    @property
    def name(self) -> str:
        """``every 24h``."""
        return f"every {self.length / timedelta(hours=1):g}h"

    def due(self, after: datetime, until: datetime) -> datetime | None:
        """Return the last intended instant in ``(after, until]``, None when there is none."""
        last = _EPOCH + (until - _EPOCH) // self.length * self.length
        return last if last > after else None
