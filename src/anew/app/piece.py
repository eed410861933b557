"""What a worker does with a piece of a history; with few imports, since each worker begins by making them."""

import io
from collections.abc import Mapping
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # ships no types

from anew.adapters.table_file import seen_columns
from anew.domain.column import Columns
from anew.domain.errors import SchemaError
from anew.loop.columns import profile_columns
from anew.stats.profile import Profile, Reference

__all__ = ["Found", "Piece", "Told", "begin", "count"]

Told = tuple[bytes, Columns, int]
"""The packed reference, the project's columns, and the microseconds of a window."""
Piece = tuple[str, tuple[int, ...], bytes]
"""A file and its row groups; or the rows of them as a Parquet file, where workers do not see ours."""
Found = tuple[int, Mapping[int, bytes]]
"""Rows read, and the packed profile of each window by its number since 1970."""


def begin(told: Told) -> tuple[Reference, Columns, int]:
    """Return what a worker keeps for all its pieces."""
    packed, columns, width = told
    reference = Reference.from_bytes(packed)
    return reference.only(each for each in reference.names if each in columns.names), columns, width


def count(state: tuple[Reference, Columns, int], piece: Piece) -> Found:
    """Profile a piece, window by window, a batch of one row group at a time.

    Raises
    ------
    SchemaError
        A column is missing, or cannot be read as what it is declared.
    """
    reference, columns, width = state
    name, groups, enclosed = piece
    wanted = reference.names
    merged: dict[int, Profile] = {}
    rows = 0
    with pq.ParquetFile(io.BytesIO(enclosed) if enclosed else name) as file:
        missing = sorted({columns.time, *wanted} - set(file.schema_arrow.names))
        if missing:
            raise SchemaError(f"{Path(name).name} has no column {', '.join(missing)}", missing[0])
        for batch in file.iter_batches(row_groups=list(groups) or None, columns=[columns.time, *wanted]):
            frame = pl.DataFrame(seen_columns(pl.DataFrame(batch), columns, Path(name).name, wanted))
            rows += frame.height
            numbered = frame.with_columns(_window=pl.col("_at").to_physical() // width)
            for (number,), part in numbered.partition_by("_window", as_dict=True).items():
                profile = reference.profile(profile_columns(part, columns))
                merged[number] = merged[number] + profile if number in merged else profile
    return rows, {number: profile.to_bytes() for number, profile in merged.items()}
