"""Windows by their start, in parts of a day: one more costs a copy of its day and of the list of days."""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from anew.domain.interval import Interval

__all__ = ["ByDay"]

V = TypeVar("V")
_Day = dict[Interval, V]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)


class ByDay(Mapping[Interval, V]):
    """Windows that do not overlap, and something of each, in order of time; never changed, and equal by what it holds.

    What a change returns shares all days but one with what it came from, so that a fold that keeps ten thousand windows
    copies a few hundred entries for each fact, not ten thousand.
    """

    __slots__ = ("_days", "_n")

    def __init__(self, days: dict[date, _Day[V]] | None = None) -> None:
        self._days: dict[date, _Day[V]] = days or {}
        self._n = sum(map(len, self._days.values()))

    def __getitem__(self, window: Interval) -> V:
        return self._days.get(window.start.date(), {})[window]

    def __iter__(self) -> Iterator[Interval]:
        for day in sorted(self._days):
            yield from sorted(self._days[day])

    def __len__(self) -> int:
        return self._n

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"ByDay of {self._n} windows on {len(self._days)} days"

    @property
    def first(self) -> Interval | None:
        """The oldest window; None when there is none."""
        return min(self._days[min(self._days)]) if self._days else None

    @property
    def last(self) -> Interval | None:
        """The newest window; None when there is none."""
        return max(self._days[max(self._days)]) if self._days else None

    def having(self, window: Interval, value: V) -> "ByDay[V]":
        """Return these windows with `window`, in the place of what was known of it."""
        day = window.start.date()
        return ByDay({**self._days, day: {**self._days.get(day, {}), window: value}})

    def without(self, window: Interval) -> "ByDay[V]":
        """Return these windows without `window`."""
        if window not in self:
            return self
        day = window.start.date()
        rest = {each: value for each, value in self._days[day].items() if each != window}
        others = {each: kept for each, kept in self._days.items() if each != day}
        return ByDay({**others, day: rest} if rest else others)

    def since(self, at: datetime) -> "ByDay[V]":
        """Return these windows without the days on which none began that ends after `at`."""
        kept = {day: windows for day, windows in self._days.items() if day >= at.date() or _last(windows) > at}
        return self if len(kept) == len(self._days) else ByDay(kept)

    def touched(self, instants: npt.NDArray[np.int64], width: int) -> list[Interval]:
        """Return the windows that meet any interval of `width` that begins at one of `instants`, oldest first.

        Both are in microseconds, instants since 1970; only the days that they lie on are looked at.
        """
        if not len(instants) or not self._days:
            return []
        ordered = sorted(self._days)
        days = np.array([_micros(datetime(each.year, each.month, each.day, tzinfo=UTC)) for each in ordered])
        ends = instants + width - 1
        found = np.searchsorted(days, np.concatenate((instants, ends)), side="right") - 1
        near = np.unique(np.concatenate((found, found - 1)))  # a window may have begun the day before, or long ago
        windows = [each for day in near.tolist() if day >= 0 for each in sorted(self._days[ordered[day]])]
        starts = np.array([_micros(each.start) for each in windows], dtype=np.int64)
        stops = np.array([_micros(each.end) for each in windows], dtype=np.int64)
        low = np.searchsorted(stops, instants, side="right")
        high = np.searchsorted(starts, ends, side="right")
        met = np.zeros(len(windows) + 1, dtype=np.int64)
        np.add.at(met, low[low < high], 1)
        np.add.at(met, high[low < high], -1)
        return [windows[i] for i in np.flatnonzero(np.cumsum(met[:-1]) > 0)]


def _last(windows: _Day[V]) -> datetime:
    return max(each.end for each in windows)


def _micros(at: datetime) -> int:
    return (at - _EPOCH) // _MICRO
