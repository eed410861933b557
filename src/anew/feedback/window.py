"""When windows of event time close: by the watermark of what was seen, or by a tick when nothing comes.

Windows tile time without gap or overlap. A window closes once event time has passed its end by the lateness; a row for
a window that is closed already is late: counted here, stored in the lake all the same.
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from anew.domain.errors import SettingsError
from anew.domain.interval import Interval, require_utc

__all__ = ["WindowClock", "WindowState"]

Micros = npt.NDArray[np.int64]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)


def _micros(at: datetime) -> int:
    return (require_utc(at, "at") - _EPOCH) // _MICRO


def _instant(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowState:
    """Where the windows of one stream stand; all instants in microseconds since 1970, UTC.

    Attributes
    ----------
    now
        Greatest event time seen or ticked; None before the first.
    start
        Start of the oldest window that is open; None before the first row.
    closed
        Windows closed so far.
    late
        Rows that came for a closed window.
    pending
        With windows of `count` rows: the times of the rows in open windows, sorted. Empty otherwise.
    """

    now: int | None = None
    start: int | None = None
    closed: int = 0
    late: int = 0
    pending: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowClock:
    """Says which windows close. Pure: the state goes in and comes out.

    Attributes
    ----------
    length
        Length of a window; windows are aligned to 1970-01-01T00:00Z. Either this or `count`.
    count
        Rows in a window; then a window runs from the end of the one before up to just after its last row, rows of
        the same instant stay together, and without traffic there is no window. Either this or `length`.
    lateness
        How far event time must have passed the end of a window before it closes.
    most
        Windows closed by one call at most; the next call goes on. A stream that comes back after years closes years
        of empty windows, not all at once.
    """

    length: timedelta | None = None
    count: int | None = None
    lateness: timedelta = field(default=timedelta(0))
    most: int = 1000

    def __post_init__(self) -> None:
        problems = []
        if (self.length is None) == (self.count is None):
            problems.append("a window has either a length or a count of rows; give exactly one of them")
        if self.length is not None and self.length <= timedelta(0):
            problems.append(f"the length of a window is {self.length}; it must be positive")
        if self.count is not None and self.count < 1:
            problems.append(f"the count of a window is {self.count}; it must be at least 1")
        if self.lateness < timedelta(0):
            problems.append(f"the lateness is {self.lateness}; it may not be negative")
        if problems:
            raise SettingsError(*problems)

    def observe(self, state: WindowState, times: Micros) -> tuple[WindowState, tuple[Interval, ...]]:
        """Take in the event times of new rows, microseconds, shape (n,), in any order; return what closes by them."""
        if not len(times):
            return state, ()
        fresh = times if state.start is None or not state.closed else times[times >= state.start]
        top = int(times.max())
        state = replace(
            state,
            now=top if state.now is None else max(state.now, top),
            late=state.late + len(times) - len(fresh),
        )
        if len(fresh):
            state = self._opened(state, fresh)
        return self._close(state)

    def tick(self, state: WindowState, at: datetime) -> tuple[WindowState, tuple[Interval, ...]]:
        """Take in that event time is `at` by the clock; return what closes by it. Before the first row nothing does."""
        at_us = _micros(at)
        return self._close(replace(state, now=at_us if state.now is None else max(state.now, at_us)))

    def _opened(self, state: WindowState, fresh: Micros) -> WindowState:
        first = int(fresh.min())
        if self.length is not None:
            step = self.length // _MICRO
            first -= first % step
        elif self.count is not None:
            state = replace(
                state, pending=tuple(np.sort(np.append(np.asarray(state.pending, np.int64), fresh)).tolist())
            )
        # Rows out of order may open an earlier window, as long as none has been closed.
        start = first if state.start is None else state.start if state.closed else min(state.start, first)
        return replace(state, start=start)

    def _close(self, state: WindowState) -> tuple[WindowState, tuple[Interval, ...]]:
        if state.start is None or state.now is None:
            return state, ()
        mark = state.now - self.lateness // _MICRO
        ends = self._ends(state, mark)
        if not ends:
            return state, ()
        edges = [_instant(edge) for edge in (state.start, *ends)]
        closed = tuple(Interval(start=a, end=b) for a, b in pairwise(edges))
        rest = tuple(at for at in state.pending if at >= ends[-1])
        return replace(state, start=ends[-1], closed=state.closed + len(closed), pending=rest), closed

    def _ends(self, state: WindowState, mark: int) -> list[int]:
        """Ends of the windows from `state.start` on that the watermark has reached, at most `most`."""
        start = state.start or 0
        if self.length is not None:
            step = self.length // _MICRO
            return [start + step * (i + 1) for i in range(min(self.most, max(0, (mark - start) // step)))]
        times = np.asarray(state.pending, np.int64)
        ends: list[int] = []
        at = (self.count or 1) - 1
        while at < len(times) and len(ends) < self.most and times[at] + 1 <= mark:
            ends.append(int(times[at]) + 1)
            at = int(np.searchsorted(times, ends[-1])) + (self.count or 1) - 1
        return ends
