"""Streams for the bench of alarms: thirty columns of many shapes, as rows or, exactly in law and quicker, as counts."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pyarrow as pa
from scipy.signal import lfilter
from scipy.special import ndtr

from anew.domain.column import Task
from anew.domain.interval import Interval
from anew.monitor import SeenRows, Yardstick
from anew.stats.column import ColumnProfile
from anew.stats.edge import CategoricalBinning
from anew.stats.profile import Column, Profile, Reference

__all__ = [
    "COLUMNS",
    "REFERENCE_ROWS",
    "SHIFTED",
    "World",
    "correlated",
    "count_world",
    "row_window",
    "smooth",
    "windows",
]

REFERENCE_ROWS = 100_000
COLUMNS = 30
SHIFTED = ("x00", "x01", "x02")
"""The columns that a shift moves: normal ones."""

START = datetime(2026, 1, 1, tzinfo=UTC)
_SIZES = (2, 5, 8, 12, 20, 50, 100, 200, 400, 1000)
_ATOMS, _ATOM = range(17, 20), 0.7
_MISSING = {14: 0.001, 15: 0.05, 16: 0.3}


@dataclass(frozen=True)
class World:
    """A reference, and what a window of it without drift is made of: the true share of every slot."""

    yardstick: Yardstick
    shares: Mapping[str, np.ndarray]

    def moved(self, by: float) -> "World":
        """Return the world in which the first columns have moved by so many standard deviations."""
        shares = dict(self.shares)
        for name in SHIFTED:
            shares[name] = _number_shares(self.yardstick.features, name, by)
        return World(self.yardstick, shares)

    def window(self, rng: np.random.Generator, n: int) -> SeenRows:
        """Return a window of n independent rows, as counts."""
        columns = {}
        for name, binning in self.yardstick.features.binnings.items():
            counts = rng.multinomial(n, self.shares[name])
            sums = np.zeros(len(counts) if binning.kind == "numeric" else 0)
            columns[name] = ColumnProfile(kind=binning.kind, edges=binning.hash, counts=counts, sums=sums)
        profile = Profile(n, columns)
        return _seen(self.yardstick, lambda: profile, pl.DataFrame({"_at": np.zeros(n, dtype=np.int8)}))


def _seen(yardstick: Yardstick, profile: Callable[[], Profile], rows: pl.DataFrame) -> SeenRows:
    day = Interval(start=START, end=START + timedelta(days=1))
    return SeenRows(task=Task.REGRESSION, window=day, yardstick=yardstick, profile=profile, rows=rows)


def count_world(rng: np.random.Generator) -> World:
    """Make a reference of rows: 14 normal columns, 3 with nulls, 3 mostly of one value, and 10 of levels."""
    rows: dict[str, Column] = {}
    shares: dict[str, np.ndarray] = {}
    for i in range(20):
        values = rng.normal(size=REFERENCE_ROWS)
        if i in _ATOMS:
            values = np.where(rng.random(REFERENCE_ROWS) < _ATOM, 0.0, values)
        missing = rng.random(REFERENCE_ROWS) < _MISSING.get(i, 0.0)
        rows[f"x{i:02}"] = pa.array(values, mask=missing)
    for i, size in enumerate(_SIZES):
        true = 1.0 / np.arange(1, size + 1) ** 0.8
        shares[f"c{i}"] = true / true.sum()
        codes = np.searchsorted(shares[f"c{i}"].cumsum()[:-1], rng.random(REFERENCE_ROWS))
        rows[f"c{i}"] = pl.Series(codes).cast(pl.String).to_arrow()
    reference = Reference.fit(rows)
    for name, binning in reference.binnings.items():
        shares[name] = _level_shares(binning, shares[name]) if name in shares else _number_shares(reference, name, 0.0)
    return World(Yardstick(features=reference), shares)


def _number_shares(reference: Reference, name: str, shift: float) -> np.ndarray:
    """Return the true share of each slot of a numeric column: -infinity, below, bins, above, infinity, NaN, null."""
    number = int(name[1:])
    atom, null = _ATOM if number in _ATOMS else 0.0, _MISSING.get(number, 0.0)
    edges = np.array(reference.binnings[name].edges)
    below = (1 - atom) * ndtr(edges - shift) + atom * (edges > 0)
    inner = np.diff(np.concatenate(([0.0], below, [1.0])))
    return np.concatenate(([0.0], inner * (1 - null), [0.0, 0.0, null]))


def _level_shares(binning: CategoricalBinning, shares: np.ndarray) -> np.ndarray:
    known = np.array([shares[int(level)] for level in binning.levels])
    return np.concatenate((known, [0.0, max(1 - known.sum(), 0.0), 0.0]))


def correlated(rng: np.random.Generator, n: int, rho: float) -> dict[str, np.ndarray]:
    """Return n rows of thirty normal columns, any two of which have this correlation."""
    common = rng.normal(size=n) * rho**0.5
    return {f"x{i:02}": common + rng.normal(size=n) * (1 - rho) ** 0.5 for i in range(COLUMNS)}


def smooth(rng: np.random.Generator, n: int, phi: float) -> dict[str, np.ndarray]:
    """Return n rows of thirty columns that forget what they were as an AR(1) process does; each standard normal."""
    noise = rng.normal(size=(COLUMNS, n)) * (1 - phi * phi) ** 0.5
    noise[:, 0] /= (1 - phi * phi) ** 0.5
    return {f"x{i:02}": row for i, row in enumerate(lfilter([1.0], [1.0, -phi], noise, axis=1))}


def row_window(yardstick: Yardstick, rows: Mapping[str, np.ndarray]) -> SeenRows:
    """Return a window of these rows."""
    profile = yardstick.features.profile(rows)
    return _seen(yardstick, lambda: profile, pl.DataFrame({"_at": np.zeros(profile.n, dtype=np.int8)}))


def windows(rows: Mapping[str, np.ndarray], n: int) -> Iterator[dict[str, np.ndarray]]:
    """Cut rows into windows of n."""
    whole = len(next(iter(rows.values())))
    for start in range(0, whole - n + 1, n):
        yield {name: values[start : start + n] for name, values in rows.items()}
