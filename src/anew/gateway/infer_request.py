"""Reads inference requests of the Open Inference Protocol (version 2, JSON): tensors become rows.

References
----------
KServe, *Open Inference Protocol*, ``specification/protocol/inference_rest.md``.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from math import nextafter, prod
from typing import Annotated, Any, Final, Literal

import msgspec

from anew.domain.column import Column, ColumnKind, out_of_reach
from anew.gateway.refusal import RefusedError
from anew.gateway.row import RequestRow, RowMaker, Times
from anew.gateway.settings import EventClock, GatewaySettings
from anew.gateway.strict_json import decode

__all__ = ["OUTPUTS", "InferParser", "InferRequest"]

OUTPUTS: Final = ("output", "proba", "prediction_id", "version", "arm")
"""Names of the tensors that answer: class or number; probabilities; the id that a label names; who answered."""

_INTEGER: Final = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_NUMBERS: Final = Literal[
    "FP64", "FP32", "FP16", "INT64", "INT32", "INT16", "INT8", "UINT64", "UINT32", "UINT16", "UINT8"
]
_LIMITS: Final = {
    **{f"INT{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": (0, 2**bits - 1) for bits in (8, 16, 32, 64)},
    # from here on they are rounded to infinity
    "FP32": (-nextafter(2.0**128 - 2.0**103, 0), nextafter(2.0**128 - 2.0**103, 0)),
    "FP16": (-nextafter(65520.0, 0), nextafter(65520.0, 0)),
}
"""The least and the greatest number of each datatype that does not hold all that JSON has."""
_Parameters: Any = dict[str, bool | _INTEGER | float | str | None]  # type: ignore[valid-type] # msgspec reads it


class InferRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of a request, the id that the reply repeats, and the outputs wanted."""

    rows: Sequence[RequestRow]
    id: str = ""
    outputs: Sequence[str] = OUTPUTS


