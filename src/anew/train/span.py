"""Span: which interval of event time training rows are taken from."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from anew.domain.errors import InvariantError
from anew.domain.interval import Interval

__all__ = ["BEGINNING", "Span"]

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
"""Before any row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The newest `length` of labelled rows, or all of them when `length` is None."""

    length: timedelta | None = None

    def __post_init__(self) -> None:
        if self.length is not None and self.length <= timedelta(0):
            raise InvariantError(f"a training span of {self.length} holds no rows")

    def before(self, end: datetime) -> Interval:
        """Return the interval that ends with `end`."""
        start = BEGINNING if self.length is None else max(BEGINNING, end - self.length)
        return Interval(start=start, end=max(end, start))
