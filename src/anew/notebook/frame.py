"""Data frames of any library that speaks Arrow, and how they become files and rows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # ships no types

from anew.domain.errors import SchemaError

__all__ = ["ArrowFrame", "Frame", "rows_of", "write_frame"]


@runtime_checkable
class ArrowFrame(Protocol):
    """What speaks the Arrow PyCapsule interface: pandas 2.2 and newer, polars, pyarrow, and more."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Return the rows as a capsule of an Arrow stream."""
        ...


Frame = ArrowFrame | Mapping[str, Sequence[Any]] | Path | str
"""A data frame, columns by name, or a Parquet file."""


def write_frame(frame: Frame, file: Path) -> Path:
    """Write a frame as a Parquet file and return where it is; a file is returned as it is.

    Raises
    ------
    SchemaError
        It is none of those, or Arrow or Parquet does not take one of its columns.
    """
    if isinstance(frame, str | Path):
        return Path(frame)
    table = _arrow(frame)
    try:
        pq.write_table(table.cast(pa.schema(map(_stored, table.schema))), file)
    except pa.ArrowException as exc:
        raise SchemaError(
            f"Arrow cannot write this {type(frame).__name__} as Parquet: {exc}; leave out such a column, or give it "
            "another type"
        ) from exc
    return file


def rows_of(frame: ArrowFrame | Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Return the rows of a frame as plain values."""
    rows: list[dict[str, Any]] = _arrow(frame).to_pylist()
    return rows


def _stored(field: "pa.Field") -> "pa.Field":
    """Return a column as Parquet takes it: of no type of pandas' own, categories with plain levels."""
    if isinstance(field.type, pa.BaseExtensionType):
        field = field.with_type(field.type.storage_type)
    views = pa.types.is_dictionary(field.type) and pa.types.is_string_view(field.type.value_type)
    return field.with_type(pa.dictionary(pa.int32(), pa.string())) if views else field


def _arrow(frame: object) -> "pa.Table":
    try:
        if isinstance(frame, ArrowFrame):
            found = pa.table(frame)
        elif isinstance(frame, Mapping):
            found = pa.table(dict(frame))
        else:
            raise SchemaError(
                f"a {type(frame).__name__} is no frame: give one of pandas, polars or pyarrow, a dict of columns, or "
                "the path of a Parquet file"
            )
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as exc:
        raise SchemaError(f"Arrow does not take this {type(frame).__name__}: {exc}") from exc
    # An index that pandas sends along is no column of the rows.
    return found.drop_columns([name for name in found.column_names if name.startswith("__index_level_")])
