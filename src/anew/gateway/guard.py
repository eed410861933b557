"""Watches a version without labels, and says when it fails too often to be asked."""

from collections import Counter, deque
from dataclasses import dataclass, field

from anew.gateway.latency import LatencyGrid
from anew.gateway.settings import GatewaySettings
from anew.ports.traffic import VersionHealth

__all__ = ["Guard"]


@dataclass(slots=True)
class Guard:
    """Counts what one champion or challenger did at this worker. Not thread-safe.

    It trips by the rule of `GatewaySettings.trip_failures`, over the last rows, so that a long good past buys nothing.
    """

    version: str
    settings: GatewaySettings
    tripped: str = ""
    asked: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    _latency: LatencyGrid = field(default_factory=LatencyGrid)
    _recent: deque[bool] = field(init=False)

    def __post_init__(self) -> None:
        self._recent = deque(maxlen=self.settings.trip_window)

    def answered(self, rows: int, seconds: float) -> None:
        """Count usable answers that came after `seconds`."""
        self.asked += rows
        self._latency.add(seconds, rows)
        self._recent.extend([False] * min(rows, self.settings.trip_window))

    def missed(self, rows: int, reason: str) -> None:
        """Count rows without a usable answer, and trip if these were too many."""
        self.asked += rows
        self.failed[reason] += rows
        self._recent.extend([True] * min(rows, self.settings.trip_window))
        failures = sum(self._recent)
        enough = failures >= self.settings.trip_failures
        if not self.tripped and enough and failures > self.settings.trip_share * len(self._recent):
            worst = ", ".join(f"{name} {count}" for name, count in self.failed.most_common())
            self.tripped = f"{failures} of its last {len(self._recent)} rows failed (in all: {worst})"

    def excused(self, rows: int, reason: str) -> None:
        """Count rows without a usable answer that nobody else could answer either: they trip nothing."""
        self.asked += rows
        self.failed[reason] += rows

    def reset(self) -> None:
        """Ask again, as a newer epoch orders; the counts go on."""
        self.tripped = ""
        self._recent.clear()

    def health(self) -> VersionHealth:
        """Return the counts for the control plane."""
        return VersionHealth(
            version=self.version,
            asked=self.asked,
            failed=dict(self.failed),
            recent_asked=len(self._recent),
            recent_failed=sum(self._recent),
            latency=tuple(self._latency.counts),
            tripped=self.tripped,
        )
