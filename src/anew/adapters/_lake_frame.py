"""Observations as frames of a lake: the schemas of its tables, and the way there and back."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import polars as pl

from anew.domain.column import Column, ColumnKind, Columns
from anew.domain.errors import SchemaError
from anew.domain.observation import IMPORTED, FeedbackEvent, Label, Observation, Prediction

__all__ = [
    "RANGED_BY",
    "Schema",
    "as_classes",
    "class_text",
    "frames",
    "history_frame",
    "schema_of",
    "shape_of",
    "with_sensitive",
]

Schema = dict[str, pl.DataType]

RANGED_BY: Mapping[str, str] = {
    "predictions": "_at", "labels": "_prediction", "feedback": "_prediction", "history": "_at",
}  # fmt: skip
"""The tables, each with the column that reads select by."""

_INSTANT = pl.Datetime("us", "UTC")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)

_OPTIONAL: Mapping[str, str | None] = {"_key": "", "_extra": None}
"""What history may leave out, and what stands there then."""


def _feature(column: Column) -> pl.DataType:
    if column.kind is ColumnKind.VECTOR:
        return pl.List(pl.Float64())  # Delta has no arrays of one width
    return pl.Float64() if column.kind is ColumnKind.NUMBER else pl.String()


def schema_of(columns: Columns) -> Mapping[str, Schema]:
    """Return the columns of each table.

    Text is String, numbers are Float64, vectors lists of them; answers are text or, for regression, numbers. `_extra`
    keeps what requests carried beside the features (sensitive columns, the key) as JSON, or null.
    """
    features = {column.name: _feature(column) for column in columns.features}
    answer: pl.DataType = pl.String() if columns.task.classifies else pl.Float64()
    text, whole = pl.String(), pl.Int64()
    sensitive: Schema = {"_extra": text} if columns.sensitive else {}
    return {
        "predictions": {
            "_id": text, "_at": _INSTANT, "_received_at": _INSTANT, "_key": text, "_version": text, "_arm": text,
            "_output": answer, "_proba": pl.List(pl.Float64()), "_epoch": whole, "_latency_us": whole,
            "_shadow_version": text, "_shadow_output": answer, "_shadow_problem": text, "_extra": text, **features,
        },
        "labels": {
            "_id": text, "_prediction": text, "_at": _INSTANT, "_received_at": _INSTANT,
            "_value": answer, "_source": text, "_revision": whole,
        },
        "feedback": {
            "_id": text, "_prediction": text, "_at": _INSTANT, "_received_at": _INSTANT,
            "_event": text, "_value": pl.Float64(), "_source": text,
        },
        "history": {"_at": _INSTANT, "_label": answer, "_source": text, "_key": text, **sensitive, **features},
    }  # fmt: skip


def shape_of(columns: Columns) -> str:
    """Return the columns of each table as a lake's mark keeps them, as JSON."""
    return json.dumps({t: {n: str(k) for n, k in schema.items()} for t, schema in schema_of(columns).items()})


