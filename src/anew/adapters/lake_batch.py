"""Observations of a journal made ready for a lake: the costly part of storing them, which any process may do."""

import hashlib
from collections.abc import Sequence
from io import BytesIO

import polars as pl

from anew.adapters._lake_frame import RANGED_BY, frames
from anew.domain.column import Columns
from anew.domain.errors import IntegrityError
from anew.domain.observation import Observation, Prediction
from anew.ports.lake import PackedRows, PreparedBatch

__all__ = ["encode", "pack", "prepare", "unpack"]


def encode(frame: pl.DataFrame) -> bytes:
    """Return `frame` as a parquet file; the same rows give the same bytes under the same versions of polars."""
    sink = BytesIO()
    frame.rechunk().write_parquet(sink, compression="zstd", compression_level=1, statistics=True)
    return sink.getvalue()


def pack(table: str, frame: pl.DataFrame) -> PackedRows:
    """Return the rows of `frame`, of which there are some, as a file of `table` has them.

    Raises
    ------
    IntegrityError
        What was encoded does not decode to the same rows.
    """
    content = encode(frame)
    if not pl.read_parquet(BytesIO(content)).equals(frame):
        raise IntegrityError(f"{frame.height} rows for {table} do not survive encoding; nothing was stored")
    column = frame[RANGED_BY[table]]
    by = column if column.dtype == pl.String else column.to_physical()
    return PackedRows(
        content=content,
        sha256=hashlib.sha256(content).hexdigest(),
        rows=frame.height,
        low=by.min(),  # type: ignore[arg-type]  # a column of text or of whole numbers has such ends
        high=by.max(),  # type: ignore[arg-type]  # likewise
    )


def unpack(packed: PackedRows) -> pl.DataFrame:
    """Return the rows.

    Raises
    ------
    IntegrityError
        The bytes are not those that were packed.
    """
    if hashlib.sha256(packed.content).hexdigest() != packed.sha256:
        raise IntegrityError(f"{packed.rows} rows have other bytes than were prepared; nothing was stored")
    return pl.read_parquet(BytesIO(packed.content))


def prepare(
    columns: Columns, journal: str, position: int, observations: Sequence[Observation], *, after: int
) -> PreparedBatch:
    """Return what was read from `journal` between two positions, ready for a lake of these columns."""
    times = [each.at for each in observations if isinstance(each, Prediction)]
    return PreparedBatch(
        journal=journal,
        after=after,
        position=position,
        observations=len(observations),
        tables={table: pack(table, frame) for table, frame in frames(columns, observations).items() if frame.height},
        oldest=min(times, default=None),
        newest=max(times, default=None),
    )
