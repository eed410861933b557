"""The wall clock."""

from datetime import datetime
from typing import Protocol

__all__ = ["Clock"]


class Clock(Protocol):
    """Tells the time; thread-safe."""

    def now(self) -> datetime:
        """Return the present instant, timezone-aware UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds since an unknown start, which never run backwards."""
        ...
