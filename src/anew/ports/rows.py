"""Rows as frames, checked on both sides of `features`: declared columns in, model inputs out."""

from typing import TYPE_CHECKING

import polars as pl

from anew.domain.column import ColumnKind, Columns
from anew.domain.errors import SchemaError
from anew.ports.pipeline import Pipeline

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["declared_rows", "input_matrix", "model_inputs"]

_TYPES = {ColumnKind.NUMBER: pl.Float64, ColumnKind.CATEGORY: pl.String}


def declared_rows(frame: pl.DataFrame, columns: Columns) -> pl.DataFrame:
    """Return the declared features of `frame` in their order, numbers as Float64 and categories as String.

    Raises
    ------
    SchemaError
        A declared column is missing, or holds what is not of its kind.
    """
    schema = frame.schema  # read once: it is made anew at each reading
    missing = [name for name in columns.names if name not in schema]
    if missing:
        raise SchemaError(f"declared columns {missing} are missing; the rows have {list(schema)}", missing[0])
    if all(schema[column.name] == _TYPES[column.kind] for column in columns.features):
        return frame.select(columns.names)
    return frame.select(_cast(frame, column.name, column.kind) for column in columns.features)


def _cast(frame: pl.DataFrame, name: str, kind: ColumnKind) -> pl.Series:
    series = frame.get_column(name)
    number = series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.Null)
    if (kind is ColumnKind.NUMBER and not number) or series.dtype.is_nested():
        raise SchemaError(f"column {name!r} is declared as a {kind} and holds {series.dtype}", name)
    return series.cast(_TYPES[kind])


def model_inputs(pipeline: Pipeline, rows: pl.DataFrame) -> pl.DataFrame:
    """Return what `features` makes of declared rows.

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
    return found


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
