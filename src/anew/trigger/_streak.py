"""For how many measured windows in a row a detector has found something: persistence."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from anew.domain.facts import AlertRaised, WindowClosed, WindowScored
from anew.domain.interval import Interval

__all__ = ["Streaks", "streaks_after"]


@dataclass(frozen=True, slots=True)
class Streaks:
    """Length and last window of each detector's present run of alerts.

    `measured` has, for each detector that gave evidence, the last two windows it was measured in: a window without
    evidence (no traffic, no labels) neither lengthens nor breaks a run.
    """

    runs: Mapping[str, tuple[int, Interval]] = field(default_factory=lambda: MappingProxyType({}))
    measured: Mapping[str, tuple[Interval | None, Interval]] = field(default_factory=lambda: MappingProxyType({}))

    def length(self, detector: str) -> int:
        """Return the detector's run, 0 when its last measured window raised nothing."""
        run = self.runs.get(detector)
        measured = self.measured.get(detector)
        if run is None or (measured is not None and measured[1] != run[1]):
            return 0
        return run[0]


def streaks_after(streaks: Streaks, fact: WindowClosed | WindowScored | AlertRaised) -> Streaks:
    """Return the streaks after a window was measured or an alert raised."""
    if isinstance(fact, AlertRaised):
        return _alerted(streaks, fact)
    measured = dict(streaks.measured)
    for detector in {each.name for each in fact.evidence if each.measured}:
        before = measured.get(detector)
        if before is None or fact.window.start > before[1].start:
            measured[detector] = (before[1] if before else None, fact.window)
    return Streaks(streaks.runs, MappingProxyType(measured))


def _alerted(streaks: Streaks, alert: AlertRaised) -> Streaks:
    length, last = streaks.runs.get(alert.detector, (0, None))
    previous = streaks.measured.get(alert.detector, (None, alert.window))[0]
    if last is not None and last.start >= alert.window.start:
        return streaks
    length = length + 1 if last is not None and last == previous else 1
    return Streaks(MappingProxyType({**streaks.runs, alert.detector: (length, alert.window)}), streaks.measured)
