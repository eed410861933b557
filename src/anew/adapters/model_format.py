"""The formats that models are kept in; all of them data without code."""

from dataclasses import dataclass

from anew.adapters.model_format_lightgbm import LightGBMFormat
from anew.adapters.model_format_onnx import OnnxFormat
from anew.adapters.model_format_skops import SkopsFormat
from anew.adapters.model_format_torch import TorchFormat
from anew.adapters.model_format_xgboost import XGBoostFormat
from anew.domain.errors import IntegrityError, TrainingError
from anew.ports.model_format import ModelFormat

__all__ = ["DataFormats"]


@dataclass(frozen=True, slots=True)
class DataFormats:
    """The formats that anew ships, asked in order; there is no fallback to pickle."""

    formats: tuple[ModelFormat, ...] = (LightGBMFormat(), SkopsFormat(), XGBoostFormat(), OnnxFormat(), TorchFormat())

    def _known(self) -> str:
        return ", ".join(dict.fromkeys(known.name for known in self.formats))

    def accepting(self, model: object) -> ModelFormat:
        """Return the format that writes this object."""
        for known in self.formats:
            if known.accepts(model):
                return known
        raise TrainingError(
            "error",
            f"train() returned {type(model).__module__}.{type(model).__qualname__}, which no format keeps without "
            f"pickle; return a model of LightGBM, scikit-learn, XGBoost or PyTorch, or an ONNX graph "
            f"(formats: {self._known()})",
        )

    def named(self, name: str) -> ModelFormat:
        """Return the format with this name."""
        for known in self.formats:
            if known.name == name:
                return known
        raise IntegrityError(f"the artifact's model has the format {name!r}; this anew reads {self._known()}")
