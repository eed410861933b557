"""How many requests one place may send: so many at once, and so many a second after that."""

from collections import OrderedDict
from dataclasses import dataclass, field
from math import ceil

__all__ = ["Flood"]

_MOST = 10_000


@dataclass(slots=True)
class Flood:
    """A bucket for each place, of `burst` requests, that fills by `per_s` a second. For one event loop.

    The place that was heard of longest ago is forgotten first.

    >>> flood = Flood(burst=2, per_s=1.0)
    >>> [flood.wait_s(0.0, "10.0.0.1") for _ in range(3)], flood.wait_s(1.5, "10.0.0.1")
    ([0, 0, 1], 0)
    """

    burst: int = 400
    per_s: float = 40.0
    _left: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def wait_s(self, now: float, place: str) -> int:
        """Return how many seconds a place has to wait, at `now` of a clock that goes forward; 0 lets it in."""
        left, before = self._left.pop(place, (float(self.burst), now))
        left = min(float(self.burst), left + (now - before) * self.per_s)
        let_in = left >= 1
        self._left[place] = (left - 1 if let_in else left, now)
        if len(self._left) > _MOST:
            self._left.popitem(last=False)
        return 0 if let_in else ceil((1 - left) / self.per_s)
