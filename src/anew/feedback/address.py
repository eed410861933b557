"""The content address of rows: one digest over names, types, values and order, whatever file or machine held them."""

import hashlib

import numpy as np
import polars as pl

__all__ = ["rows_address"]


def rows_address(frame: pl.DataFrame) -> str:
    """Return 64 hex digits that address the rows of `frame` in their order; columns count in order of their names.

    Null differs from NaN and from the empty string, -0.0 from 0.0; every NaN is the same.
    """
    digest = hashlib.sha256(f"{frame.height}".encode())
    for name in sorted(frame.columns):
        series = frame[name]
        digest.update(f"\x00{name}\x00{series.dtype}\x00".encode())
        _update(digest, series)
    return digest.hexdigest()


def _update(digest: "hashlib._Hash", series: pl.Series) -> None:
    digest.update(np.packbits(series.is_null().to_numpy()).tobytes())
    series = series.arr.to_list() if isinstance(series.dtype, pl.Array) else series
    if isinstance(series.dtype, pl.List):
        digest.update(series.list.len().fill_null(0).to_numpy().astype("<u8").tobytes())
        _update(digest, series.drop_nulls().filter(series.drop_nulls().list.len() > 0).explode())
    elif series.dtype == pl.String:
        text = series.fill_null("")
        digest.update(text.str.len_bytes().to_numpy().astype("<u8").tobytes())
        digest.update("".join(text.to_list()).encode())
    elif series.dtype.is_float():
        numbers = series.cast(pl.Float64).fill_null(0.0).to_numpy()
        digest.update(np.where(np.isnan(numbers), np.nan, numbers).astype("<f8").tobytes())
    else:
        digest.update(series.to_physical().cast(pl.Int64).fill_null(0).to_numpy().astype("<i8").tobytes())
