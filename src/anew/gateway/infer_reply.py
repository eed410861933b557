"""Says answers, and what a model takes, in the words of the Open Inference Protocol (version 2, JSON)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from anew.domain.column import Column, ColumnKind, Columns
from anew.domain.observation import Prediction
from anew.gateway.infer_request import InferRequest
from anew.gateway.routing import Route
from anew.gateway.settings import GatewaySettings

__all__ = ["InferReplies", "metadata_body"]

_ENCODER: Final = msgspec.json.Encoder()
_TEXTS: Final[Mapping[str, Callable[[Prediction], str]]] = {
    "prediction_id": lambda prediction: prediction.id,
    "version": lambda prediction: prediction.version,
    "arm": lambda prediction: prediction.arm,
}


@dataclass(slots=True)
class InferReplies:
    """Says what requests for one model came to. Belongs to one event loop: it remembers what is always said."""

    settings: GatewaySettings
    _datatype: str = field(init=False)
    _width: int = field(init=False)
    _heads: dict[tuple[str, int], bytes] = field(default_factory=dict, init=False)
    _begins: dict[str, bytes] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        columns = self.settings.columns
        self._datatype = _datatype(columns)
        self._width = len(columns.classes) if columns.task.classifies else 0

    def body(self, asked: InferRequest, answered: tuple[Route, Sequence[Prediction]]) -> bytes:
        """Return the JSON of a reply: one tensor for each output that was asked for."""
        route, predictions = answered
        height, tensors = len(predictions), []
        for name in asked.outputs:
            if name != "proba" or self._width:
                head = self._heads.get((name, height)) or self._head(name, height)
                tensors.append(b"%s%s}" % (head, _ENCODER.encode(self._data(name, predictions))))
        version = route.champion.version
        begin = self._begins.get(version) or self._begin(version)
        end = b"]}" if not asked.id else b'],"id":%s}' % _ENCODER.encode(asked.id)
        return begin + b",".join(tensors) + end

    def _data(self, name: str, predictions: Sequence[Prediction]) -> list[Any]:
        if name == "output":
            return [prediction.answer.output for prediction in predictions]
        if name == "proba":
            return _proba(self._width, predictions)
        return list(map(_TEXTS[name], predictions))

    def _head(self, name: str, height: int) -> bytes:
        """Return what a tensor begins with, up to its data; there are as many as there are heights of a request."""
        datatype = {"output": self._datatype, "proba": "FP64"}.get(name, "BYTES")
        shape = [height, self._width] if name == "proba" else [height]
        said = _ENCODER.encode({"name": name, "datatype": datatype, "shape": shape})
        self._heads[name, height] = head = said[:-1] + b',"data":'
        return head

    def _begin(self, version: str) -> bytes:
        """Return what every reply of a version begins with; of the last one alone it is remembered."""
        said = _ENCODER.encode({"model_name": self.settings.model, "model_version": version})
        begin = said[:-1] + b',"outputs":['
        self._begins = {version: begin}
        return begin


def metadata_body(settings: GatewaySettings, versions: Sequence[str]) -> Mapping[str, Any]:
    """Return what the model is called, takes and gives."""
    columns = settings.columns
    inputs = [_described(column) for column in columns.features]
    if columns.key and columns.key not in columns.names:
        inputs.append({"name": columns.key, "datatype": "BYTES", "shape": [-1]})
    outputs = [{"name": "output", "datatype": _datatype(columns), "shape": [-1]}]
    if columns.task.classifies:
        outputs.append({"name": "proba", "datatype": "FP64", "shape": [-1, len(columns.classes)]})
    outputs += [{"name": name, "datatype": "BYTES", "shape": [-1]} for name in _TEXTS]
    return {"name": settings.model, "versions": versions, "platform": "anew", "inputs": inputs, "outputs": outputs}


def _proba(width: int, predictions: Sequence[Prediction]) -> list[Any]:
    """Return the probabilities, row by row; of a version that gives none, null."""
    data: list[Any] = []
    for prediction in predictions:
        data += prediction.answer.proba or (None,) * width
    return data


def _described(column: Column) -> Mapping[str, Any]:
    datatype = "BYTES" if column.kind is ColumnKind.CATEGORY else "FP64"
    return {"name": column.name, "datatype": datatype, "shape": [-1, column.width] if column.width else [-1]}


def _datatype(columns: Columns) -> str:
    if not columns.task.classifies:
        return "FP64"
    return "BYTES" if any(isinstance(label, str) for label in columns.classes) else "INT64"
