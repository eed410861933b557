"""PyTorch modules, kept as ONNX graphs: neither pickle nor PyTorch itself is needed to serve one."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from anew.adapters.model_format_onnx import OnnxFormat
from anew.domain.errors import MissingExtraError, TrainingError

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["TOLERANCE", "TorchFormat"]

TOLERANCE = 1e-4
"""Difference between the module's and the graph's answers, absolute and relative, that 32-bit arithmetic explains."""

_ROWS = 64


@dataclass(frozen=True, slots=True)
class TorchFormat(OnnxFormat):
    """See `anew.ports.model_format.ModelFormat`. Accepts ``torch.nn.Module``; what is decoded is an ONNX session.

    The module takes a float matrix ``(n, d)`` and answers with what `OnnxFormat` asks of a graph: probabilities (so it
    ends with a softmax or a sigmoid) or numbers. `d` is its attribute ``n_features_in_``, or else the inputs of its
    first linear layer. The graph has to answer as the module does, or the run ends.
    """

    def accepts(self, model: object) -> bool:
        """Is it a module (known by name, so that PyTorch is not imported for other models)?"""
        return any(
            f"{kind.__module__}.{kind.__name__}" == "torch.nn.modules.module.Module" for kind in type(model).__mro__
        )

    def classes(self, model: object) -> Sequence[object] | None:
        """Return the module's attribute ``classes_``, if it has one."""
        found = getattr(model, "classes_", None)
        return None if found is None else cast("list[object]", np.asarray(found).tolist())

    def encode(self, model: object) -> bytes:
        """Export the module and compare the answers of both to random rows."""
        try:
            import torch  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - a heavy extra of its own, not installed where types are checked
        except ImportError as exc:
            raise MissingExtraError("torch", "torch") from exc

        module = cast("Any", model).to("cpu").eval()
        rows = torch.randn((_ROWS, _width(module)), generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            answers = np.asarray(module(rows).numpy(), dtype=np.float64)
        with _quiet():
            data = OnnxFormat.encode(self, _exported(torch, module, rows))
        session = self.decode(data)
        found = np.asarray(
            cast("Any", session.run(None, {session.get_inputs()[0].name: rows.numpy()}))[0], dtype=np.float64
        )
        if found.shape != answers.shape or not np.allclose(
            found, answers, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True
        ):
            worst = float(np.abs(found - answers).max()) if found.shape == answers.shape else float("nan")
            raise TrainingError(
                "error",
                f"the ONNX graph of {type(model).__name__} answers otherwise than the module: shape {found.shape} "
                f"against {answers.shape}, at worst {worst:.3g} apart",
            )
        return data


def _exported(torch: Any, module: Any, rows: Any) -> "ModelProto":
    try:
        made = torch.onnx.export(
            module,
            (rows,),
            input_names=["x"],
            output_names=["y"],
            dynamic_shapes=({0: torch.export.Dim("n")},),
            dynamo=True,
            verbose=False,
            external_data=False,
        )
    except ImportError as exc:
        raise MissingExtraError(str(exc.name), "torch") from exc
    except torch.onnx.OnnxExporterError as exc:
        said = str(exc.__cause__ or exc).partition("\n")[0]
        raise TrainingError("error", f"{type(module).__name__} cannot be written as an ONNX graph: {said}") from exc
    proto = cast("ModelProto", made.model_proto)
    # Where in the source a node came from is no part of the model, and would differ with the place of the file.
    for graph in (proto.graph, *proto.functions):
        for node in graph.node:
            del node.metadata_props[:]
            node.doc_string = ""
    for value in (*proto.graph.input, *proto.graph.output, *proto.graph.value_info, *proto.graph.initializer):
        del value.metadata_props[:]
    return proto


def _width(module: Any) -> int:
    """Return how many inputs a module takes."""
    told = getattr(module, "n_features_in_", None)
    if isinstance(told, int):
        return told
    for layer in module.modules():
        if isinstance(getattr(layer, "in_features", None), int):
            return int(layer.in_features)
    raise TrainingError(
        "error", f"how many inputs {type(module).__name__} takes cannot be seen; set its attribute n_features_in_"
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what the exporter says of itself."""
    said = logging.getLogger("torch.onnx")
    level = said.level
    said.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        said.setLevel(level)
