"""Event time by the wall clock, for as long as the wall clock is to be believed."""

from datetime import datetime, timedelta

from anew.ports.clock import Clock

__all__ = ["CLOCK", "TOLERANCE", "EventClock"]

CLOCK = "clock at "
"""How the detector of an incident about the wall clock begins."""

TOLERANCE = timedelta(minutes=1)
"""By how much the wall clock may leave the monotonic one between two readings: a clock that is slewed stays within."""
PATIENCE_S = 600.0
"""How long a clock that stepped has to stay where it stepped to, to be believed again."""


class EventClock:
    """Reads event time. It never runs backwards, and a step is not followed at once: schedules and windows hang on it.

    While the wall clock is in doubt, event time goes on by the monotonic clock. A clock that stepped ahead and came
    back has moved nothing; one that stays ahead is followed after a while. One that was set back lets event time stand
    until it has caught up: nothing is asked for twice. One that is behind the record when a process begins lets it
    stand at once: however often one begins, event time gains no lead on the clock.

    Parameters
    ----------
    clock
        Both of this machine's clocks. A machine that slept counts as one whose wall clock stepped ahead.
    since
        How far event time had come on record; None when it begins.
    """

    def __init__(self, clock: Clock, since: datetime | None = None) -> None:
        self._clock = clock
        wall = clock.now()
        shown = wall if since is None else max(wall, since)
        behind = shown - wall > TOLERANCE
        self._anchor = (wall if behind else shown, clock.monotonic())
        self._shown = shown
        self._doubt: tuple[timedelta, float] | None = None
        self._steps = [wall - shown] if behind else []

    def now(self) -> datetime:
        """Return the present event time."""
        wall, monotonic = self._clock.now(), self._clock.monotonic()
        expected = self._anchor[0] + timedelta(seconds=monotonic - self._anchor[1])
        gap = wall - expected
        if abs(gap) <= TOLERANCE:
            self._anchor, self._doubt = (wall, monotonic), None
            believed = wall
        else:
            believed = self._doubted(gap, wall, expected, monotonic)
        self._shown = max(self._shown, believed)
        return self._shown

    def steps(self) -> tuple[timedelta, ...]:
        """Return the steps that were seen since the last call; positive ahead."""
        found, self._steps = tuple(self._steps), []
        return found

    def _doubted(self, gap: timedelta, wall: datetime, expected: datetime, monotonic: float) -> datetime:
        if self._doubt is None or abs(gap - self._doubt[0]) > TOLERANCE:
            self._steps.append(gap if self._doubt is None else gap - self._doubt[0])
            self._doubt = (gap, monotonic)
        if monotonic - self._doubt[1] < PATIENCE_S:
            return expected
        self._anchor, self._doubt = (wall, monotonic), None
        return wall