def class_text(value: object) -> str:
    """Write a class label as the text that stands for it in the lake: ``str(class)``, with 1.0 the class 1."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def as_classes(texts: pl.Series, columns: Columns) -> pl.Series:
    """Turn the text of `_output`, `_label` or `_value` back into the classes as declared; an unknown text becomes null.

    Classes that are all numbers give Int64, others String. Numbers, for regression, come back as they are.
    """
    if not columns.task.classifies:
        return texts
    known = {class_text(value): value for value in columns.classes}
    if all(isinstance(value, int) for value in known.values()):
        return texts.replace_strict(known, default=None, return_dtype=pl.Int64)
    return texts.replace_strict({text: text for text in known}, default=None, return_dtype=pl.String)


def frames(columns: Columns, observations: Sequence[Observation]) -> Mapping[str, pl.DataFrame]:
    """Turn a batch into frames of the tables ``predictions``, ``labels`` and ``feedback``, rows in their order.

    What the edge let through is stored: a value that does not fit its column becomes null, it never blocks the batch.
    """
    schemas = schema_of(columns)
    predictions = [o for o in observations if isinstance(o, Prediction)]
    labels = [o for o in observations if isinstance(o, Label)]
    feedback = [o for o in observations if isinstance(o, FeedbackEvent)]
    return {
        "predictions": _frame(_prediction_cells(columns, predictions), schemas["predictions"]),
        "labels": _frame(_label_cells(columns, labels), schemas["labels"]),
        "feedback": _frame(_feedback_cells(feedback), schemas["feedback"]),
    }


def _prediction_cells(columns: Columns, batch: Sequence[Prediction]) -> dict[str, list[Any]]:
    answer = class_text if columns.task.classifies else _number
    cells: dict[str, list[Any]] = {
        "_id": [p.id for p in batch],
        "_at": [_micros(p.at) for p in batch],
        "_received_at": [_micros(p.received_at) for p in batch],
        "_key": [p.key for p in batch],
        "_version": [p.version for p in batch],
        "_arm": [p.arm for p in batch],
        "_output": [answer(p.answer.output) for p in batch],
        "_proba": [None if p.answer.proba is None else list(p.answer.proba) for p in batch],
        "_epoch": [p.epoch for p in batch],
        "_latency_us": [p.latency_us for p in batch],
        "_shadow_version": [p.shadow_version for p in batch],
        "_shadow_output": [None if p.shadow is None else answer(p.shadow.output) for p in batch],
        "_shadow_problem": [p.shadow_problem for p in batch],
        "_extra": [json.dumps(dict(p.extra), sort_keys=True) if p.extra else None for p in batch],
    }
    for column in columns.features:
        cell = _cell(column)
        cells[column.name] = [cell(p.row.get(column.name)) for p in batch]
    return cells


def _label_cells(columns: Columns, batch: Sequence[Label]) -> dict[str, list[Any]]:
    value = class_text if columns.task.classifies else _number
    return {
        "_id": [o.id for o in batch],
        "_prediction": [o.prediction for o in batch],
        "_at": [_micros(o.at) for o in batch],
        "_received_at": [_micros(o.received_at) for o in batch],
        "_value": [None if o.value is None else value(o.value) for o in batch],
        "_source": [o.source for o in batch],
        "_revision": [o.revision for o in batch],
    }


def _feedback_cells(batch: Sequence[FeedbackEvent]) -> dict[str, list[Any]]:
    return {
        "_id": [o.id for o in batch],
        "_prediction": [o.prediction for o in batch],
        "_at": [_micros(o.at) for o in batch],
        "_received_at": [_micros(o.received_at) for o in batch],
        "_event": [o.event for o in batch],
        "_value": [_number(o.value) for o in batch],
        "_source": [o.source for o in batch],
    }


def _micros(at: datetime) -> int:
    return (at - _EPOCH) // _MICRO


def _number(value: object) -> float | None:
    if isinstance(value, int | float):
        try:
            return float(value)
        except OverflowError:  # an integer beyond 1e308
            return math.inf if value > 0 else -math.inf
    return None


def _cell(column: Column) -> Callable[[object], object]:
    if column.kind is ColumnKind.VECTOR:
        return partial(_vector, width=column.width)
    return _number if column.kind is ColumnKind.NUMBER else _text


def _vector(value: object, width: int) -> list[float] | None:
    if not isinstance(value, tuple | list) or len(value) != width:
        return None
    numbers = [_number(each) for each in value]
    return [each for each in numbers if each is not None] if None not in numbers else None


def _text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else class_text(value)


def _frame(cells: Mapping[str, list[Any]], schema: Schema) -> pl.DataFrame:
    return pl.DataFrame([_series(name, cells[name], kind) for name, kind in schema.items()])


def _series(name: str, cells: list[Any], kind: pl.DataType) -> pl.Series:
    if kind == _INSTANT:
        return pl.Series(name, cells, dtype=pl.Int64).cast(_INSTANT)
    try:
        return pl.Series(name, cells, dtype=kind)
    except UnicodeEncodeError:
        # A lone surrogate is no text that a file can hold; the edge refuses it, a batch must not stick on it.
        return pl.Series(name, [c and c.encode("utf-8", "replace").decode() for c in cells], dtype=kind)


def _converted(frame: pl.DataFrame, name: str, kind: pl.DataType) -> pl.Series:
    if name not in frame.columns:
        return pl.Series(name, [_OPTIONAL[name]], dtype=kind).new_from_index(0, frame.height)
    series = frame[name]
    if kind == _INSTANT and isinstance(series.dtype, pl.Datetime) and series.dtype.time_zone is None:
        raise SchemaError(
            f"instants in {name} have no time zone; say dt.replace_time_zone('UTC') if they are UTC", name
        )
    if kind == pl.String() and series.dtype.is_integer():
        return series.cast(kind)
    if kind == pl.String() and (series.dtype.is_numeric() or series.dtype == pl.Boolean):
        return pl.Series(name, [None if v is None else class_text(v) for v in series.to_list()], dtype=kind)
    if kind == _INSTANT and not isinstance(series.dtype, pl.Datetime):
        raise SchemaError(
            f"column {name} is {series.dtype}; instants are Datetime with a zone, units are never guessed", name
        )
    try:
        return series.cast(kind)
    except pl.exceptions.PolarsError as exc:
        raise SchemaError(f"column {name} is {series.dtype} and does not convert to {kind}: {exc}", name) from exc


def history_frame(columns: Columns, frame: pl.DataFrame) -> pl.DataFrame:
    """Bring imported rows into the schema of ``history``; time, target and key may bear their declared names.

    Rows of a frame without a ``_source`` come from the source ``history``.

    Raises
    ------
    SchemaError
        A column is missing or of a type that does not convert, an instant has no zone, or a time or label is missing.
    """
    names = {columns.time: "_at", columns.target: "_label"}
    named = frame.rename({k: v for k, v in names.items() if v not in frame.columns and k in frame.columns})
    if "_source" not in frame.columns:
        named = named.with_columns(_source=pl.lit(IMPORTED))
    if columns.key in frame.columns and "_key" not in frame.columns:
        named = named.with_columns(_key=pl.col(columns.key).cast(pl.String).fill_null(""))
    schema = schema_of(columns)["history"]
    missing = [name for name in schema if name not in named.columns and name not in _OPTIONAL]
    if missing:
        raise SchemaError(f"rows for history lack the columns {missing}; they have {named.columns}", missing[0])
    rows = named.select([_converted(named, name, kind) for name, kind in schema.items()])
    for name, meant in (("_at", columns.time), ("_label", columns.target)):
        if rows[name].null_count():
            raise SchemaError(f"{rows[name].null_count()} of {rows.height} rows have no {meant}; leave them out", meant)
    there = [name for name in columns.sensitive if name in frame.columns]
    return rows.with_columns(frame.select(pl.struct(there).struct.json_encode().alias("_extra"))) if there else rows


def with_sensitive(columns: Columns, rows: pl.DataFrame) -> pl.DataFrame:
    """Return `rows` with ``_extra`` replaced by the sensitive columns as text; whole numbers have no fraction."""
    if not columns.sensitive:
        return rows
    extra = [{} if text is None else json.loads(text) for text in rows.get_column("_extra").to_list()]
    found = ([each.get(name) for each in extra] for name in columns.sensitive)
    series = [
        pl.Series(name, [None if cell is None else class_text(cell) for cell in cells], dtype=pl.String)
        for name, cells in zip(columns.sensitive, found, strict=True)
    ]
    return rows.drop("_extra").with_columns(series)
