"""`anew label send`: labels in a file or a Delta table, sent to the gateway that keeps them for the loop."""

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import polars as pl

from anew.adapters.table_file import read_table
from anew.app.log_file import LogTaker, until_refused
from anew.domain.column import Columns
from anew.domain.errors import AnewError, SchemaError, SettingsError

__all__ = ["LabelColumns", "LabelsSent", "send_labels"]

_BATCH: Final = 1000
_BESIDE: Final = ("at", "source", "revision", "withdraw", "id")
"""Columns that are read under these names where they are there, as the gateway calls them."""
_WITHDRAWS: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False, "": False}
"""What a cell of ``withdraw`` may say, in letters of either size."""
_Row = tuple[int, Mapping[str, Any]]
"""The number of a row in the file, and what it says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelColumns:
    """Which columns say what a label is of, and what is true."""

    prediction: str = "prediction"
    value: str = "value"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelsSent:
    """What the gateway has on disk: labels, those of them that take one back; and rows that say nothing."""

    labels: int
    withdrawn: int
    empty: int


def send_labels(file: Path, named: LabelColumns, source: str, taker: LogTaker, columns: Columns) -> LabelsSent:
    """Send the rows of `file`, in its order, a thousand at a time, up to the first that the gateway refuses.

    A row is one delivery, known by its column ``id`` or else by all that it says: sent again it changes nothing. What
    a source says again after it said otherwise needs an ``at`` or a ``revision`` of its own.

    Parameters
    ----------
    source
        Who says it, in rows without a ``source``; empty: the gateway's word for it, ``api``.
    columns
        What is declared: where labels are numbers, one cell that is none makes no text of the others.

    Raises
    ------
    NotFoundError, SettingsError
        There is no such file, or it lacks a column.
    SchemaError, PolicyError, UnavailableError
        As the gateway says, with the row, or the rows that were sent together; what stands before it stays. A
        ``withdraw`` that says neither yes nor no, and an infinite value, are refused before anything is sent.
    """
    texts = any(isinstance(each, str) for each in columns.classes)
    try:
        frame = read_table(file, texts=(named.prediction, "id", "source", *((named.value,) if texts else ())))
    except SchemaError as exc:
        raise SettingsError(str(exc)) from exc
    missing = [name for name in (named.prediction, named.value) if name not in frame.columns]
    if missing:
        raise SettingsError(f"{file} has no column {', '.join(map(repr, missing))}; it has {', '.join(frame.columns)}")
    known = {named.prediction: "prediction", named.value: "value"} | {
        name: name for name in _BESIDE if name in frame.columns and name not in (named.prediction, named.value)
    }
    frame = frame.select(list(known)).rename(known)
    said = frame.get_column("value")
    values = said.to_list() if texts else _numbers(said)
    rows = [row | {"value": value} for row, value in zip(frame.to_dicts(), values, strict=True)]
    read = ((number, _label(row, source, f"row {number} of {file.name}")) for number, row in enumerate(rows, 1))
    labels = [(number, told) for number, told in read if told is not None]
    for start in range(0, len(labels), _BATCH):
        _send(labels[start : start + _BATCH], file.name, taker)
    withdrawn = sum("withdraw" in told for _, told in labels)
    return LabelsSent(labels=len(labels), withdrawn=withdrawn, empty=len(rows) - len(labels))


def _send(batch: Sequence[_Row], file: str, taker: LogTaker) -> None:
    """Send rows in one request, up to the first that is refused."""
    told = [each for _, each in batch]
    rows = f"rows {batch[0][0]} to {batch[-1][0]} of {file}"
    try:
        refused = until_refused(lambda n: taker.post("/labels", {"labels": told[:n]}), len(told))
    except AnewError as exc:
        raise type(exc)(f"{rows}: {exc}") from exc
    if refused:
        where = f"row {batch[refused.place][0]} of {file}" if refused.named else rows
        raise SchemaError(f"{where}: {refused.why}") from refused.by


def _numbers(said: pl.Series) -> Sequence[Any]:
    """Return labels that are declared as numbers: of text those that it holds, else what it says."""
    if said.dtype != pl.String:
        return said.to_list()
    numbers, whole = said.cast(pl.Float64, strict=False), said.cast(pl.Int64, strict=False)
    read = whole if whole.null_count() == numbers.null_count() else numbers
    return [(text or None) if number is None else number for text, number in zip(said, read, strict=True)]


def _withdraws(cell: object, row: str) -> bool:
    """Does a row take back what its source said?"""
    text = "" if _is_nothing(cell) else str(cell).strip()
    found = _WITHDRAWS.get(text.casefold().removesuffix(".0"))
    if found is None:
        known = ", ".join(filter(None, _WITHDRAWS))
        raise SchemaError(f"{row}: withdraw: {text[:40]!r} is none of {known}, or nothing", "withdraw")
    return found


def _label(row: Mapping[str, Any], source: str, name: str) -> Mapping[str, Any] | None:
    """Return a row, called `name`, as the gateway takes it, or refuses it; None for one that says nothing."""
    withdraws = _withdraws(row.get("withdraw"), name)
    said = {name: value for name, value in row.items() if not _is_nothing(value)}
    if not withdraws and "value" not in said:
        return None
    value = said.get("value")
    if isinstance(value, float) and math.isinf(value):
        raise SchemaError(f"{name}: value: {value} is not finite; correct it, or leave it empty", "value")
    told: dict[str, Any] = {"prediction": str(said["prediction"])} if "prediction" in said else {}
    told |= {"withdraw": True} if withdraws else {}
    told |= {"value": said["value"]} if "value" in said else {}
    told |= {"source": str(said.get("source", source))} if said.get("source", source) else {}
    told |= {"revision": _whole(said["revision"])} if "revision" in said else {}
    told |= {"at": _instant(said["at"])} if "at" in said else {}
    print_ = "\0".join(f"{name}={told[name]!r}" for name in sorted(told))
    return told | {"id": str(said.get("id", "")) or hashlib.sha256(print_.encode()).hexdigest()[:32]}


def _is_nothing(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _whole(value: object) -> int | str:
    """Return a whole number as one; what is none as text, which the gateway refuses."""
    text = str(value).strip().removesuffix(".0")
    return int(text) if re.fullmatch(r"[+-]?[0-9]{1,19}", text) else text


def _instant(value: object) -> str:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()
    return str(value)
