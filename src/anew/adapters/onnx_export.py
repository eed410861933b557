"""Models of LightGBM, XGBoost and scikit-learn as ONNX graphs, for whoever serves them elsewhere."""

import warnings
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from anew.adapters.model_format_onnx import OnnxFormat
from anew.domain.errors import MissingExtraError, TrainingError

__all__ = ["OnnxExporter"]


@dataclass(frozen=True, slots=True)
class OnnxExporter:
    """See `anew.ports.model_format.Exporter`. Trees are converted to 32-bit floats, scikit-learn's models to 64-bit."""

    file: str = "export.onnx"

    def export(self, model: object, kind: str, width: int) -> bytes:
        """Convert a decoded model that takes `width` inputs."""
        if kind == "onnx":
            raise TrainingError("error", "the model is kept as an ONNX graph already; leave `export: onnx` out")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # converters warn of libraries newer than themselves
                return OnnxFormat().encode(_converted(model, kind, width))
        except ImportError as exc:
            raise MissingExtraError(str(exc.name), "onnx") from exc
        except (KeyError, NotImplementedError, RuntimeError, TypeError, ValueError) as exc:
            said = str(exc).strip().partition("\n")[0]
            raise TrainingError("error", f"this {kind} model cannot be written as an ONNX graph: {said}") from exc

    def decode(self, data: bytes) -> object:
        """Read what `export` wrote."""
        return OnnxFormat().decode(data)

    def score(self, model: object, inputs: Any, *, classify: bool) -> Any:
        """Ask a decoded graph."""
        return OnnxFormat().score(model, inputs, classify=classify)


def _converted(model: object, kind: str, width: int) -> Any:
    if kind == "skops":
        import skl2onnx  # type: ignore[import-untyped]  # noqa: PLC0415 - without types; an extra

        row = np.zeros((1, width))
        options = {id(model): {"zipmap": False}} if hasattr(model, "classes_") else None
        return skl2onnx.to_onnx(model, row, options=options, name="anew")
    import onnxmltools  # type: ignore[import-untyped]  # noqa: PLC0415 - without types; an extra
    from onnxmltools.convert.common.data_types import (  # type: ignore[import-untyped]  # noqa: PLC0415 - likewise
        FloatTensorType,
    )

    inputs = [("x", FloatTensorType([None, width]))]
    if kind == "lightgbm":
        return onnxmltools.convert_lightgbm(model, name="anew", initial_types=inputs, zipmap=False)
    return onnxmltools.convert_xgboost(cast("Any", model), name="anew", initial_types=inputs)
