"""Machinery of the detectors that compare whole rows of a window with a sample of the training rows."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from anew.monitor._detector import SeenRows
from anew.stats.encoding import Encoding, fit_encoding

__all__ = ["Points", "points_of"]

Floats = npt.NDArray[np.float64]


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
    key = f"points/{most}/{','.join(columns)}"
    kept: dict[str, tuple[Encoding, Floats]] = seen.yardstick.kept
    if key not in kept:
        encoding = fit_encoding(sample, names)
        kept[key] = encoding, encoding.points(_some(sample, most))
    encoding, reference = kept[key]
    return Points(reference, encoding.points(_some(seen.rows, most)))


def _some(rows: pl.DataFrame, most: int) -> pl.DataFrame:
    return rows.gather_every(max(1, -(-rows.height // most)))
