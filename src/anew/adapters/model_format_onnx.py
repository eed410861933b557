"""ONNX graphs: from any framework that writes them, answered by ONNX Runtime."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import polars as pl

from anew.domain.errors import IntegrityError, MissingExtraError, SchemaError, TrainingError
from anew.ports.model_format import Scores
from anew.ports.rows import input_matrix

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto
    from onnxruntime import InferenceSession  # type: ignore[import-untyped]  # ships no types

__all__ = ["CLASSES", "OnnxFormat"]

CLASSES = "anew.classes"
"""Metadata of a graph with the labels in the order of its probabilities, as a JSON list."""

_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})
"""Operators of the standard alone: what other domains do is known to whoever brings their library."""

_NUMBERS = {"tensor(float)": np.float32, "tensor(double)": np.float64}


@dataclass(frozen=True, slots=True)
class OnnxFormat:
    """See `anew.ports.model_format.ModelFormat`. Accepts ``onnx.ModelProto``.

    The graph has one input, a matrix of floats or doubles ``(n, d)``. For classification one of its outputs, the last
    one if there are several, has the probabilities: ``(n, k)``, or ``(n,)`` or ``(n, 1)`` of the second of two classes.
    For regression its first output has the numbers. Data outside the file, and operators outside the standard, are
    refused.
    """

    name: str = "onnx"
    file: str = "model.onnx"

    def accepts(self, model: object) -> bool:
        """Is it a graph (known by name, so that onnx is not imported for other models)?"""
        return type(model).__name__ == "ModelProto" and "onnx" in type(model).__module__

    def classes(self, model: object) -> Sequence[object] | None:
        """Return the labels in the metadata `CLASSES`; without them there are the declared ones."""
        if hasattr(model, "get_modelmeta"):  # decoded
            found = cast("InferenceSession", model).get_modelmeta().custom_metadata_map.get(CLASSES)
        else:
            found = next((each.value for each in cast("ModelProto", model).metadata_props if each.key == CLASSES), None)
        return None if found is None else cast("list[object]", json.loads(found))

    def encode(self, model: object) -> bytes:
        """Write the graph, the same bytes for the same graph."""
        graph = cast("ModelProto", model)
        problem = _problem(graph)
        if problem:
            raise TrainingError("error", f"train() returned an ONNX graph that is not served: {problem}")
        return bytes(graph.SerializeToString(deterministic=True))

    def decode(self, data: bytes) -> "InferenceSession":
        """Check the graph, then have ONNX Runtime take it, on one thread."""
        try:
            import onnx  # noqa: PLC0415 - an extra
            import onnxruntime  # noqa: PLC0415 - an extra
            from google.protobuf.message import (  # type: ignore[import-untyped]  # noqa: PLC0415 - without types; comes with onnx
                DecodeError,
            )
            from onnxruntime.capi import (  # type: ignore[import-untyped]  # noqa: PLC0415 - likewise
                onnxruntime_pybind11_state as state,
            )
        except ImportError as exc:
            raise MissingExtraError("onnxruntime", "onnx") from exc

        try:
            graph = onnx.load_model_from_string(data)
        except (DecodeError, ValueError) as exc:
            raise IntegrityError(f"{self.file} is not an ONNX graph: {exc}") from exc
        problem = _problem(graph)
        if problem:
            raise IntegrityError(f"{self.file} is refused: {problem}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except (
            state.Fail,
            state.InvalidArgument,
            state.InvalidGraph,
            state.InvalidProtobuf,
            state.NotImplemented,
            state.RuntimeException,
            RuntimeError,
        ) as exc:  # fmt: skip  its errors have no base of their own
            raise IntegrityError(f"{self.file} is not an ONNX graph that runs: {exc}") from exc

    def score(self, model: object, inputs: pl.DataFrame | npt.NDArray[np.float64], *, classify: bool) -> Scores:
        """Ask the session, with numbers as wide as its input."""
        matrix = input_matrix(inputs) if isinstance(inputs, pl.DataFrame) else inputs
        session = cast("InferenceSession", model)
        given = session.get_inputs()
        wide = _NUMBERS.get(given[0].type) if len(given) == 1 else None
        if wide is None:
            raise SchemaError(f"the graph takes {[(each.name, each.type) for each in given]}, not one matrix of floats")
        answers = cast("list[Any]", session.run(None, {given[0].name: matrix.astype(wide)}))
        raw = np.asarray(answers[-1] if classify else answers[0], dtype=np.float64)
        if not classify:
            return Scores(values=raw.reshape(len(matrix)) if raw.size == len(matrix) else raw)
        if raw.ndim == 1 or raw.shape[1] == 1:
            raw = raw.reshape(len(matrix))
            raw = np.column_stack((1.0 - raw, raw))
        return Scores(values=raw.argmax(axis=1), proba=raw)


def _problem(model: "ModelProto") -> str:
    """Say what about the graph is not served; empty when nothing is."""
    if not model.graph.output:
        return "it has no output"
    domains = {each.domain for each in model.opset_import} | {function.domain for function in model.functions}
    domains |= {node.domain for graph in _graphs(model) for node in graph.node}
    foreign = sorted(domains - _DOMAINS)
    if foreign:
        return f"it has operators of {', '.join(foreign)}, which are not of the standard"
    outside = sorted(each.name for graph in _graphs(model) for each in graph.initializer if each.external_data)
    outside += sorted(
        attribute.t.name or node.name
        for graph in _graphs(model)
        for node in graph.node
        for attribute in node.attribute
        if attribute.t.external_data
    )
    return f"the data of {', '.join(outside[:3])} lies outside of the file" if outside else ""


def _graphs(model: "ModelProto") -> "Iterator[GraphProto]":
    """Yield the graph and all that lie within its nodes."""
    waiting = [model.graph]
    while waiting:
        graph = waiting.pop()
        yield graph
        for node in graph.node:
            for attribute in node.attribute:
                waiting.extend(attribute.graphs)
                if attribute.HasField("g"):
                    waiting.append(attribute.g)