class InferParser:
    """Turns a body into rows, for the columns of one model. Immutable, thread-safe.

    Each column is a tensor of its name and of shape ``[n]`` (a vector's ``[n, width]``): numbers as ``FP…`` or
    ``INT…``, categories, key, sensitive columns and event time as ``BYTES``. Where all features are numbers, one tensor
    of another name and of shape ``[n, d]`` may hold them all, in the declared order.
    """

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._maker = RowMaker(settings)
        features = settings.columns.features
        self._kinds = {column.name: column for column in features}
        self._names = frozenset(self._maker.names)
        self._numbers = all(column.kind is ColumnKind.NUMBER for column in features)
        self._needed = [column.name for column in features if column.name not in settings.fetched]
        text = Annotated[str, msgspec.Meta(max_length=settings.most_string)]
        cell = _INTEGER | float | text | None
        tensor = msgspec.defstruct(
            "Tensor",
            [
                ("name", text),
                ("shape", Annotated[list[Annotated[int, msgspec.Meta(ge=0, le=2**31)]], msgspec.Meta(max_length=3)]),
                ("datatype", Literal[_NUMBERS, "BYTES"]),
                ("data", list[cell | list[cell]]),  # type: ignore[valid-type] # made at run time
                ("parameters", _Parameters, msgspec.UNSET),
            ],
            forbid_unknown_fields=True,
        )
        output = msgspec.defstruct(
            "Output", [("name", text), ("parameters", _Parameters, msgspec.UNSET)], forbid_unknown_fields=True
        )
        body = msgspec.defstruct(
            "Body",
            [
                ("inputs", Annotated[list[tensor], msgspec.Meta(min_length=1, max_length=len(self._maker.names))]),  # type: ignore[valid-type] # made at run time
                ("id", text, msgspec.UNSET),
                ("parameters", _Parameters, msgspec.UNSET),
                ("outputs", Annotated[list[output], msgspec.Meta(max_length=len(OUTPUTS))], msgspec.UNSET),  # type: ignore[valid-type] # made at run time
            ],
            forbid_unknown_fields=True,
        )
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(body)
        self._usual = _usual(settings.most_string) if self._maker.plain else None

    def parse(self, body: bytes, now: datetime) -> InferRequest:
        """Return the rows of `body`; everything wrong with it is a RefusedError that names the field."""
        usual = None if self._usual is None else self._quickly(self._usual, body, now)
        if usual is not None:
            return usual
        request = decode(self._decoder, body, _count)
        cells = self._cells(request.inputs)
        times = Times.of(None, now, self._settings)
        make = self._maker.make
        return InferRequest(
            rows=[make(row, f"rows[{i}]", times) for i, row in enumerate(cells)],
            id="" if request.id is msgspec.UNSET else request.id,
            outputs=_wanted(request.outputs),
        )

    def _quickly(self, decoder: msgspec.json.Decoder[Any], body: bytes, now: datetime) -> InferRequest | None:
        """Read what nearly all send, one matrix of plain numbers; None for all else, which is read with more care."""
        try:
            request = decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        tensor, make = request.inputs[0], self._maker.of_numbers
        data, id, width = tensor.data, "" if request.id is msgspec.UNSET else request.id, len(self._kinds)
        height = len(data) // width
        colons = 5 + tensor.name.count(":") + (1 + id.count(":") if request.id is not msgspec.UNSET else 0)
        if (
            tensor.name in self._names
            or tensor.shape != [height, width]
            or not 0 < len(data) == height * width
            or height > self._settings.most_rows
            or (tensor.datatype == "INT64" and not all(map(float.is_integer, data)))
            or body.count(b":") != colons
            or b"\\u003" in body
        ):
            return None
        cells = [data] if height == 1 else [data[at : at + width] for at in range(0, len(data), width)]
        return InferRequest(rows=[make(row, now) for row in cells], id=id)

    def _cells(self, tensors: Sequence[Any]) -> Sequence[Sequence[Any]]:
        """Return the cells of each row, in the order of `RowMaker.names`."""
        first = tensors[0]
        shape = first.shape
        if not shape or not 1 <= shape[0] <= self._settings.most_rows:
            raise RefusedError(
                422, "invalid", f"a request has 1 to {self._settings.most_rows} rows, the shape is {shape}",
                "inputs[0].shape",
            )  # fmt: skip
        given: dict[str, Sequence[Any]] = {}
        matrix: Sequence[Sequence[Any]] | None = None
        for i, tensor in enumerate(tensors):
            path = f"inputs[{i}]"
            if tensor.name in self._names:
                if tensor.name in given:
                    raise RefusedError(422, "invalid", f"the tensor {tensor.name!r} comes twice", f"{path}.name")
                given[tensor.name] = self._column(tensor, shape[0], path)
            elif matrix is None:
                matrix = self._matrix(tensor, shape[0], path)
            else:
                raise RefusedError(422, "invalid", f"there is no column {tensor.name[:40]!r}", f"{path}.name")
        return self._rows(given, matrix, shape[0])

    def _rows(
        self, given: Mapping[str, Sequence[Any]], matrix: Sequence[Sequence[Any]] | None, height: int
    ) -> Sequence[Sequence[Any]]:
        maker, key = self._maker, self._settings.columns.key
        needed = self._needed if matrix is None else []
        beside = [key] if key and key not in self._kinds and key not in self._settings.fetched else []
        timed = [maker.names[-1]] if self._settings.clock is EventClock.DATA else []
        missing = [name for name in needed + beside + timed if name not in given]
        if missing:
            raise RefusedError(422, "invalid", f"the tensor {missing[0]!r} is missing", "inputs")
        if matrix is not None and not self._kinds.keys().isdisjoint(given):
            raise RefusedError(
                422, "invalid", "give the features as one matrix or each by its name, not both", "inputs"
            )
        unset = [msgspec.UNSET] * height
        rest = [given.get(name, unset) for name in maker.names[len(self._kinds) :]]
        if matrix is None:
            return list(zip(*(given.get(name, unset) for name in self._kinds), *rest, strict=True))
        tails = zip(*rest, strict=True)
        return [(*row, *tail) for row, tail in zip(matrix, tails, strict=True)]

    def _matrix(self, tensor: Any, height: int, path: str) -> Sequence[Sequence[Any]]:
        if not self._numbers:
            raise RefusedError(422, "invalid", f"there is no column {tensor.name[:40]!r}", f"{path}.name")
        features = self._maker.features
        width = len(features)
        if list(tensor.shape) != [height, width]:
            raise RefusedError(
                422, "invalid", f"{tensor.name[:40]!r} is no column, and a matrix of all features has the shape "
                f"{[height, width]} here, found {tensor.shape}", f"{path}.shape",
            )  # fmt: skip
        flat = _flat(tensor, path)
        if None in flat:
            for first, column in enumerate(features):
                if not column.nullable and None in flat[first::width]:
                    raise RefusedError(422, "invalid", f"{column.name!r} may not be null", f"{path}.data")
        _check_numbers(tensor, flat, path)
        return [flat[at : at + width] for at in range(0, height * width, width)]

    def _column(self, tensor: Any, height: int, path: str) -> Sequence[Any]:
        """Return a column's cells, of the kind that it is declared to have."""
        column = self._kinds.get(tensor.name)
        width = column.width if column is not None and column.kind is ColumnKind.VECTOR else 1
        shapes = ([height, width],) if width > 1 else ([height], [height, 1])
        if list(tensor.shape) not in shapes:
            raise RefusedError(
                422, "invalid", f"{tensor.name!r} has the shape {tensor.shape}; with the {height} rows of the first "
                f"tensor it has to be {shapes[0]}", f"{path}.shape",
            )  # fmt: skip
        flat = _flat(tensor, path)
        if column is None:
            return self._beside(tensor, flat, path)
        _check(column, tensor, flat, path)
        if column.kind is ColumnKind.VECTOR:
            return [flat[at : at + width] for at in range(0, height * width, width)]
        return flat

    def _beside(self, tensor: Any, flat: Sequence[Any], path: str) -> Sequence[Any]:
        """Return the cells of the event time, the key or a sensitive column."""
        timed = tensor.name == self._settings.columns.time
        if timed or tensor.datatype == "BYTES":
            wrong = next((cell for cell in flat if not (isinstance(cell, str) or (cell is None and not timed))), "")
            if tensor.datatype != "BYTES" or not isinstance(wrong, str):
                raise RefusedError(422, "invalid", f"{tensor.name!r} has texts, as BYTES", f"{path}.data")
        else:
            _check_numbers(tensor, flat, path)
        return flat


