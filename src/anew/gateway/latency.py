"""Times on a fixed grid: what workers report can be added up."""

import math
from dataclasses import dataclass, field
from typing import Final

__all__ = ["LatencyGrid"]

_BINS: Final = 72  # the last one begins above 22 s


@dataclass(slots=True)
class LatencyGrid:
    """Counts times in bins: bin `i` up to ``0.1 * 2 ** (i / 4)`` ms, the last one all above; see `VersionHealth`."""

    counts: list[int] = field(default_factory=lambda: [0] * _BINS)

    def add(self, seconds: float, times: int = 1) -> None:
        """Count `seconds` so many times."""
        grid = math.ceil(4 * math.log2(max(seconds, 1e-9) * 1e4))
        self.counts[min(max(grid, 0), _BINS - 1)] += times
