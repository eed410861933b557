"""Columns of a frame as one matrix of numbers."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from anew.domain.errors import InvariantError

__all__ = ["is_numeric", "number_matrix"]


def is_numeric(kind: pl.DataType) -> bool:
    """Does a column of this type hold numbers, or vectors of them?"""
    inner = getattr(kind, "inner", None)
    vector = isinstance(kind, pl.Array | pl.List) and inner is not None and inner.is_numeric()
    return kind.is_numeric() or vector


def number_matrix(rows: pl.DataFrame, names: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return numeric columns side by side, shape (n, d), vectors by each of their numbers; what is missing is NaN.

    Raises
    ------
    InvariantError
        A column is not there, holds no numbers, or vectors of different widths.
    """
    missing = [name for name in names if name not in rows.columns]
    if missing:
        raise InvariantError(f"the rows lack the columns {missing}")
    blocks = [_block(rows.get_column(name)) for name in names]
    return np.concatenate(blocks, axis=1) if blocks else np.empty((rows.height, 0))


def _block(series: pl.Series) -> npt.NDArray[np.float64]:
    if isinstance(series.dtype, pl.List):
        widths = series.drop_nulls().list.len().unique().to_list()
        if len(widths) > 1:
            raise InvariantError(f"the vectors in {series.name!r} have the widths {sorted(widths)}")
        try:
            series = series.cast(pl.List(pl.Float64)).list.to_array(widths[0] if widths else 0)
        except pl.exceptions.PolarsError as exc:
            raise InvariantError(f"column {series.name!r} holds no numbers: {exc}") from exc
    try:
        if isinstance(series.dtype, pl.Array):
            return np.asarray(series.cast(pl.Array(pl.Float64, series.dtype.shape)).to_numpy(), dtype=np.float64)
        return np.asarray(series.cast(pl.Float64).fill_null(float("nan")).to_numpy(), dtype=np.float64)[:, None]
    except (pl.exceptions.PolarsError, TypeError) as exc:
        raise InvariantError(f"column {series.name!r} holds no numbers: {exc}") from exc
