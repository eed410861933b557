"""Read a column, whatever holds it, as plain numbers or as coded levels.

Numpy and pyarrow arrays (dictionary and chunked ones too) are columns; a polars series is one after `.to_arrow()`.
Null is what the container calls missing (`None`, an Arrow null, `NaT`); NaN is a value of its own.
"""

from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pyarrow.compute as pc  # type: ignore[import-untyped]  # ships no types

from anew.domain.errors import SchemaError

__all__ = ["Column", "Kind", "kind_of", "levels", "numbers"]

Array: TypeAlias = npt.NDArray[Any]
Column: TypeAlias = "Array | pa.Array | pa.ChunkedArray"
Kind: TypeAlias = Literal["numeric", "categorical"]


def _arrow(column: Column) -> "pa.Array | pa.ChunkedArray":
    if not isinstance(column, np.ndarray):
        return column
    if column.ndim != 1:
        raise SchemaError(f"a column has one dimension, this one has the shape {column.shape}")
    try:
        # Arrow reads NaN in an array of objects as null unless told otherwise; we tell them apart.
        return pa.array(column.tolist() if column.dtype.kind in "OUS" else column, from_pandas=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as exc:
        raise SchemaError(f"a column holds numbers or levels, not a mixture: {exc}") from exc


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
    tests = (pa.types.is_floating, pa.types.is_integer, pa.types.is_boolean, pa.types.is_decimal, pa.types.is_temporal)
    return "numeric" if any(test(kind) for test in tests) else "categorical"


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
    if pa.types.is_decimal(kind):
        chunk = chunk.cast(pa.float64())
    return np.asarray(chunk.to_numpy(zero_copy_only=False), dtype=np.float64)


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
        try:
            yield _floats(chunk.drop_null() if nulls else chunk), nulls
        except (ValueError, TypeError, pa.ArrowException) as exc:
            raise SchemaError(f"a numeric column holds numbers, this one holds {chunk.type}") from exc


def levels(column: Column) -> Iterator[tuple[list[str], npt.NDArray[np.int64], int]]:
    """Yield, for each chunk, its distinct levels as text, how often each occurs, shape (k,), and the number of nulls.

    Levels that are not text (numbers, bytes, booleans) are compared by their text. One bincount of dictionary codes.
    """
    for chunk in _chunks(column):
        if pa.types.is_null(chunk.type):
            yield [], np.zeros(0, np.int64), len(chunk)
            continue
        coded = chunk if pa.types.is_dictionary(chunk.type) else _encode(chunk)
        names = _text(coded.dictionary)
        codes = coded.indices
        nulls = codes.null_count
        held = (codes.drop_null() if nulls else codes).to_numpy(zero_copy_only=False)
        counts = np.bincount(held, minlength=len(names))
        if None in names:
            # A dictionary may hold null as a level: it is null all the same.
            absent = np.array([name is None for name in names])
            nulls += int(counts[absent].sum())
            counts[absent] = 0
        yield ["" if name is None else name for name in names], counts, nulls


def _encode(chunk: "pa.Array") -> "pa.DictionaryArray":
    if pa.types.is_string_view(chunk.type) or pa.types.is_binary_view(chunk.type):
        chunk = chunk.cast(pa.large_string())
    return pc.dictionary_encode(chunk)


def _text(names: "pa.Array") -> list[str | None]:
    return [name if name is None or isinstance(name, str) else _as_text(name) for name in names.to_pylist()]


def _as_text(name: object) -> str:
    return name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else str(name)
