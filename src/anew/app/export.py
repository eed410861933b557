"""Stored answers with their labels as a file for others, personal columns as pseudonyms."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Self

import polars as pl

from anew.adapters._lake_frame import with_sensitive
from anew.adapters.pseudonym import Pseudonyms
from anew.adapters.table_writer import TableWriter
from anew.app.new_file import require_new
from anew.app.settings import Settings
from anew.app.stores import open_lake
from anew.domain.errors import NotFoundError, SettingsError
from anew.domain.interval import Interval
from anew.ports.lake import Lake

__all__ = ["FORMATS", "Exported", "export_rows"]

FORMATS = (".parquet", ".csv", ".jsonl")
_DAY = timedelta(days=1)
_FORMULA = r"^[=+\-@\t\r]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written: rows, those of them with a label, the columns, and which of them are pseudonyms."""

    rows: int
    labelled: int
    columns: tuple[str, ...]
    pseudonyms: tuple[str, ...]


def export_rows(settings: Settings, span: Interval, to: Path, *, personal: bool = False) -> Exported:
    """Write the answers of `span` by event time into a new file, a day at a time.

    Parameters
    ----------
    to
        Not there yet; its ending says the format: `FORMATS`. A file is whole, or not there.
    personal
        Whether personal columns keep their values.

    Raises
    ------
    SettingsError
        The ending names no format.
    ConflictError
        The file is there already.
    NotFoundError
        There is no answer in that time, no folder for the file, or nothing to make pseudonyms with.
    """
    if to.suffix not in FORMATS:
        raise SettingsError(f"{to.name} has to end in {', '.join(FORMATS)}: the ending says the format")
    require_new(to)
    hidden = () if personal else settings.policy.columns.personal
    pseudonyms = Pseudonyms(settings.state / "keys") if hidden else None
    rows = labelled = 0
    columns: tuple[str, ...] = ()
    draft = to.with_name(f".{to.name}.draft{to.suffix}")
    try:
        with open_lake(settings) as lake, _Writer(draft) as writer:
            for day in _days(span):
                frame = _frame(settings, lake, day)
                if pseudonyms is not None:
                    frame = _hidden(frame, hidden, pseudonyms)
                if frame.height:
                    writer.write(frame)
                rows += frame.height
                labelled += frame.height - frame.get_column("_label").null_count()
                columns = tuple(frame.columns)
        if not rows:
            raise NotFoundError(f"there is no answer from {span.start.isoformat()} to {span.end.isoformat()}")
        os.replace(draft, to)  # noqa: PTH105  one call that replaces
    finally:
        draft.unlink(missing_ok=True)
    return Exported(rows=rows, labelled=labelled, columns=columns, pseudonyms=tuple(hidden))


def _days(span: Interval) -> Iterator[Interval]:
    start = span.start
    while start < span.end:
        end = min(start + _DAY, span.end)
        yield Interval(start=start, end=end)
        start = end


def _frame(settings: Settings, lake: Lake, span: Interval) -> pl.DataFrame:
    """Return the answers of a day with the labels that count."""
    columns = settings.columns
    said = lake.labels(span).select("_prediction", _label="_value", _source="_source", _labelled_at="_received_at")
    rows = with_sensitive(columns, lake.predictions(span)).join(said, left_on="_id", right_on="_prediction", how="left")
    key = [pl.col("_key").alias(columns.key)] if columns.key and columns.key not in columns.names else []
    return rows.sort("_at", "_id").select(
        *("_id", "_at", "_version", "_arm", "_output", "_label", "_source", "_labelled_at"),
        *key,
        *columns.names,
        *columns.sensitive,
    )


def _hidden(frame: pl.DataFrame, names: tuple[str, ...], pseudonyms: Pseudonyms) -> pl.DataFrame:
    """Return the frame with pseudonyms in the place of what is personal."""
    return frame.with_columns(
        pl.Series(name, [pseudonyms.of(name, value) for value in frame.get_column(name).to_list()], dtype=pl.String)
        for name in names
    )


class _Writer:
    """Writes frames of the same columns one after the other."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._parquet = TableWriter(path) if path.suffix == ".parquet" else None
        self._begun = False

    def __enter__(self) -> Self:
        if self._parquet is not None:
            self._parquet.__enter__()
        return self

    def write(self, frame: pl.DataFrame) -> None:
        """Append a frame."""
        if self._parquet is not None:
            self._parquet.write(frame)
            return
        with self._path.open("ab") as opened:
            if self._path.suffix == ".csv":
                _inert(frame).write_csv(opened, include_header=not self._begun, datetime_format="%+")
            else:
                frame.write_ndjson(opened)
        self._begun = True

    def __exit__(self, *told: object) -> None:
        if self._parquet is not None:
            self._parquet.__exit__(*told)  # type: ignore[arg-type]  # what a context manager is told


def _inert(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame of plain cells: lists as JSON, and no text that a spreadsheet would take for a formula."""
    lists = [name for name, kind in frame.schema.items() if isinstance(kind, pl.List | pl.Array)]
    plain = frame.with_columns(
        pl.Series(name, [None if cell is None else json.dumps(cell) for cell in frame.get_column(name).to_list()])
        for name in lists
    )
    texts = [pl.col(name) for name, kind in plain.schema.items() if kind == pl.String]
    return plain.with_columns(
        pl.when(text.str.contains(_FORMULA)).then(pl.lit("'") + text).otherwise(text).name.keep() for text in texts
    )
