"""Labelled rows from a file: Parquet or CSV."""

import hashlib
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import polars as pl

from anew.adapters.csv_file import read_csv
from anew.adapters.iso_text import iso_problem
from anew.adapters.rust_panic import RustPanicError, without_panic
from anew.domain.column import GREATEST, Column, ColumnKind, Columns, out_of_reach
from anew.domain.errors import NotFoundError, SchemaError
from anew.ports.rows import vectors

__all__ = ["file_digest", "labelled_rows", "read_table", "refuse_future", "seen_columns", "table_reach"]


def read_table(file: Path, *, texts: Collection[str] = ()) -> pl.DataFrame:
    """Read a Parquet or CSV file, or a Delta table in a folder, whole.

    Parameters
    ----------
    texts
        Columns that a CSV file holds as text, though they may look like numbers.

    Raises
    ------
    NotFoundError
        There is no such file.
    SchemaError
        It is neither, or cannot be read.
    """
    if (file / "_delta_log").is_dir():
        return _read(pl.read_delta, file)
    if not file.is_file():
        raise NotFoundError(f"there is no file {file}")
    readers: dict[str, Callable[..., pl.DataFrame]] = {
        ".parquet": pl.read_parquet,
        ".csv": partial(read_csv, texts=texts),
    }
    reader = readers.get(file.suffix.lower())
    if reader is None:
        raise SchemaError(f"{file.name}: files of type {file.suffix or '(none)'} cannot be read; use .parquet or .csv")
    return _read(reader, file)


def _read(reader: Callable[..., pl.DataFrame], file: Path) -> pl.DataFrame:
    try:
        with without_panic():
            return reader(file)
    except (pl.exceptions.PolarsError, OSError) as exc:
        raise SchemaError(f"{file.name} cannot be read: {exc}") from exc
    except RustPanicError as exc:
        raise SchemaError(f"{file.name} is damaged; write it again from its source: {exc}") from exc


def table_reach(file: Path, time: str) -> tuple[int, timedelta]:
    """Return the rows of a file, and the event time between its first and its last; of Parquet no more is read.

    Raises
    ------
    NotFoundError
        There is no such file.
    SchemaError
        It cannot be read, or its column `time` holds no instants.
    """
    if file.suffix.lower() == ".parquet" and file.is_file():
        frame = _read(lambda each: pl.scan_parquet(each).select(time).collect(), file)
    else:
        frame = read_table(file)
    if time not in frame.columns:
        raise SchemaError(f"{file.name} has no column {time} (it has {', '.join(frame.columns)})", time)
    at = _timestamps(frame, time, file.name)
    first, last = at.min(), at.max()
    if not isinstance(first, datetime) or not isinstance(last, datetime):
        return frame.height, timedelta(0)
    return frame.height, last - first


def labelled_rows(
    frame: pl.DataFrame, columns: Columns, name: str, outcomes: Sequence[str] = (), *, label_time: str = ""
) -> pl.DataFrame:
    """Return ``_at`` (UTC microseconds), ``_label`` and the declared features, in time order, ties as in the file.

    Timestamps without a zone are read as UTC. Rows without a label are left out. A column ``_source`` that says whose
    word each label is, the key, and sensitive columns (as text) are kept.

    Parameters
    ----------
    name
        Of the file, for messages.
    outcomes
        Columns of numbers that are kept as they are, where the file has them.
    label_time
        Column that says when each label came; it is returned as ``_labelled_at``, null for a label that never did.

    Raises
    ------
    SchemaError
        A declared column is missing or not of its declared kind; the message names column and type found.
    """
    wanted = (columns.time, columns.target, *columns.names, *([label_time] if label_time else []))
    missing = [each for each in wanted if each not in frame.columns]
    if missing:
        raise SchemaError(f"{name} has no column {', '.join(missing)} (it has {', '.join(frame.columns)})", missing[0])
    at, *features = seen_columns(frame, columns, name, columns.names)
    chosen = [at, _label(frame.get_column(columns.target), columns, name).alias("_label"), *features]
    taken = {columns.time, columns.target, *columns.names}
    beside = [name for name in (columns.key, *columns.sensitive) if name not in taken and name in frame.columns]
    chosen += [frame.get_column(name).cast(pl.String) for name in dict.fromkeys(beside)]
    if label_time:
        chosen.append(_timestamps(frame, label_time, name).alias("_labelled_at"))
    if "_source" in frame.columns:
        chosen.append(frame.get_column("_source").cast(pl.String).fill_null(""))
    kept = [Column(name=each, kind=ColumnKind.NUMBER) for each in outcomes if each in frame.columns]
    chosen += [_feature(frame.get_column(each.name), each, name) for each in kept]
    rows = pl.DataFrame(chosen)
    return rows.filter(pl.col("_label").is_not_null()).sort("_at", maintain_order=True)


