"""Rows as frames, checked on both sides of `features`: declared columns in, model inputs out."""

from typing import TYPE_CHECKING

import polars as pl

from anew.domain.column import GREATEST, Column, ColumnKind, Columns
from anew.domain.errors import SchemaError
from anew.ports.pipeline import Pipeline

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["column_type", "declared_rows", "flat_inputs", "input_matrix", "model_inputs", "vectors"]


def column_type(column: Column) -> pl.DataType:
    """Return what a declared column is held as: Float64, String, or an Array of Float64 as wide as its vectors."""
    if column.kind is ColumnKind.VECTOR:
        return pl.Array(pl.Float64, column.width)
    return pl.Float64() if column.kind is ColumnKind.NUMBER else pl.String()


def declared_rows(frame: pl.DataFrame, columns: Columns) -> pl.DataFrame:
    """Return the declared features of `frame` in their order, each as `column_type` says.

    Raises
    ------
    SchemaError
        A declared column is missing, or holds what is not of its kind.
    """
    schema = frame.schema  # read once: it is made anew at each reading
    missing = [name for name in columns.names if name not in schema]
    if missing:
        raise SchemaError(f"declared columns {missing} are missing; the rows have {list(schema)}", missing[0])
    if all(schema[column.name] == column_type(column) for column in columns.features):
        return frame.select(columns.names)
    return frame.select(_cast(frame.get_column(column.name), column) for column in columns.features)


def _cast(series: pl.Series, column: Column) -> pl.Series:
    if column.kind is ColumnKind.VECTOR:
        return vectors(series, column.width)
    number = series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.Null)
    if (column.kind is ColumnKind.NUMBER and not number) or series.dtype.is_nested():
        raise SchemaError(
            f"column {column.name!r} is declared as a {column.kind} and holds {series.dtype}", column.name
        )
    return series.cast(column_type(column))


def vectors(series: pl.Series, width: int) -> pl.Series:
    """Return lists or arrays of numbers as an Array of Float64; null stays null.

    Raises
    ------
    SchemaError
        It holds something else, a vector has another width, or a number in one is missing or out of reach.
    """
    name, kind = series.name, series.dtype
    if kind == pl.Null:
        return series.cast(pl.Array(pl.Float64, width))
    inner = getattr(kind, "inner", None)
    if not isinstance(kind, pl.List | pl.Array) or not (inner and (inner.is_numeric() or inner == pl.Null)):
        raise SchemaError(f"column {name!r} is declared as a vector({width}) and holds {kind}", name)
    lists = series.arr.to_list() if isinstance(kind, pl.Array) else series
    known = lists.drop_nulls()
    other = known.filter(known.list.len() != width)
    if other.len():
        found = f"{other.len()} of its values, the first with {other.list.len()[0]}"
        raise SchemaError(f"column {name!r} is declared as vectors of {width} numbers; not so {found}", name)
    flat = known.explode(empty_as_null=False).cast(pl.Float64) if known.len() else pl.Series(dtype=pl.Float64)
    bad = flat.len() - int(flat.is_between(-GREATEST, GREATEST).fill_null(value=False).sum())
    if bad:
        said = f"{bad} numbers in its vectors are missing or not from {-GREATEST:g} to {GREATEST:g}"
        raise SchemaError(f"column {name!r}: {said}", name)
    return lists.cast(pl.List(pl.Float64)).list.to_array(width)


def flat_inputs(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with each Array of numbers as columns of its own, ``NAME.0``, ``NAME.1`` and on; null as nulls.

    Raises
    ------
    SchemaError
        Two columns would bear one name.
    """
    wide = {name: kind for name, kind in frame.schema.items() if isinstance(kind, pl.Array) and len(kind.shape) == 1}
    if not wide:
        return frame
    flat = [
        pl.col(name).arr.get(i).alias(f"{name}.{i}") if name in wide else pl.col(name)
        for name in frame.columns
        for i in range(wide[name].shape[0] if name in wide else 1)
    ]
    try:
        return frame.select(flat)
    except pl.exceptions.DuplicateError as exc:
        raise SchemaError(f"the numbers of {list(wide)} become columns whose names are taken: {exc}") from exc


def model_inputs(pipeline: Pipeline, rows: pl.DataFrame) -> pl.DataFrame:
    """Return what `features` makes of declared rows, vectors as columns of numbers; see `flat_inputs`.

    Raises
    ------
    SchemaError
        It returned something else than a frame of the same height with at least one column.
    """
    found = pipeline.features(rows)
    if not isinstance(found, pl.DataFrame):
        raise SchemaError(f"features() returned {type(found).__name__}; it must return a polars.DataFrame", "features")
    if found.height != rows.height or not found.width:
        raise SchemaError(
            f"features() made {found.height} rows and {found.width} columns of {rows.height} rows; "
            "it must keep every row and return at least one column",
            "features",
        )
    return flat_inputs(found)


def input_matrix(inputs: pl.DataFrame) -> "npt.NDArray[np.float64]":
    """Return model inputs as a float matrix, shape `(n, d)`, row by row in memory; null becomes NaN.

    Raises
    ------
    SchemaError
        A column is neither number nor boolean.
    """
    for name, kind in inputs.schema.items():
        if not (kind.is_numeric() or kind in (pl.Boolean, pl.Null)):
            raise SchemaError(
                f"model input {name!r} is {kind}; the model takes numbers: let features() turn it into codes", name
            )
    return inputs.cast(pl.Float64).to_numpy(order="c", writable=True)
