"""LightGBM models as LightGBM's own text."""

import ctypes
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import polars as pl

from anew.domain.errors import IntegrityError, SchemaError, TrainingError
from anew.ports.model_format import Scores
from anew.ports.rows import input_matrix

if TYPE_CHECKING:
    from lightgbm import Booster

__all__ = ["LightGBMFormat"]

_TYPES = frozenset({"Booster", "LGBMClassifier", "LGBMRegressor"})
_FLOAT64, _ROW_MAJOR, _NORMAL = 1, 1, 0  # C_API_DTYPE_FLOAT64, C_API_PREDICT_NORMAL of LightGBM's c_api.h
_ONE_THREAD = ctypes.c_char_p(b"num_threads=1")


@dataclass(frozen=True, slots=True)
class LightGBMFormat:
    """See `anew.ports.model_format.ModelFormat`. Accepts Booster, LGBMClassifier and LGBMRegressor.

    A decoded model is a Booster; asked directly it answers one row in about a tenth of the time of its scikit-learn
    wrapper.
    """

    name: str = "lightgbm"
    file: str = "model.txt"

    def accepts(self, model: object) -> bool:
        """Is it a LightGBM model? Known by name, so that LightGBM is not imported for other models."""
        return any(kind.__module__.startswith("lightgbm.") and kind.__name__ in _TYPES for kind in type(model).__mro__)

    def classes(self, model: object) -> Sequence[object] | None:
        """Return the wrapper's classes; a bare Booster was trained on positions 0 … k-1 and names none."""
        found = getattr(model, "classes_", None)
        return None if found is None else cast("list[object]", np.asarray(found).tolist())

    def encode(self, model: object) -> bytes:
        """Write the text of the best iteration, or of all when there was no early stopping."""
        try:
            booster = getattr(model, "booster_", model)
            # model_to_string works twice when the text is longer than a megabyte; writing a file works once.
            with TemporaryDirectory() as folder:
                file = Path(folder) / self.file
                cast("Any", booster).save_model(file)
                return file.read_bytes()
        except (AttributeError, ValueError) as exc:  # LightGBM's "not fitted" error is both
            raise TrainingError("error", f"train() returned a LightGBM model that was never fitted: {exc}") from exc

    def decode(self, data: bytes) -> "Booster":
        """Read the text."""
        import lightgbm  # noqa: PLC0415 - takes seconds; programs that serve other models need not wait

        try:
            return lightgbm.Booster(model_str=data.decode())
        except (lightgbm.basic.LightGBMError, UnicodeDecodeError, ValueError) as exc:
            raise IntegrityError(f"{self.file} is not a LightGBM model: {exc}") from exc

    def score(self, model: object, inputs: pl.DataFrame | npt.NDArray[np.float64], *, classify: bool) -> Scores:
        """Ask the Booster; one thread, because on a busy machine more of them are slower."""
        matrix = input_matrix(inputs) if isinstance(inputs, pl.DataFrame) else inputs
        booster = cast("Booster", model)
        raw = _raw(booster, matrix)
        if not classify:
            if raw.ndim != 1:
                raise SchemaError(f"a regression model answers one number per row, this one has shape {raw.shape}")
            return Scores(values=raw)
        if raw.ndim > 1:
            return Scores(values=raw.argmax(axis=1), proba=raw)
        proba = np.empty((len(raw), 2))
        np.subtract(1.0, raw, out=proba[:, 0])
        proba[:, 1] = raw
        return Scores(values=proba.argmax(axis=1), proba=proba)


def _raw(booster: "Booster", matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return what `Booster.predict` does, shape `(n,)` or `(n, k)`, without what it does around the library's call.

    For one row that is four fifths of the time. What the library refuses, and a Booster that is made otherwise than
    those of today, is for `Booster.predict` to answer.
    """
    library: Any = getattr(sys.modules[type(booster).__module__], "_LIB", None)
    handle = getattr(booster, "_handle", None)
    plain = matrix.ndim == 2 and matrix.dtype == np.float64 and matrix.flags.c_contiguous and matrix.size > 0
    if library is not None and isinstance(handle, ctypes.c_void_p) and plain:
        rows, columns = matrix.shape
        each, count = booster.num_model_per_iteration(), ctypes.c_int64()
        found = np.empty(rows * each)
        failed = library.LGBM_BoosterPredictForMat(
            handle, ctypes.c_void_p(matrix.ctypes.data), _FLOAT64, ctypes.c_int32(rows), ctypes.c_int32(columns),
            _ROW_MAJOR, _NORMAL, 0, booster.best_iteration, _ONE_THREAD, ctypes.byref(count),
            ctypes.c_void_p(found.ctypes.data),
        )  # fmt: skip
        if not failed and count.value == rows * each:
            return found if each == 1 else found.reshape(rows, each)
    return np.asarray(booster.predict(matrix, num_threads=1), dtype=np.float64)
