"""Columns that follow the clock or the calendar: they differ between windows by construction, which is no drift."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from anew.stats.column import Floats

__all__ = ["calendar_columns"]

Instants = npt.NDArray[np.datetime64]
_Integers = npt.NDArray[np.int64]
_Explained = Callable[[npt.NDArray[Any], _Integers], float]

_LEAST_ROWS = 50
_EXPLAINED = 0.99
"""Share of a column's variation that a unit of the calendar must account for."""
_RECURRING = 0.9
"""Share of rows whose phase of the unit's cycle must have been seen in two cycles or more."""
_MONOTONE = 0.995
_ALIKE = 0.9995
_ROUNDING = 1e-24
"""Variance of a number, in units of its size, that is no more than rounding."""


class _Unit(NamedTuple):
    """A phase of a cycle: which one each row is in; and whether that one was seen in two turns of the cycle or more.

    `place` counts the phases without gaps.
    """

    name: str
    phase: _Integers
    place: _Integers
    again: npt.NDArray[np.bool_]


def calendar_columns(columns: Mapping[str, npt.NDArray[Any]], at: Instants) -> Mapping[str, str]:
    """Return what each calendar-like column follows, ``the day of the week``; other columns are left out.

    A column follows a unit (time of day, day of the week, of the month, of the year, month, year) when that accounts
    for 99 % of its variation, on phases that were seen in two turns of the cycle or more: what is constant within a day
    only because it changes slowly is not taken for calendar. Within the first turn, a number must be the unit's own, up
    to a constant, or its sine or cosine. A number follows ``the time`` itself when its rank correlation with it is
    0.995 or more: counters, ids in order, years. Time is UTC; what follows a zone with daylight saving is not
    recognised.

    Parameters
    ----------
    columns
        By name, each of shape (n,): floats with NaN for missing, or codes of levels as integers, -1 for missing.
    at
        Instants of the rows, shape (n,), in UTC.
    """
    if not len(at):
        return {}
    units = [_unit(name, phase, turn) for name, phase, turn in _cycles(at)]
    time = _middle_ranks(at.astype("datetime64[us]").astype(np.int64))
    found = {}
    for name, values in columns.items():
        number = values.dtype.kind == "f"
        known = np.isfinite(values) if number else values.astype(np.int64) >= 0
        if int(known.sum()) < _LEAST_ROWS:
            continue
        if number:
            what = _number_follows(values.astype(np.float64), known, units, time)
        else:
            what = _followed(values, known, units, _levels_explained)
        if what:
            found[name] = what
    return found


def _cycles(at: Instants) -> Iterator[tuple[str, _Integers, _Integers]]:
    """Yield name, phase and turn of each cycle, the shortest first."""
    day, month, year = (at.astype(f"datetime64[{unit}]") for unit in "DMY")
    days, months, years = (each.astype(np.int64) for each in (day, month, year))
    second = (at - day).astype("timedelta64[s]").astype(np.int64)
    yield "the hour of the day", second // 3600, days
    yield "the time of day", second // 60, days
    yield "the day of the week", (days + 3) % 7, (days + 3) // 7
    yield "the day of the month", days - month.astype("datetime64[D]").astype(np.int64), months
    yield "the month", months % 12, years
    yield "the quarter", months % 12 // 3, years
    yield "the day of the year", days - year.astype("datetime64[D]").astype(np.int64), years
    yield "the year", years, np.zeros_like(years)


def _unit(name: str, phase: _Integers, turn: _Integers) -> _Unit:
    phases, place = np.unique(phase, return_inverse=True)
    pairs = np.unique(place * (int(turn.max()) + 1) + turn)
    turns = np.bincount(pairs // (int(turn.max()) + 1), minlength=len(phases))
    return _Unit(name, phase, place, (turns > 1)[place])


def _followed(values: npt.NDArray[Any], known: npt.NDArray[np.bool_], units: list[_Unit], explained: _Explained) -> str:
    """Return the first unit that accounts for the values on phases that recur."""
    for unit in units:
        rows = known & unit.again
        if rows.sum() < _RECURRING * known.sum() or np.ptp(unit.place[rows]) == 0:
            continue
        if explained(values[rows], unit.place[rows]) >= _EXPLAINED:
            return unit.name
    return ""


def _variation_explained(values: npt.NDArray[Any], place: _Integers) -> float:
    """Return the correlation ratio: the share of variance between phases; 0 for a constant."""
    numbers = values / max(float(np.abs(values).max()), 1e-300)
    numbers -= numbers.mean()
    whole = float((numbers**2).sum())
    if whole <= _ROUNDING * len(numbers):
        return 0.0
    counts, sums = np.bincount(place), np.bincount(place, numbers)
    return float((sums**2 / np.maximum(counts, 1)).sum()) / whole


def _levels_explained(values: npt.NDArray[Any], place: _Integers) -> float:
    """Return Goodman and Kruskal's lambda: by how much the phase reduces the errors of guessing the level."""
    codes = int(values.max()) + 1
    table = np.bincount(place * codes + values, minlength=(int(place.max()) + 1) * codes).reshape(-1, codes)
    wrong = len(values) - int(table.sum(axis=0).max())
    return 1 - (len(values) - int(table.max(axis=1).sum())) / wrong if wrong else 0.0


def _number_follows(values: Floats, known: npt.NDArray[np.bool_], units: list[_Unit], time: Floats) -> str:
    """Return the unit that a number is up to a constant, whose sine it is or that it follows; or the time itself."""
    some = values[known]
    for unit in units:
        phase = unit.phase[known]
        if np.ptp(phase) > 0 and np.ptp(some - phase) == 0:
            return unit.name
        length = {"the month": 12.0, "the day of the year": 365.25}.get(unit.name)
        if length is not None and np.ptp(phase) >= length / 4 and _is_wave(some, phase, length):
            return unit.name
    return _followed(values, known, units, _variation_explained) or _time_follows(some, time[known])


def _is_wave(values: Floats, phase: _Integers, length: float) -> bool:
    """Tell whether values are a sine of unknown phase: what sine and cosine account for together."""
    angle = phase.astype(np.float64) * (2 * np.pi / length)
    values = values / max(float(np.abs(values).max()), 1e-300)
    waves = np.stack((np.ones(len(angle)), np.sin(angle), np.cos(angle)), axis=1)
    rest = values - waves @ np.linalg.lstsq(waves, values, rcond=None)[0]
    whole = float(values.var())
    return whole > _ROUNDING and 1 - float(rest.var()) / whole >= _ALIKE


def _time_follows(values: Floats, time: Floats) -> str:
    """Return ``the time`` where Spearman's correlation with it is nearly 1 or -1."""
    ranks = _middle_ranks(values)
    if len(np.unique(ranks)) < 10 or np.ptp(time) == 0:
        return ""
    return "the time" if abs(float(np.corrcoef(ranks, time)[0, 1])) >= _MONOTONE else ""


def _middle_ranks(values: npt.NDArray[Any]) -> Floats:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(counts) - counts / 2)[place]
    return ranks
