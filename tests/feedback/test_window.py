"""Windows tile time, close by watermark or tick, and count what comes too late."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anew.domain.errors import SettingsError
from anew.domain.interval import Interval
from anew.feedback.window import WindowClock, WindowState

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def _at(minutes: float) -> datetime:
    return EPOCH + timedelta(minutes=minutes)


def _times(*minutes: float) -> npt.NDArray[np.int64]:
    return np.asarray([round(m * 60e6) for m in minutes], np.int64)


def _hours(windows: tuple[Interval, ...]) -> list[float]:
    assert all(w.length == HOUR for w in windows)
    return [(w.start - EPOCH) / HOUR for w in windows]


def test_a_window_closes_when_the_watermark_has_passed_its_end_by_the_lateness() -> None:
    clock = WindowClock(length=HOUR, lateness=timedelta(minutes=10))
    state, closed = clock.observe(WindowState(), _times(130, 150))
    assert closed == ()
    state, closed = clock.observe(state, _times(189.9))
    assert closed == ()
    state, closed = clock.observe(state, _times(190))
    assert _hours(closed) == [2]
    assert state.late == 0


def test_windows_without_traffic_close_by_ticks() -> None:
    clock = WindowClock(length=HOUR)
    state, closed = clock.tick(WindowState(), _at(1000))
    assert closed == ()  # nothing was ever seen: there is no first window
    state, closed = clock.observe(WindowState(), _times(5))
    state, closed = clock.tick(state, _at(200))
    assert _hours(closed) == [0, 1, 2]
    state, closed = clock.tick(state, _at(100))  # time does not go back
    assert closed == ()


def test_late_rows_are_counted_and_open_nothing() -> None:
    clock = WindowClock(length=HOUR)
    state, closed = clock.observe(WindowState(), _times(5, 61))
    assert _hours(closed) == [0]
    state, closed = clock.observe(state, _times(59, 58, 62))
    assert (state.late, closed) == (2, ())
    _, closed = clock.tick(state, _at(120))
    assert _hours(closed) == [1]


def test_rows_out_of_order_may_open_an_earlier_window_before_any_is_closed() -> None:
    clock = WindowClock(length=HOUR, lateness=timedelta(hours=5))
    state, _ = clock.observe(WindowState(), _times(200))
    state, _ = clock.observe(state, _times(20))
    _, closed = clock.tick(state, _at(60 * 7))
    assert _hours(closed) == [0, 1]


def test_years_of_silence_close_in_portions() -> None:
    clock = WindowClock(length=HOUR, most=100)
    state, _ = clock.observe(WindowState(), _times(0))
    seen: list[float] = []
    for _ in range(4):
        state, closed = clock.tick(state, _at(60 * 250))
        seen += _hours(closed)
    assert seen == [float(h) for h in range(250)]


def test_windows_before_1970_are_aligned_too() -> None:
    clock = WindowClock(length=HOUR)
    _, closed = clock.observe(WindowState(), _times(-90, 0))
    assert _hours(closed) == [-2, -1]


def test_windows_of_a_count_end_just_after_their_last_row() -> None:
    clock = WindowClock(count=3)
    state, closed = clock.observe(WindowState(), _times(0, 1, 2, 2, 5))
    micro = timedelta(microseconds=1)
    assert closed == (Interval(start=_at(0), end=_at(2) + micro),)  # rows of one instant stay together: four of them
    state, closed = clock.observe(state, _times(6, 7, 8))
    assert closed == (Interval(start=_at(2) + micro, end=_at(7) + micro),)
    state, closed = clock.tick(state, _at(10_000))
    assert closed == ()  # one row is no window of three


@pytest.mark.parametrize(
    "settings",
    [{}, {"length": HOUR, "count": 3}, {"length": timedelta(0)}, {"count": 0}, {"count": 1, "lateness": -HOUR}],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        WindowClock(**settings)  # type: ignore[arg-type]  # the wrong settings are the test


@given(
    batches=st.lists(st.lists(st.integers(0, 3000), min_size=1, max_size=20), min_size=1, max_size=15),
    lateness=st.integers(0, 300),
    count=st.none() | st.integers(1, 7),
)
def test_windows_tile_time_and_every_row_is_in_one_or_counted_late(
    batches: list[list[int]], lateness: int, count: int | None
) -> None:
    length = None if count else HOUR
    clock = WindowClock(length=length, count=count, lateness=timedelta(minutes=lateness))
    windows: list[Interval] = []
    held: list[int] = []
    state, late = WindowState(), 0
    for batch in batches:
        # A row is late by the reference when its window was closed before the batch came.
        edge = windows[-1].end if windows else None
        late += sum(edge is not None and _at(m) < edge for m in batch)
        held += [m for m in batch if edge is None or _at(m) >= edge]
        state, closed = clock.observe(state, _times(*batch))
        windows += closed
    state, closed = clock.tick(state, _at(10_000))
    windows += closed
    assert state.late == late
    assert all(a.end == b.start for a, b in pairwise(windows))
    inside = [sum(_at(m) in window for m in held) for window in windows]
    if count:
        assert all(n >= count for n in inside)
        assert sum(inside) + len(state.pending) == len(held)
    else:
        assert sum(inside) == len(held)
