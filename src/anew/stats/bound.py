"""The ends of an interval."""

from typing import NamedTuple

__all__ = ["Bounds"]


class Bounds(NamedTuple):
    """The two ends of an interval of confidence, both included."""

    low: float
    high: float

    @property
    def width(self) -> float:
        """High minus low."""
        return self.high - self.low
