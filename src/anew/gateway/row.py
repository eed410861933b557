"""Makes the rows to answer out of cells that a body brought: exactly the declared columns, nothing guessed."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from anew.domain.column import ColumnKind, Value
from anew.gateway.refusal import RefusedError
from anew.gateway.settings import EventClock, GatewaySettings
from anew.gateway.strict_json import check_text, instant, latest

__all__ = ["RequestRow", "RowMaker", "Times", "digest"]


class RequestRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row to answer.

    `values` holds exactly the declared features, but for those that the feature store is still to be asked for; `key`
    is empty when the prediction's id takes its place; `extra` has the key and sensitive columns that are no features;
    `client_id` is empty when none was given; so is `asked`, a digest of that id and of what was asked under it.
    """

    values: Mapping[str, Value]
    at: datetime
    timed: bool
    key: str = ""
    extra: Mapping[str, Value] = msgspec.field(default_factory=dict)
    client_id: str = ""
    asked: bytes = b""


@dataclass(frozen=True, slots=True)
class Times:
    """What is known of event time before a row is read: that of the whole request, the present, the skew allowed."""

    at: datetime | None
    now: datetime
    skew_s: float

    @classmethod
    def of(cls, text: str | None, now: datetime, settings: GatewaySettings) -> "Times":
        """Read the time of a whole request; raises RefusedError."""
        skew_s = settings.future_skew_s
        return cls(None if text is None else instant(text, latest(now, skew_s), "at"), now, skew_s)

    @property
    def limit(self) -> datetime:
        """The latest event time allowed; few requests bring one."""
        return latest(self.now, self.skew_s)


def digest(*parts: Any) -> bytes:
    """Return a digest of what was asked or said, which anything else does not have."""
    return hashlib.sha256(msgspec.msgpack.encode(parts)).digest()


class RowMaker:
    """Makes rows for the columns of one model. Immutable, thread-safe.

    Attributes
    ----------
    names
        What cells come in: the features in order, `beside` (key and sensitive columns that are no features), the time.
    plain
        May rows be features alone, all of them numbers?
    """

    def __init__(self, settings: GatewaySettings) -> None:
        columns = settings.columns
        self._settings = settings
        self.features = columns.features
        declared = set(columns.names)
        beside = [name for name in (columns.key, *columns.sensitive) if name and name not in declared]
        self.beside = tuple(dict.fromkeys(beside))
        self.names = (*columns.names, *self.beside, columns.time)
        self._columns = columns.names
        self._key = columns.key
        self._numbers = all(column.kind is ColumnKind.NUMBER for column in columns.features)
        self.plain = self._numbers and columns.key not in self.beside and settings.clock is not EventClock.DATA

    def make(self, cells: Sequence[Any], path: str, times: Times, client_id: str = "") -> RequestRow:
        """Return the row of `cells`, of the declared types, UNSET for what was left out; `path` names it in a refusal.

        Raises
        ------
        RefusedError
            A text has a NUL, or the event time is missing or out of bounds.
        """
        values = self._values(cells, path)
        extra: dict[str, Value] = {}
        for name, cell in zip(self.beside, cells[len(self.features) :], strict=False):
            if isinstance(cell, str):
                check_text(cell, f"{path}.{name}")
            if cell is not msgspec.UNSET:
                extra[name] = float(cell) if isinstance(cell, int) else cell
        at = times.at
        if cells[-1] is not msgspec.UNSET:
            at = instant(cells[-1], times.limit, f"{path}.{self.names[-1]}")
        if at is None and self._settings.clock is EventClock.DATA:
            raise RefusedError(422, "invalid", "this model's event time comes with the data: give `at`", "at")
        key = self._settings.columns.key
        return RequestRow(
            values=values,
            at=times.now if at is None else at,
            timed=at is not None,
            key=_key(extra.get(key, values.get(key))) if key else "",
            extra=extra,
            client_id=client_id,
            asked=digest(client_id, values, extra, "" if at is None else at.isoformat()) if client_id else b"",
        )

    def of_numbers(self, cells: Sequence[float], now: datetime) -> RequestRow:
        """Return the row that `make` makes of features alone, all of them numbers: only where rows may be `plain`."""
        values = dict(zip(self._columns, cells, strict=True))
        return RequestRow(values=values, at=now, timed=False, key=_key(values[self._key]) if self._key else "")

    def _values(self, cells: Sequence[Any], path: str) -> dict[str, Value]:
        if self._numbers:
            try:  # the usual case, without looking at each cell
                return dict(zip(self._columns, map(float, cells), strict=False))
            except TypeError:  # a cell is None
                pass
        values: dict[str, Value] = {}
        for column, cell in zip(self.features, cells, strict=False):
            if cell is msgspec.UNSET:
                continue  # the feature store is asked for it
            if cell is None:
                values[column.name] = None
            elif column.kind is ColumnKind.NUMBER:
                values[column.name] = float(cell)
            elif column.kind is ColumnKind.VECTOR:
                values[column.name] = tuple(map(float, cell))
            else:
                check_text(cell, f"{path}.{column.name}")
                values[column.name] = cell
        return values


def _key(value: Value) -> str:
    """Return the text that keeps a user on one arm: the same number is the same user however it is written."""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return value if isinstance(value, str) else ""
