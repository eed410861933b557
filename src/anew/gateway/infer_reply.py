"""Says answers, and what a model takes, in the words of the Open Inference Protocol (version 2, JSON)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from anew.domain.column import Column, ColumnKind, Columns
from anew.domain.observation import Prediction
from anew.gateway.infer_request import OUTPUTS, InferRequest
from anew.gateway.routing import Route
from anew.gateway.settings import EventClock, GatewaySettings
from anew.ports.http import Reply

__all__ = ["InferReplies", "metadata_body"]

_ENCODER: Final = msgspec.json.Encoder()
_BYTES: Final = "BYTES"


class _Tensor(msgspec.Struct, gc=False):
    """One output of all rows of a request."""

    name: str
    datatype: str
    shape: Sequence[int]
    data: Sequence[Any]


class _Reply(msgspec.Struct, omit_defaults=True, gc=False):
    """What a request comes to."""

    model_name: str
    model_version: str
    outputs: Sequence[_Tensor]
    id: str = ""


@dataclass(slots=True)
class InferReplies:
    """Says what requests for one model came to."""

    settings: GatewaySettings
    _datatype: str = field(init=False)
    _width: int = field(init=False)

    def __post_init__(self) -> None:
        columns = self.settings.columns
        self._datatype = _datatype(columns)
        self._width = len(columns.classes) if columns.task.classifies else 0

    def reply(self, asked: InferRequest, answered: tuple[Route, Sequence[Prediction]]) -> Reply:
        """Return the reply: one tensor for each output that was asked for."""
        route, predictions = answered
        one, shape = len(predictions) == 1, [len(predictions)]
        tensors = self._of_one(shape, predictions[0]) if one else self._of_many(shape, predictions)
        if asked.outputs is not OUTPUTS:
            named = {tensor.name: tensor for tensor in tensors}
            tensors = [named[name] for name in asked.outputs if name in named]
        return Reply(200, _ENCODER.encode(_Reply(self.settings.model, route.champion.version, tensors, asked.id)))

    def _of_one(self, shape: Sequence[int], prediction: Prediction) -> list[_Tensor]:
        """Return what `_of_many` does for the one row that most requests have."""
        answer, width = prediction.answer, self._width
        proba = [_Tensor("proba", "FP64", [1, width], answer.proba or (None,) * width)] if width else []
        return [
            _Tensor("output", self._datatype, shape, (answer.output,)),
            *proba,
            _Tensor("prediction_id", _BYTES, shape, (prediction.id,)),
            _Tensor("version", _BYTES, shape, (prediction.version,)),
            _Tensor("arm", _BYTES, shape, (prediction.arm,)),
        ]

    def _of_many(self, shape: Sequence[int], predictions: Sequence[Prediction]) -> list[_Tensor]:
        """Return one tensor for each of `OUTPUTS`; of a model that has no classes, none of probabilities."""
        width = self._width
        proba: list[Any] = []
        for each in predictions if width else ():
            proba += each.answer.proba or (None,) * width  # of a version that gives none, null
        return [
            _Tensor("output", self._datatype, shape, [each.answer.output for each in predictions]),
            *([_Tensor("proba", "FP64", [*shape, width], proba)] if width else []),
            _Tensor("prediction_id", _BYTES, shape, [each.id for each in predictions]),
            _Tensor("version", _BYTES, shape, [each.version for each in predictions]),
            _Tensor("arm", _BYTES, shape, [each.arm for each in predictions]),
        ]


def metadata_body(settings: GatewaySettings) -> Mapping[str, Any]:
    """Return what the model is called, what it cannot do without, and what it gives.

    It names no versions: a version that is named may be asked for, and who answers is not the caller's to choose.
    """
    columns = settings.columns
    inputs = [_described(column) for column in columns.features]
    if columns.key and columns.key not in columns.names:
        inputs.append({"name": columns.key, "datatype": _BYTES, "shape": [-1]})
    if settings.clock is EventClock.DATA:
        inputs.append({"name": columns.time, "datatype": _BYTES, "shape": [-1]})
    outputs = [{"name": "output", "datatype": _datatype(columns), "shape": [-1]}]
    if columns.task.classifies:
        outputs.append({"name": "proba", "datatype": "FP64", "shape": [-1, len(columns.classes)]})
    outputs += [{"name": name, "datatype": _BYTES, "shape": [-1]} for name in ("prediction_id", "version", "arm")]
    return {"name": settings.model, "platform": "anew", "inputs": inputs, "outputs": outputs}


def _described(column: Column) -> Mapping[str, Any]:
    datatype = _BYTES if column.kind is ColumnKind.CATEGORY else "FP64"
    return {"name": column.name, "datatype": datatype, "shape": [-1, column.width] if column.width else [-1]}


def _datatype(columns: Columns) -> str:
    if not columns.task.classifies:
        return "FP64"
    return _BYTES if any(isinstance(label, str) for label in columns.classes) else "INT64"
