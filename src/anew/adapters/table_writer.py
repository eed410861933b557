"""A Parquet file written batch by batch, whole or not at all."""

from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import polars as pl
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # ships no types

__all__ = ["TableWriter"]


@dataclass(slots=True)
class TableWriter:
    """Use it in a ``with`` block: the file is there when the block ends well, and not when it does not."""

    path: Path
    _writer: Any = field(default=None, init=False)

    @property
    def _draft(self) -> Path:
        return self.path.with_name(f".{self.path.name}.draft")

    def __enter__(self) -> Self:
        return self

    def write(self, frame: pl.DataFrame) -> None:
        """Append `frame`; all frames have the same columns."""
        table = frame.to_arrow()
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._draft, table.schema)
        self._writer.write_table(table)

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if self._writer is not None:
            self._writer.close()
            if kind is None:
                self._draft.replace(self.path)
        self._draft.unlink(missing_ok=True)
