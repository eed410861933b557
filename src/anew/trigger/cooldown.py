"""Cooldown: a rest after each request for a retrain."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from anew.domain.errors import InvariantError

__all__ = ["Cooldown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cooldown:
    """No automatic retrain is requested within `length` of event time after the last request.

    Zero switches it off. Commands of people are not held by it, but start it anew.
    """

    length: timedelta = timedelta(0)

    def __post_init__(self) -> None:
        if self.length < timedelta(0):
            raise InvariantError(f"a cooldown of {self.length} is less than none")

    def until(self, last: datetime | None) -> datetime | None:
        """Return when the rest after a request at `last` ends; None when there was none."""
        return None if last is None else last + self.length
