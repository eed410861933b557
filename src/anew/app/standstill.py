"""Does event time stand, since the wall clock is behind what is on record?"""

from datetime import datetime

from anew.domain.fact import Fact
from anew.domain.facts import OF_THE_WALL, IncidentRaised
from anew.loop.event_clock import CLOCK, TOLERANCE

__all__ = ["Standstill"]


class Standstill:
    """Folds facts into how far event time has come, and whether the wall clock was seen behind it."""

    def __init__(self) -> None:
        self._newest: datetime | None = None
        self._stepped = False

    def hear(self, fact: Fact) -> None:
        """Take in the next fact on record."""
        if isinstance(fact, OF_THE_WALL):
            return
        self._newest = fact.at if self._newest is None else max(self._newest, fact.at)
        if isinstance(fact, IncidentRaised):
            self._stepped = self._stepped or fact.detector.startswith(CLOCK)

    def until(self, wall: datetime) -> str | None:
        """Return the instant that the clock, which is at `wall`, has to pass before windows close; None: they do.

        By the data's clock there is none: nothing but a clock that stepped makes event time wait for it.
        """
        if self._newest is None or not self._stepped or self._newest <= wall + TOLERANCE:
            return None
        return self._newest.isoformat()
