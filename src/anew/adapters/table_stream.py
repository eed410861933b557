"""A Parquet file as a stream of record batches: memory is bounded by the batch, not by the table."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # ships no types

from anew.domain.errors import NotFoundError, SchemaError

__all__ = ["TableStream", "open_table"]

_BATCH = 131_072
_NARROW = 16
_LIKELY_WIDTH = 384
# Pages of a column chunk are read as they are needed; without it the reader holds whole chunks of every column.
_BUFFER = 262_144


@dataclass(frozen=True, slots=True)
class TableStream:
    """The rows of a Parquet file, by column or by batch. It may be read any number of times.

    Text comes dictionary-encoded, so that a category costs one small integer per row.

    Parameters
    ----------
    path
        The file.
    rows
        How many there are.
    types
        Arrow type of each column as text, in the file's order; ``dictionary`` types are told as what they hold.
    unsupported
        Columns that hold neither numbers nor levels nor lists of numbers: other lists, structs, maps.
    widths
        Numbers in a vector, or a guess at it, of each column that holds lists of numbers.
    """

    path: Path
    rows: int
    types: Mapping[str, str]
    unsupported: frozenset[str]
    widths: Mapping[str, int]
    _metadata: Any
    _text: tuple[str, ...]

    def column(self, name: str) -> "pa.ChunkedArray":
        """Return one column whole.

        Raises
        ------
        SchemaError
            The file is damaged.
        """
        with _told(self.path), self._opened() as file:
            return file.read(columns=[name], use_threads=False).column(name)

    def batches(self, names: Sequence[str]) -> Iterator[Mapping[str, "pa.Array"]]:
        """Yield batches of the named columns, in the file's order.

        Raises
        ------
        SchemaError
            The file is damaged.
        """
        # Batches of vectors are smaller, so that they take no more memory.
        size = max(_BATCH // max(1, sum(self.widths.get(name, 0) for name in names) // _NARROW), 1)
        with _told(self.path), self._opened() as file:
            for batch in file.iter_batches(batch_size=size, columns=list(names), use_threads=False):
                yield {name: batch.column(name) for name in names}

    def sample(self, names: Sequence[str], most: int) -> Mapping[str, "pa.ChunkedArray"]:
        """Return up to `most` evenly spaced rows of the named columns.

        Raises
        ------
        SchemaError
            The file is damaged.
        """
        step, start = max(1, -(-self.rows // most)), 0
        parts: dict[str, list[Any]] = {name: [] for name in names}
        for batch in self.batches(names):
            height = len(next(iter(batch.values()), ()))
            chosen = pa.array(range(-start % step, height, step), pa.int64())
            for name, values in batch.items():
                parts[name].append(values.take(chosen))
            start += height
        types = {name: chunks[0].type for name, chunks in parts.items() if chunks}
        return {name: pa.chunked_array(chunks, types.get(name, pa.null())) for name, chunks in parts.items()}

    def _opened(self) -> "pq.ParquetFile":
        return pq.ParquetFile(
            self.path, metadata=self._metadata, read_dictionary=self._text, buffer_size=_BUFFER, pre_buffer=False
        )


def open_table(path: Path) -> TableStream:
    """Read what a Parquet file says about its rows.

    Raises
    ------
    NotFoundError
        There is no such file.
    SchemaError
        It is not Parquet, or two of its columns bear one name.
    """
    if not path.is_file():
        raise NotFoundError(f"there is no file {path}")
    with _told(path), pq.ParquetFile(path, pre_buffer=False) as file:
        schema, metadata = file.schema_arrow, file.metadata
    twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if twice:
        raise SchemaError(f"{path.name}: more than one column is called {', '.join(twice)}", twice[0])
    return TableStream(
        path=path,
        rows=metadata.num_rows,
        types={field.name: str(_held(field.type)) for field in schema},
        unsupported=frozenset(
            field.name for field in schema if pa.types.is_nested(_held(field.type)) and not _width(field.type)
        ),
        widths={field.name: width for field in schema if (width := _width(field.type))},
        _metadata=metadata,
        _text=tuple(field.name for field in schema if _is_text(field.type)),
    )


def _held(kind: "pa.DataType") -> "pa.DataType":
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _width(kind: "pa.DataType") -> int:
    """Return how many numbers a list of this type likely has; 0 for what is no list of numbers."""
    tests = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    if not any(test(kind) for test in tests):
        return 0
    inner = kind.value_type
    if not (pa.types.is_floating(inner) or pa.types.is_integer(inner)):
        return 0
    return int(kind.list_size) if pa.types.is_fixed_size_list(kind) else _LIKELY_WIDTH


def _is_text(kind: "pa.DataType") -> bool:
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(test(kind) for test in tests)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as exc:
        # Arrow's first line says it; the rest quotes its own source.
        said = str(exc).strip().splitlines()[0] if str(exc).strip() else type(exc).__name__
        raise SchemaError(f"{path.name} cannot be read as Parquet: {said}") from exc
