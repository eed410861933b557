"""Machinery of the detectors that compare whole rows of a window with a sample of the training rows."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from anew.domain.errors import InvariantError
from anew.monitor._detector import SeenRows
from anew.stats.encoding import Encoding, fit_encoding

__all__ = ["Points", "independent_points", "points_of"]

Floats = npt.NDArray[np.float64]

_ALIKE = 1.2
"""Rows that count as one, up to which rows pass for independent."""


class Points(NamedTuple):
    """Rows of the reference and of a window as points, shapes (n, d) and (m, d)."""

    reference: Floats
    window: Floats


def points_of(seen: SeenRows, columns: tuple[str, ...], most: int) -> Points:
    """Return up to `most` rows of either side, evenly spaced; those of the reference are encoded once for a yardstick.

    Raises
    ------
    InvariantError
        The version was stored without a sample, or the columns are not those of the rows.
    """
    sample = seen.yardstick.sample
    if "_held" in sample.columns:
        sample = sample.filter(~pl.col("_held"))
    names = columns or tuple(name for name in seen.yardstick.features.names if name in sample.columns)
    return _points(seen, sample, names, (most, most), ",".join(columns))


def independent_points(seen: SeenRows, columns: tuple[str, ...], most: int) -> Points:
    """Return the same of rows so far apart that they tell as much as independent ones, as far as that was measured.

    Columns that follow the calendar are left out, unless they are named: they tell any two windows apart.

    Raises
    ------
    InvariantError
        As `points_of`; or every column follows the calendar.
    """
    traits, features = seen.yardstick.traits, seen.yardstick.features
    calendar = {} if traits is None or columns else traits.calendar
    sample = seen.yardstick.sample
    if "_held" in sample.columns:
        sample = sample.filter(~pl.col("_held"))
    names = columns or tuple(name for name in features.names if name in sample.columns and name not in calendar)
    if not names and len(sample.columns):
        raise InvariantError(f"every column follows the calendar: {', '.join(calendar)}; name those to look at")
    inertia = 1.0 if traits is None else max((traits.inertia.get(name, 1.0) for name in names), default=1.0)
    # Twice as far as rows that count as one: at that distance a row says next to nothing of the one before it.
    apart = 2 * inertia if inertia > _ALIKE else 1.0
    told = ",".join(columns) + (f" without {','.join(calendar)}" if calendar else "")
    return _points(seen, sample, names, (min(most, int(features.own.n / apart)), min(most, int(seen.n / apart))), told)


def _points(
    seen: SeenRows, sample: pl.DataFrame, names: tuple[str, ...], most: tuple[int, int], columns: str
) -> Points:
    """Return up to so many rows of the reference and of the window."""
    key = f"points/{most[0]}/{columns}"
    kept: dict[str, tuple[Encoding, Floats]] = seen.yardstick.kept
    if key not in kept:
        encoding = fit_encoding(sample, names)
        kept[key] = encoding, encoding.points(_some(sample, most[0]))
    encoding, reference = kept[key]
    return Points(reference, encoding.points(_some(seen.rows, most[1])))


def _some(rows: pl.DataFrame, most: int) -> pl.DataFrame:
    return rows.gather_every(max(1, -(-rows.height // max(most, 1))))
