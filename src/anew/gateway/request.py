"""Reads the bodies of ``/predict``: exactly the declared columns, nothing guessed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec

from anew.domain.column import GREATEST, Column, ColumnKind
from anew.gateway.refusal import RefusedError
from anew.gateway.row import RequestRow, RowMaker, Times
from anew.gateway.settings import GatewaySettings
from anew.gateway.strict_json import decode

__all__ = ["PredictParser"]

_INTEGER: Final = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_InReach = Annotated[float, msgspec.Meta(ge=-GREATEST, le=GREATEST)]
_CLIENT_IDS: Final = list[Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._:-]{1,128}$")]]


class PredictParser:
    """Turns a body into rows, for the columns of one model. Immutable, thread-safe."""

    def __init__(self, settings: GatewaySettings) -> None:
        columns = settings.columns
        self._settings = settings
        self._maker = RowMaker(settings)
        names = self._maker.names
        self._colons = [1 + name.count(":") for name in names]
        text = Annotated[str, msgspec.Meta(max_length=settings.most_string)]
        fields: list[Any] = [
            (f"f{i}", _type(column, text), *((msgspec.UNSET,) if column.name in settings.fetched else ()))
            for i, column in enumerate(columns.features)
        ]
        fields += [
            (f"b{i}", _INTEGER | float | text | None, *(() if name == columns.key else (msgspec.UNSET,)))
            for i, name in enumerate(self._maker.beside)
        ]
        fields.append(("time", text, msgspec.UNSET))
        rename = {entry[0]: name for entry, name in zip(fields, names, strict=True)}
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

    def parse(self, body: bytes, now: datetime) -> Sequence[RequestRow]:
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
        times = Times.of(None if request.at is msgspec.UNSET else request.at, now, self._settings)
        single = request.rows is msgspec.UNSET
        return [
            self._maker.make(msgspec.structs.astuple(row), "row" if single else f"rows[{i}]", times, id)
            for i, (row, id) in enumerate(zip(rows, ids, strict=True))
        ]

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
        kind = Annotated[list[_InReach], msgspec.Meta(min_length=column.width, max_length=column.width)]
    return kind | None if column.nullable else kind
