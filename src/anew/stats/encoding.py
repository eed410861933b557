"""Rows of numbers, categories and vectors as points, so that whole rows can be compared."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from anew.domain.errors import InvariantError
from anew.stats.matrix import is_numeric, number_matrix

__all__ = ["Encoding", "fit_encoding"]

Floats = npt.NDArray[np.float64]

_LEVELS = 20
_FURTHEST = 10.0


@dataclass(frozen=True, slots=True)
class _Numbers:
    """A column of numbers or vectors: scaled, and whether it is missing."""

    name: str
    centre: Floats
    scale: Floats

    def points(self, rows: pl.DataFrame) -> Floats:
        found = number_matrix(rows, [self.name])
        if found.shape[1] != len(self.centre):
            if len(rows):
                raise InvariantError(f"{self.name} has {found.shape[1]} numbers a row, and had {len(self.centre)}")
            found = np.empty((0, len(self.centre)))
        missing = ~np.isfinite(found).all(axis=1, keepdims=True)
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = np.clip((found - self.centre) / self.scale, -_FURTHEST, _FURTHEST)
        weighed = np.where(np.isfinite(scaled), scaled, 0.0) / np.sqrt(len(self.centre))
        return np.concatenate((weighed, missing), axis=1)


@dataclass(frozen=True, slots=True)
class _Levels:
    """A column of categories: one number for each of the frequent levels, one for all others, one for missing."""

    name: str
    levels: tuple[str, ...]

    def points(self, rows: pl.DataFrame) -> Floats:
        places = {level: place for place, level in enumerate(self.levels)}
        text = rows.get_column(self.name).cast(pl.String)
        known = text.replace_strict(places, default=len(self.levels), return_dtype=pl.Int64)
        coded = known.zip_with(text.is_not_null(), pl.repeat(len(self.levels) + 1, text.len(), eager=True))
        found: Floats = np.eye(len(self.levels) + 2)[coded.to_numpy()]
        return found


@dataclass(frozen=True, slots=True)
class Encoding:
    """Turns rows into points by what was chosen on a reference; see `fit_encoding`."""

    _columns: tuple[_Numbers | _Levels, ...]

    def points(self, rows: pl.DataFrame) -> Floats:
        """Return the points of rows, shape (n, d).

        Raises
        ------
        InvariantError
            A column is not there, or holds something else than it did.
        """
        missing = [each.name for each in self._columns if each.name not in rows.columns]
        if missing:
            raise InvariantError(f"the rows lack the columns {missing}")
        return np.concatenate([each.points(rows) for each in self._columns], axis=1)


def fit_encoding(rows: pl.DataFrame, names: Sequence[str]) -> Encoding:
    """Choose the scales and levels of columns on a reference.

    A number is taken from its median and divided by half the distance of its 16th and 84th percentile, at most 10 from
    0, so that a few huge values weigh little; a vector's numbers likewise, and over the root of their count, so that it
    weighs as much as a number; a category has a number for each of its 20 most frequent levels. Each column has one
    more for being missing.

    Raises
    ------
    InvariantError
        There are no rows or no columns, or one holds neither numbers, levels nor vectors.
    """
    if not rows.height or not names:
        raise InvariantError(f"rows are compared by columns of a reference's rows; found {rows.height} and {names}")
    return Encoding(tuple(_fitted(rows, name) for name in names))


def _fitted(rows: pl.DataFrame, name: str) -> _Numbers | _Levels:
    if name not in rows.columns:
        raise InvariantError(f"the rows lack the column {name!r}")
    series = rows.get_column(name)
    if is_numeric(series.dtype) or series.dtype in (pl.Null, pl.Boolean):
        found = number_matrix(rows, [name])
        whole = found[np.isfinite(found).all(axis=1)]
        if not len(whole):
            return _Numbers(name, np.zeros(found.shape[1]), np.ones(found.shape[1]))
        low, centre, high = np.quantile(whole, [0.16, 0.5, 0.84], axis=0)
        spread = np.where(high > low, (high - low) / 2, whole.std(axis=0))
        return _Numbers(name, centre, np.where(spread > 0, spread, 1.0))
    if series.dtype.is_nested():
        raise InvariantError(f"column {name!r} holds {series.dtype}: neither numbers, levels nor vectors")
    counted = series.cast(pl.String).drop_nulls().value_counts().sort("count", name, descending=[True, False])
    return _Levels(name, tuple(counted.get_column(name).head(_LEVELS).to_list()))
