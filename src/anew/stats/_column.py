"""Read a column, whatever holds it, as plain numbers or as coded levels.

Numpy and pyarrow arrays (dictionary and chunked ones too) are columns; a polars series is one after `.to_arrow()`.
Null is what the container calls missing (`None`, an Arrow null, `NaT`); NaN is a value of its own.
"""

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]  # ships no types

from anew.domain.errors import SchemaError

__all__ = ["Column", "Kind", "kind_of", "levels", "numbers", "plain"]

Array: TypeAlias = npt.NDArray[Any]
Column: TypeAlias = "Array | pa.Array | pa.ChunkedArray"
Kind: TypeAlias = Literal["numeric", "categorical"]


def _arrow(column: Column) -> "pa.Array | pa.ChunkedArray":
    if not isinstance(column, np.ndarray):
        return column
    if column.ndim != 1:
        raise SchemaError(f"a column has one dimension, this one has the shape {column.shape}")
    if column.dtype.kind not in "OUS":
        return pa.array(column, from_pandas=False)
    values = column.tolist()
    # Among numbers NaN and None are told apart; among text NaN is pandas' way to write null.
    for nan_is_null in (False, True):
        with suppress(pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
            return pa.array(values, from_pandas=nan_is_null)
    raise SchemaError("a column holds numbers or levels, not a mixture of them")


def kind_of(column: Column) -> Kind:
    """Say whether a column holds numbers (booleans and instants are numbers too) or levels.

    Raises
    ------
    SchemaError
        The column has not one dimension, or holds lists, structs or a mixture.
    """
    if isinstance(column, np.ndarray) and column.ndim == 1 and column.dtype.kind in "biufmM":
        return "numeric"
    kind = _arrow(column).type
    if pa.types.is_dictionary(kind):
        return "categorical"
    if pa.types.is_nested(kind):
        raise SchemaError(f"a column holds numbers or levels, not {kind}: give each element a column of its own")
    return "numeric" if _is_number(kind) else "categorical"


@lru_cache(maxsize=256)
def _is_number(kind: pa.DataType) -> bool:
    tests = (pa.types.is_floating, pa.types.is_integer, pa.types.is_boolean, pa.types.is_decimal, pa.types.is_temporal)
    return any(test(kind) for test in tests)


def _chunks(column: Column) -> "list[pa.Array]":
    held = _arrow(column)
    return list(held.chunks) if isinstance(held, pa.ChunkedArray) else [held]


def _floats(chunk: "pa.Array") -> npt.NDArray[np.float64]:
    """Return an Arrow array without nulls as float64; instants and durations in seconds, whatever their unit was."""
    kind = chunk.type
    if pa.types.is_dictionary(kind):
        return _floats(chunk.dictionary_decode())
    if pa.types.is_temporal(kind):
        micros: pa.DataType = pa.timestamp("us", getattr(kind, "tz", None))
        if pa.types.is_duration(kind):
            micros = pa.duration("us")
        elif pa.types.is_time(kind):
            micros = pa.time64("us")
        seconds: npt.NDArray[np.float64] = _floats(chunk.cast(micros, safe=False).cast(pa.int64())) / 1e6
        return seconds
    if pa.types.is_null(kind):
        return np.empty(0)
    if not _is_number(kind):
        # Text that reads as a number is another type all the same.
        raise SchemaError(f"a numeric column holds numbers, this one holds {kind}")
    if pa.types.is_decimal(kind) or pa.types.is_boolean(kind):
        chunk = chunk.cast(pa.uint8() if pa.types.is_boolean(kind) else pa.float64())
    return np.asarray(plain(chunk), dtype=np.float64)


def plain(chunk: "pa.Array") -> Array:
    """Return an Arrow array of numbers without nulls as it lies in memory.

    Its `to_numpy` would import pandas, where that is installed, which takes as long as a million rows do.
    """
    found: Array = np.from_dlpack(chunk)
    return found


def numbers(column: Column) -> Iterator[tuple[npt.NDArray[np.float64], int]]:
    """Yield, for each chunk of a numeric column, its values that are not null, shape (k,), and the number of nulls.

    Integers beyond 2**53 are rounded to the nearest float64.

    Raises
    ------
    SchemaError
        The column holds something that is not a number.
    """
    if isinstance(column, np.ndarray) and column.ndim == 1 and column.dtype.kind in "biuf":
        yield column.astype(np.float64, copy=False), 0
        return
    for chunk in _chunks(column):
        nulls = chunk.null_count
        yield _floats(chunk.drop_null() if nulls else chunk), nulls


def levels(column: Column) -> Iterator[tuple[list[str | None], npt.NDArray[np.int64]]]:
    """Yield, for each chunk, its distinct levels as text (null as None) and how often each occurs, shape (k,).

    Levels that are not text (numbers, bytes, booleans) are compared by their text, and may then occur twice. NaN is
    null among objects, as pandas means it.
    """
    if isinstance(column, np.ndarray) and column.ndim == 1 and column.dtype.kind in "OUS":
        # Text is cheaper to count than to copy to Arrow.
        found = Counter(column.tolist())
        yield [_text(level) for level in found], np.fromiter(found.values(), np.int64, len(found))
        return
    for chunk in _chunks(column):
        if pa.types.is_null(chunk.type):
            yield [None], np.array([len(chunk)])
            continue
        coded = chunk if pa.types.is_dictionary(chunk.type) else _encode(chunk)
        names = coded.dictionary.to_pylist()
        if not _is_text(coded.dictionary.type):
            names = [_text(name) for name in names]
        codes = coded.indices
        nulls = codes.null_count
        held = plain(codes.drop_null() if nulls else codes)
        yield [*names, None], np.append(np.bincount(held, minlength=len(names)), nulls)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _encode(chunk: "pa.Array") -> "pa.DictionaryArray":
    if pa.types.is_string_view(chunk.type) or pa.types.is_binary_view(chunk.type):
        chunk = chunk.cast(pa.large_string())
    return chunk.dictionary_encode()


def _text(level: object) -> str | None:
    if level is None or isinstance(level, str):
        return level
    if isinstance(level, bytes):
        return level.decode("utf-8", "backslashreplace")
    return None if isinstance(level, float) and math.isnan(level) else str(level)
