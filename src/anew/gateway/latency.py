"""Times on a fixed grid: what workers report can be added up."""

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Final

__all__ = ["LatencyGrid"]

_BINS: Final = 72  # the last one begins above 22 s
_EDGES: Final = [0.0001 * 2 ** (i / 4) for i in range(_BINS - 1)]


@dataclass(slots=True)
class LatencyGrid:
    """Counts times in bins: bin `i` up to ``0.1 * 2 ** (i / 4)`` ms, the last one all above; see `VersionHealth`."""

    counts: list[int] = field(default_factory=lambda: [0] * _BINS)

    def add(self, seconds: float, times: int = 1) -> None:
        """Count `seconds` so many times."""
        self.counts[bisect_left(_EDGES, seconds)] += times
