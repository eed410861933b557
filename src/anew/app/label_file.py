"""`anew label send`: labels in a file or a Delta table, sent to the gateway that keeps them for the loop."""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from anew.adapters.table_file import read_table
from anew.app.log_file import LogTaker
from anew.domain.errors import AnewError, SchemaError, SettingsError

__all__ = ["LabelColumns", "LabelsSent", "send_labels"]

_BATCH: Final = 1000
_BESIDE: Final = ("at", "source", "revision", "withdraw", "id")
"""Columns that are read under these names where they are there, as the gateway calls them."""


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


def send_labels(file: Path, named: LabelColumns, source: str, taker: LogTaker) -> LabelsSent:
    """Send the rows of `file`, in its order, a thousand at a time.

    A row is one delivery, known by its column ``id`` or else by all that it says: sent again it changes nothing. What
    a source says again after it said otherwise needs an ``at`` or a ``revision`` of its own.

    Parameters
    ----------
    source
        Who says it, in rows without a ``source``; empty: the gateway's word for it, ``api``.

    Raises
    ------
    NotFoundError, SettingsError
        There is no such file, or it lacks a column.
    SchemaError, PolicyError, UnavailableError
        As the gateway says, with the rows; what was sent before stays.
    """
    try:
        frame = read_table(file, texts=(named.prediction, "id", "source"))
    except SchemaError as exc:
        raise SettingsError(str(exc)) from exc
    missing = [name for name in (named.prediction, named.value) if name not in frame.columns]
    if missing:
        raise SettingsError(f"{file} has no column {', '.join(map(repr, missing))}; it has {', '.join(frame.columns)}")
    known = {named.prediction: "prediction", named.value: "value"} | {
        name: name for name in _BESIDE if name in frame.columns and name not in (named.prediction, named.value)
    }
    rows = frame.select(list(known)).rename(known).to_dicts()
    labels = [(number, told) for number, row in enumerate(rows, 1) if (told := _label(row, source)) is not None]
    for batch in _batches(labels):
        try:
            taker.post("/labels", {"labels": [told for _, told in batch]})
        except AnewError as exc:
            raise type(exc)(f"rows {batch[0][0]} to {batch[-1][0]} of {file.name}: {exc}") from exc
    withdrawn = sum("withdraw" in told for _, told in labels)
    return LabelsSent(labels=len(labels), withdrawn=withdrawn, empty=len(rows) - len(labels))


def _batches(labels: Sequence[tuple[int, Mapping[str, Any]]]) -> Iterator[Sequence[tuple[int, Mapping[str, Any]]]]:
    for start in range(0, len(labels), _BATCH):
        yield labels[start : start + _BATCH]


def _label(row: Mapping[str, Any], source: str) -> Mapping[str, Any] | None:
    """Return a row as the gateway takes it; None for one that says nothing."""
    said = {name: value for name, value in row.items() if not _is_nothing(value)}
    withdraws = said.pop("withdraw", False)
    if withdraws:
        said.pop("value", None)
    elif "value" not in said:
        return None
    told: dict[str, Any] = {"prediction": str(said["prediction"])} if "prediction" in said else {}
    told |= {"withdraw": True} if withdraws else {"value": said["value"]}
    told |= {"source": str(said.get("source", source))} if said.get("source", source) else {}
    told |= {"revision": int(said["revision"])} if "revision" in said else {}
    told |= {"at": _instant(said["at"])} if "at" in said else {}
    print_ = "\0".join(f"{name}={told[name]!r}" for name in sorted(told))
    return told | {"id": str(said.get("id", "")) or hashlib.sha256(print_.encode()).hexdigest()[:32]}


def _is_nothing(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _instant(value: object) -> str:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()
    return str(value)
