"""Says answers, and what a model takes, in the words of the Open Inference Protocol (version 2, JSON)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from anew.domain.column import Column, ColumnKind, Columns
from anew.domain.observation import Prediction
from anew.gateway.infer_request import InferRequest
from anew.gateway.routing import Route
from anew.gateway.settings import GatewaySettings

__all__ = ["InferReplies", "metadata_body"]

_TEXTS: Final[Mapping[str, Callable[[Prediction], str]]] = {
    "prediction_id": lambda prediction: prediction.id,
    "version": lambda prediction: prediction.version,
    "arm": lambda prediction: prediction.arm,
}


@dataclass(slots=True)
class InferReplies:
    """Says what requests for one model came to. Immutable."""

    settings: GatewaySettings
    _datatype: str = field(init=False)
    _width: int = field(init=False)

    def __post_init__(self) -> None:
        columns = self.settings.columns
        self._datatype = _datatype(columns)
        self._width = len(columns.classes) if columns.task.classifies else 0

    def body(self, asked: InferRequest, answered: tuple[Route, Sequence[Prediction]]) -> Any:
        """Return the body of a reply: one tensor for each output that was asked for."""
        route, predictions = answered
        height, width = len(predictions), self._width
        outputs: list[Any] = []
        for name in asked.outputs:
            if name == "output":
                data: list[Any] = [prediction.answer.output for prediction in predictions]
                outputs.append(_tensor(name, self._datatype, [height], data))
            elif name != "proba":
                outputs.append(_tensor(name, "BYTES", [height], list(map(_TEXTS[name], predictions))))
            elif width:
                outputs.append(_tensor(name, "FP64", [height, width], _proba(width, predictions)))
        body = {"model_name": self.settings.model, "model_version": route.champion.version, "outputs": outputs}
        return {**body, "id": asked.id} if asked.id else body


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


def _tensor(name: str, datatype: str, shape: list[int], data: list[Any]) -> Any:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}
