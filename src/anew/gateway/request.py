"""Reads the bodies of ``/predict``: exactly the declared columns, nothing guessed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec

from anew.domain.column import Column, ColumnKind, Value
from anew.gateway.refusal import RefusedError
from anew.gateway.settings import EventClock, GatewaySettings
from anew.gateway.strict_json import check_text, decode, instant, latest

__all__ = ["PredictParser", "PredictRequest", "RequestRow"]

_INTEGER: Final = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_CLIENT_IDS: Final = list[Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._:-]{1,128}$")]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRow:
    """One row to answer.

    `values` holds exactly the declared features; `key` is empty when the prediction's id takes its place; `extra` has
    the key and sensitive columns that are no features; `client_id` is empty when none was given.
    """

    values: Mapping[str, Value]
    at: datetime
    timed: bool
    key: str = ""
    extra: Mapping[str, Value] = field(default_factory=dict)
    client_id: str = ""


PredictRequest = Sequence[RequestRow]


class PredictParser:
    """Turns a body into rows, for the columns of one model. Immutable, thread-safe."""

    def __init__(self, settings: GatewaySettings) -> None:
        columns = settings.columns
        self._settings = settings
        self._features = columns.features
        declared = {column.name for column in columns.features}
        beside = [name for name in (columns.key, *columns.sensitive) if name and name not in declared]
        self._beside = tuple(dict.fromkeys(beside))
        self._names = (*columns.names, *self._beside, columns.time)
        self._colons = [1 + name.count(":") for name in self._names]
        text = Annotated[str, msgspec.Meta(max_length=settings.most_string)]
        fields: list[Any] = [(f"f{i}", _type(column, text)) for i, column in enumerate(columns.features)]
        fields += [
            (f"b{i}", _INTEGER | float | text | None, *(() if name == columns.key else (msgspec.UNSET,)))
            for i, name in enumerate(self._beside)
        ]
        fields.append(("time", text, msgspec.UNSET))
        rename = {entry[0]: name for entry, name in zip(fields, self._names, strict=True)}
        row = msgspec.defstruct("Row", fields, rename=rename, forbid_unknown_fields=True, kw_only=True, gc=False)
        rows = Annotated[list[row], msgspec.Meta(min_length=1, max_length=settings.most_rows)]  # type: ignore[valid-type] # made at run time
        body = msgspec.defstruct(
            "Body",
            [
                ("rows", rows, msgspec.UNSET),
                ("row", row, msgspec.UNSET),
                ("at", text, msgspec.UNSET),
                ("ids", _CLIENT_IDS, msgspec.UNSET),
            ],
            forbid_unknown_fields=True,
            kw_only=True,
        )
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(body)

    def parse(self, body: bytes, now: datetime) -> PredictRequest:
        """Return the rows of `body`; everything wrong with it is a RefusedError that names the field."""
        request = decode(self._decoder, body, self._count)
        if (request.rows is msgspec.UNSET) == (request.row is msgspec.UNSET):
            raise RefusedError(422, "invalid", "give either `rows`, a list, or `row`, one object", "rows")
        rows = [request.row] if request.rows is msgspec.UNSET else request.rows
        ids: Sequence[str] = [""] * len(rows)
        if request.ids is not msgspec.UNSET:
            ids = request.ids
            if len(ids) != len(rows):
                raise RefusedError(422, "invalid", f"{len(ids)} ids were given for {len(rows)} rows", "ids")
        limit = latest(now, self._settings.future_skew_s)
        at = None if request.at is msgspec.UNSET else instant(request.at, limit, "at")
        single = request.rows is msgspec.UNSET
        return [
            self._row(msgspec.structs.astuple(row), "row" if single else f"rows[{i}]", (at, now, limit), id)
            for i, (row, id) in enumerate(zip(rows, ids, strict=True))
        ]

    def _row(
        self, cells: tuple[Any, ...], path: str, times: tuple[datetime | None, datetime, datetime], client_id: str
    ) -> RequestRow:
        values: dict[str, Value] = {}
        for column, cell in zip(self._features, cells, strict=False):
            if cell is None:
                values[column.name] = None
            elif column.kind is ColumnKind.NUMBER:
                values[column.name] = float(cell)
            elif column.kind is ColumnKind.VECTOR:
                values[column.name] = tuple(cell)
            else:
                check_text(cell, f"{path}.{column.name}")
                values[column.name] = cell
        extra: dict[str, Value] = {}
        for name, cell in zip(self._beside, cells[len(self._features) :], strict=False):
            if isinstance(cell, str):
                check_text(cell, f"{path}.{name}")
            if cell is not msgspec.UNSET:
                extra[name] = float(cell) if isinstance(cell, int) else cell
        at, now, limit = times
        if cells[-1] is not msgspec.UNSET:
            at = instant(cells[-1], limit, f"{path}.{self._names[-1]}")
        if at is None and self._settings.clock is EventClock.DATA:
            raise RefusedError(422, "invalid", "this model's event time comes with the data: give `at`", "at")
        return RequestRow(
            values=values,
            at=now if at is None else at,
            timed=at is not None,
            key=_key({**values, **extra}.get(self._settings.columns.key)),
            extra=extra,
            client_id=client_id,
        )

    def _count(self, request: Any) -> int:
        """Count the colons of a body without a key twice; see `decode`."""
        total = 0
        if request.rows is not msgspec.UNSET:
            total += 1 + sum(map(self._count_row, request.rows))
        if request.row is not msgspec.UNSET:
            total += 1 + self._count_row(request.row)
        if request.at is not msgspec.UNSET:
            total += 1 + request.at.count(":")
        if request.ids is not msgspec.UNSET:
            total += 1 + sum(id.count(":") for id in request.ids)
        return total

    def _count_row(self, row: Any) -> int:
        total = 0
        for colons, cell in zip(self._colons, msgspec.structs.astuple(row), strict=True):
            if cell is not msgspec.UNSET:
                total += colons + (cell.count(":") if isinstance(cell, str) else 0)
        return total


def _type(column: Column, text: Any) -> Any:
    kind = _INTEGER | float if column.kind is ColumnKind.NUMBER else text
    if column.kind is ColumnKind.VECTOR:
        kind = Annotated[list[float], msgspec.Meta(min_length=column.width, max_length=column.width)]
    return kind | None if column.nullable else kind


def _key(value: Value) -> str:
    """Return the text that keeps a user on one arm: the same number is the same user however it is written."""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return value if isinstance(value, str) else ""
