"""XGBoost models as XGBoost's own JSON."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import polars as pl

from anew.domain.errors import IntegrityError, MissingExtraError, SchemaError, TrainingError
from anew.ports.model_format import Scores
from anew.ports.rows import input_matrix

if TYPE_CHECKING:
    from xgboost import Booster

__all__ = ["XGBoostFormat"]

_TYPES = frozenset({"Booster", "XGBClassifier", "XGBRFClassifier", "XGBRFRegressor", "XGBRegressor"})


@dataclass(frozen=True, slots=True)
class XGBoostFormat:
    """See `anew.ports.model_format.ModelFormat`. Accepts Booster and the scikit-learn wrappers but rankers.

    JSON, not XGBoost's binary UBJSON: on a malformed binary file XGBoost ends the whole process, and text can be
    checked before it is handed over. Objectives have to answer with numbers or probabilities; ``multi:softmax`` answers
    with classes alone, so use ``multi:softprob``.
    """

    name: str = "xgboost"
    file: str = "model.json"

    def accepts(self, model: object) -> bool:
        """Is it an XGBoost model? Known by name, so that XGBoost is not imported for other models."""
        return any(kind.__module__.startswith("xgboost.") and kind.__name__ in _TYPES for kind in type(model).__mro__)

    def classes(self, model: object) -> Sequence[object] | None:  # noqa: ARG002  the same for all
        """Return None: whatever it is, XGBoost takes positions 0 … k-1 for labels, and its classes name nothing."""
        return None

    def encode(self, model: object) -> bytes:
        """Write the JSON, up to the best iteration where there was early stopping."""
        import xgboost  # noqa: PLC0415 - an extra; whoever trained with it has it

        try:
            booster = cast("Any", model).get_booster() if hasattr(model, "get_booster") else cast("Any", model)
            if booster.attr("best_iteration") is not None:
                booster = booster[: booster.best_iteration + 1]
            return bytes(booster.save_raw("json"))
        except (xgboost.core.XGBoostError, ValueError) as exc:  # XGBoost's "not fitted" error is a ValueError
            raise TrainingError("error", f"train() returned an XGBoost model that was never fitted: {exc}") from exc

    def decode(self, data: bytes) -> "Booster":
        """Read the JSON."""
        try:
            import xgboost  # noqa: PLC0415 - an extra
        except ImportError as exc:
            raise MissingExtraError("xgboost", "xgboost") from exc

        problem = _not_a_model(data)
        if problem:
            raise IntegrityError(f"{self.file} is not an XGBoost model: {problem}")
        try:
            return xgboost.Booster({"nthread": 1}, model_file=bytearray(data))
        except xgboost.core.XGBoostError as exc:
            said = str(exc).partition("\n")[0]
            raise IntegrityError(f"{self.file} is not an XGBoost model: {said}") from exc

    def score(self, model: object, inputs: pl.DataFrame | npt.NDArray[np.float64], *, classify: bool) -> Scores:
        """Ask the Booster, on one thread."""
        matrix = input_matrix(inputs) if isinstance(inputs, pl.DataFrame) else inputs
        booster = cast("Booster", model)
        if matrix.shape[1] != booster.num_features():
            raise SchemaError(f"the model takes {booster.num_features()} inputs, features() returned {matrix.shape[1]}")
        # XGBoost is told of columns by position: names, where it has some, are those of the frame it was fitted on.
        raw = np.asarray(booster.inplace_predict(matrix, validate_features=False), dtype=np.float64)
        if not classify:
            return Scores(values=raw.reshape(len(matrix), -1)[:, 0] if raw.size == len(matrix) else raw)
        proba = np.column_stack((1.0 - raw, raw)) if raw.ndim == 1 else raw
        return Scores(values=proba.argmax(axis=1), proba=proba)


def _not_a_model(data: bytes) -> str:
    """Say why the bytes cannot be a model of XGBoost's; empty when they may be one."""
    try:
        plain = json.loads(data)
    except ValueError as exc:
        return str(exc)
    if not (isinstance(plain, dict) and isinstance(plain.get("learner"), dict)):
        return "it has no learner"
    return "" if isinstance(plain.get("version"), list) else "it has no version"