def _usual(most_string: int) -> msgspec.json.Decoder[Any]:
    """Return what reads a body of one tensor of numbers; what its datatype may not hold is for the other reader."""
    text = Annotated[str, msgspec.Meta(max_length=most_string)]
    number = Annotated[float, msgspec.Meta(gt=-(2.0**63), lt=2.0**63)]
    tensor = msgspec.defstruct(
        "Matrix",
        [("name", text), ("shape", list[int]), ("datatype", Literal["FP64", "FP32", "INT64"]), ("data", list[number])],
        forbid_unknown_fields=True,
    )
    one = Annotated[list[tensor], msgspec.Meta(min_length=1, max_length=1)]  # type: ignore[valid-type] # made at run time
    body = msgspec.defstruct("Usual", [("inputs", one), ("id", text, msgspec.UNSET)], forbid_unknown_fields=True)
    return msgspec.json.Decoder(body)


def _check(column: Column, tensor: Any, flat: Sequence[Any], path: str) -> None:
    if column.kind is ColumnKind.CATEGORY:
        if tensor.datatype != "BYTES" or not all(cell is None or isinstance(cell, str) for cell in flat):
            raise RefusedError(422, "invalid", f"{column.name!r} is a category: send texts, as BYTES", f"{path}.data")
    else:
        _check_numbers(tensor, flat, path)
    vector = column.kind is ColumnKind.VECTOR
    if (vector or not column.nullable) and None in flat:
        raise RefusedError(422, "invalid", f"{column.name!r} may not be null", f"{path}.data")
    far = next((problem for cell in flat if (problem := out_of_reach(cell))), "") if vector else ""
    if far:
        raise RefusedError(422, "invalid", f"{column.name!r}: {far}", f"{path}.data")


def _check_numbers(tensor: Any, flat: Sequence[Any], path: str) -> None:
    name, texts = tensor.name[:40], str in set(map(type, flat))
    if tensor.datatype == "BYTES" or texts:
        found = "texts" if texts else "BYTES"
        raise RefusedError(422, "invalid", f"{name!r} has numbers, found {found}", f"{path}.data")
    if tensor.datatype != "FP64":
        _check_datatype(tensor.datatype, name, flat, path)


def _check_datatype(datatype: str, name: str, flat: Sequence[Any], path: str) -> None:
    """Refuse numbers that the datatype does not have."""
    low, high = _LIMITS[datatype]
    fractions = datatype.startswith("FP")
    for cell in flat:
        if cell is not None and not (low <= cell <= high and (fractions or cell == int(cell))):
            raise RefusedError(422, "invalid", f"{name!r} is of {datatype}, which has no {cell}", f"{path}.data")


def _flat(tensor: Any, path: str) -> list[Any]:
    """Return the data row by row, given flat or nested."""
    data: list[Any] = tensor.data
    kinds = set(map(type, data))
    if list in kinds:
        if len(kinds) > 1:
            raise RefusedError(422, "invalid", "the data is neither flat nor nested", f"{path}.data")
        data = [cell for part in data for cell in part]
    if len(data) != prod(tensor.shape):
        raise RefusedError(422, "invalid", f"{len(data)} values do not fill the shape {tensor.shape}", f"{path}.data")
    return data


def _wanted(outputs: Any) -> Sequence[str]:
    if outputs is msgspec.UNSET or not outputs:
        return OUTPUTS
    for i, output in enumerate(outputs):
        if output.name not in OUTPUTS:
            raise RefusedError(
                422, "invalid", f"there is no output {output.name[:40]!r}; known: {', '.join(OUTPUTS)}",
                f"outputs[{i}].name",
            )  # fmt: skip
    return [output.name for output in outputs]


def _count(request: Any) -> int:
    """Count the colons of a body without a key twice; see `decode`."""
    total = 1 + _count_parameters(request.parameters)
    if request.id is not msgspec.UNSET:
        total += 1 + request.id.count(":")
    for tensor in request.inputs:
        total += 4 + tensor.name.count(":") + _count_parameters(tensor.parameters)
        if tensor.datatype == "BYTES":
            total += sum(_count_texts(cell) for cell in tensor.data)
    if request.outputs is not msgspec.UNSET:
        total += 1
        total += sum(1 + each.name.count(":") + _count_parameters(each.parameters) for each in request.outputs)
    return total


def _count_texts(cell: Any) -> int:
    if isinstance(cell, list):
        return sum(map(_count_texts, cell))
    return cell.count(":") if isinstance(cell, str) else 0


def _count_parameters(parameters: Any) -> int:
    if parameters is msgspec.UNSET:
        return 0
    texts = [*parameters, *(value for value in parameters.values() if isinstance(value, str))]
    return 1 + len(parameters) + sum(map(_count_texts, texts))
