"""For how many measured windows in a row a detector has found something: persistence and hysteresis."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType

from anew.domain.facts import AlertRaised, RowsChecked, WindowClosed, WindowScored
from anew.domain.interval import Interval

__all__ = ["Run", "Streaks", "streaks_after"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run of alerts in windows that follow each other.

    Attributes
    ----------
    length
        Windows of the run.
    began
        Start of its first window.
    last
        Number of its last window, among those that the detector was measured in; `window` is that window.
    quiet
        Windows without an alert between the run before it and this one; None for the first run.
    """

    length: int
    began: datetime
    last: int
    window: Interval
    quiet: int | None = None


@dataclass(frozen=True, slots=True)
class Streaks:
    """Each detector's last run of alerts, and the last window it was measured in, with the window's number.

    A window without evidence (no traffic, no labels) is not measured: it neither lengthens nor breaks a run.
    """

    runs: Mapping[str, Run] = field(default_factory=lambda: MappingProxyType({}))
    measured: Mapping[str, tuple[int, Interval]] = field(default_factory=lambda: MappingProxyType({}))

    def run(self, detector: str) -> Run | None:
        """Return the detector's present run; None when its last measured window raised nothing."""
        run = self.runs.get(detector)
        measured = self.measured.get(detector)
        return None if run is None or (measured is not None and measured[0] != run.last) else run

    def length(self, detector: str) -> int:
        """Return the length of the detector's present run, 0 when there is none."""
        run = self.run(detector)
        return 0 if run is None else run.length


def streaks_after(streaks: Streaks, fact: WindowClosed | WindowScored | RowsChecked | AlertRaised) -> Streaks:
    """Return the streaks after a window was measured or an alert raised."""
    if isinstance(fact, AlertRaised):
        return _alerted(streaks, fact)
    measured = dict(streaks.measured)
    for detector in {each.name for each in fact.evidence if each.measured}:
        before = measured.get(detector)
        if before is None or fact.window.start >= before[1].end:
            measured[detector] = (before[0] + 1 if before else 0, fact.window)
        elif fact.window.start > before[1].start or fact.window.end > before[1].end:
            measured[detector] = (before[0], fact.window)  # the window of which a part was looked at already
    return Streaks(streaks.runs, MappingProxyType(measured))


def _alerted(streaks: Streaks, alert: AlertRaised) -> Streaks:
    last = streaks.runs.get(alert.detector)
    if last is not None and last.window.start >= alert.window.start:
        return streaks
    number = streaks.measured.get(alert.detector, (last.last + 1 if last else 0, alert.window))[0]
    if last is not None and number - last.last <= 1:
        run = replace(last, length=last.length + number - last.last, last=number, window=alert.window)
    else:
        quiet = None if last is None else number - last.last - 1
        run = Run(length=1, began=alert.window.start, last=number, window=alert.window, quiet=quiet)
    return Streaks(MappingProxyType({**streaks.runs, alert.detector: run}), streaks.measured)
