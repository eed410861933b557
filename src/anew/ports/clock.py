"""The wall clock."""

from datetime import datetime
from typing import Protocol

__all__ = ["Clock", "is_past"]


class Clock(Protocol):
    """Tells the time; thread-safe."""

    def now(self) -> datetime:
        """Return the present instant, timezone-aware UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds since an unknown start, which never run backwards."""
        ...

    def epoch(self) -> str:
        """Return the name of that start: `monotonic` readings compare where it is the same, in other processes too."""
        ...


def is_past(clock: Clock, epoch: str, instant: float) -> bool:
    """Return whether the monotonic `instant` of `epoch` has passed; of another epoch than the present one, it has."""
    return epoch != clock.epoch() or clock.monotonic() >= instant