def seen_columns(frame: pl.DataFrame, columns: Columns, name: str, wanted: Collection[str]) -> list[pl.Series]:
    """Return ``_at`` (UTC microseconds) and the `wanted` ones of the declared features, which `frame` has.

    Raises
    ------
    SchemaError
        A time is missing, or a column is not of its declared kind.
    """
    at = _timestamps(frame, columns.time, name)
    if at.null_count():
        raise SchemaError(f"{name}: {at.null_count()} rows have no time in {columns.time!r}", columns.time)
    chosen = [at.alias("_at")]
    for column in columns.features:
        if column.name not in wanted:
            continue
        try:
            chosen.append(_feature(frame.get_column(column.name), column, name))
        except pl.exceptions.PolarsError as exc:
            raise SchemaError(f"{name}: column {column.name!r} is no {column.kind}: {exc}", column.name) from exc
    return chosen


def refuse_future(frame: pl.DataFrame, column: str, name: str, latest: datetime) -> None:
    """Refuse rows whose time in `column` lies after `latest`: event time would go on from there.

    Raises
    ------
    SchemaError
        There are such rows, which the message counts, or the column holds no times. One that is missing is let be.
    """
    if column not in frame.columns:
        return
    at = _timestamps(frame, column, name)
    rows = (at > latest).arg_true()
    if rows.len():
        first = int(rows[0])
        instant = at.slice(first, 1).dt.strftime("%Y-%m-%dT%H:%M:%S%:z")[0]
        raise SchemaError(
            f"{name}: {rows.len()} of {at.len()} rows lie in the future, the first of them is row {first + 1}: "
            f"{column!r} {instant}, and {latest.isoformat(timespec='seconds')} is the latest allowed "
            "(serving.future_skew). Correct them or leave them out; times without a zone are read as UTC",
            column,
        )


def _timestamps(frame: pl.DataFrame, column: str, name: str) -> pl.Series:
    at = frame.get_column(column)
    if not at.dtype.is_temporal() or at.dtype in (pl.Time, pl.Duration):
        why = iso_problem(at) if at.dtype == pl.String else ""
        found = f"{at.dtype}; it must hold timestamps{why and ', and '}{why}"
        raise SchemaError(f"{name}: the time column {column!r} is {found}", column)
    return _instants(at)


def _instants(at: pl.Series) -> pl.Series:
    stamps = at.cast(pl.Datetime("us", at.dtype.time_zone if isinstance(at.dtype, pl.Datetime) else None))
    zone = stamps.dtype.time_zone if isinstance(stamps.dtype, pl.Datetime) else None
    return stamps.dt.convert_time_zone("UTC") if zone else stamps.dt.replace_time_zone("UTC")


def _label(label: pl.Series, columns: Columns, name: str) -> pl.Series:
    if not columns.task.classifies:
        if not label.dtype.is_numeric():
            raise SchemaError(
                f"{name}: the target {columns.target!r} is {label.dtype}, a number is needed", columns.target
            )
        numbers = label.cast(pl.Float64)
        numbers = numbers.set(~numbers.is_finite(), None)
        far = (numbers.abs() > GREATEST).arg_true()
        if far.len():
            row = int(far[0])
            raise SchemaError(
                f"{name}: {far.len()} of {numbers.len()} rows have a target that no mean can be taken of, the first of "
                f"them is row {row + 1}: {columns.target!r}: {out_of_reach(numbers[row])}. Correct them or leave them "
                "out",
                columns.target,
            )
        return numbers
    known = {str(each): each for each in columns.classes}
    text = _whole(label).cast(pl.String)
    strange = sorted(set(text.drop_nulls().unique().to_list()) - known.keys())
    if strange:
        raise SchemaError(
            f"{name}: the target {columns.target!r} holds {', '.join(strange[:5])}; declared are {', '.join(known)}",
            columns.target,
        )
    return text.cast(pl.Int64 if columns.numbered else pl.String)


def _whole(label: pl.Series) -> pl.Series:
    """Return booleans, and floats without fractions, as integers: 1.0 and true are the class 1; NaN is no label."""
    if label.dtype == pl.Boolean:
        return label.cast(pl.Int64)
    if label.dtype.is_float():
        known = label.fill_nan(None)
        return known.cast(pl.Int64) if (known.is_finite() & (known == known.round())).all() else known
    return label


def _feature(values: pl.Series, column: Column, name: str) -> pl.Series:
    if column.kind is ColumnKind.CATEGORY:
        return values.cast(pl.String)
    if column.kind is ColumnKind.VECTOR:
        try:
            return vectors(values, column.width)
        except SchemaError as exc:
            raise SchemaError(f"{name}: {exc}", column.name) from exc
    if not (values.dtype.is_numeric() or values.dtype in (pl.Boolean, pl.Null)):
        raise SchemaError(f"{name}: column {values.name!r} is {values.dtype}, declared is a number", values.name)
    return values.cast(pl.Float64)


def file_digest(file: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
