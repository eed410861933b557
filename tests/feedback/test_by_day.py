"""Windows by day are a mapping in order of time, share what did not change, and cost no more when there are many."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anew.domain.interval import Interval
from anew.feedback._by_day import ByDay

START = datetime(2024, 1, 1, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICRO = timedelta(microseconds=1)
MILLI = 1_000


def window(start_h: float, length_h: float = 1.0) -> Interval:
    start = START + timedelta(hours=start_h)
    return Interval(start=start, end=start + timedelta(hours=length_h))


def micros(*hours: float) -> np.ndarray:
    return np.array([(START + timedelta(hours=each) - EPOCH) // MICRO for each in hours], dtype=np.int64)


def filled(windows: list[Interval]) -> ByDay[int]:
    kept: ByDay[int] = ByDay()
    for i, each in enumerate(windows):
        kept = kept.having(each, i)
    return kept


@given(st.lists(st.tuples(st.sampled_from(["put", "drop"]), st.integers(0, 90))))
def test_it_does_what_a_dictionary_does(steps: list[tuple[str, int]]) -> None:
    kept: ByDay[int] = ByDay()
    plain: dict[Interval, int] = {}
    for i, (what, number) in enumerate(steps):
        each = window(number)
        if what == "put":
            kept, plain = kept.having(each, i), plain | {each: i}
        else:
            kept = kept.without(each)
            plain.pop(each, None)
    assert (list(kept.items()), len(kept)) == (sorted(plain.items()), len(plain))
    assert (kept.first, kept.last) == (min(plain, default=None), max(plain, default=None))
    assert kept == filled(list(plain)) or list(plain.values()) != list(range(len(plain)))


def test_days_without_a_change_are_shared() -> None:
    before = filled([window(i) for i in range(24 * 50)])
    after = before.having(window(24 * 20 + 0.5, 0.5), -1)
    assert sum(before._days[day] is not after._days[day] for day in before._days) == 1


@pytest.mark.parametrize("length_h", [0.1, 1.0, 7.0, 24.0, 100.0])
@given(st.lists(st.floats(-300, 700), max_size=30), st.integers(0, 40))
def test_instants_touch_the_windows_that_they_lie_in(length_h: float, hours: list[float], gap: int) -> None:
    """By comparing each instant with each window, one of which is missing."""
    windows = [window(i * length_h, length_h) for i in range(min(60, int(400 / length_h))) if i != gap]
    instants = micros(*hours) // MILLI * MILLI
    expected = [
        each
        for each in windows
        if any((each.start - EPOCH) // MICRO < at + MILLI and at < (each.end - EPOCH) // MICRO for at in instants)
    ]
    assert filled(windows).touched(instants, MILLI) == expected


def test_what_ended_goes_by_whole_days() -> None:
    kept = filled([window(i) for i in range(72)])
    assert kept.since(START + timedelta(hours=23)) is kept
    assert kept.since(START + timedelta(hours=24)).first == window(24)
    assert len(kept.since(START + timedelta(hours=500))) == 0
    long = filled([window(i * 100, 100) for i in range(3)])
    assert long.since(START + timedelta(hours=99)).first == window(0, 100)  # it has not ended
