"""LightGBM models as LightGBM's own text."""

import ctypes
import re
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
_LEAVES = re.compile(r"^leaf_value=(.*)$", re.MULTILINE)
_SIZES = re.compile(r"^tree_sizes=.*\n", re.MULTILINE)
_TREES, _END = "\nTree=0\n", "\nend of trees\n"
_ALIKE = ("num_class", "num_tree_per_iteration", "max_feature_idx", "objective", "feature_names", "pandas_categorical")
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

    def blend(self, models: Sequence[object], weights: Sequence[float]) -> "Booster":
        """Return a Booster with the trees of all, the leaves of each times its weight.

        What it says before the link function is the weighted mean of what they say: of numbers, or of the logarithms of
        the odds. See `anew.ports.model_format.Blending`.
        """
        texts = [cast("Booster", model).model_to_string() for model in models]
        _refuse_unlike(texts)
        merged = self.decode(_merged([_weighted(*each) for each in zip(texts, weights, strict=True)]).encode())
        trees = sum(text.count("\nTree=") for text in texts)
        if merged.num_trees() != trees:
            raise TrainingError("error", f"LightGBM read {trees} trees as {merged.num_trees()}")
        return merged

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


def _weighted(text: str, weight: float) -> str:
    """Return the text of a model with each leaf times `weight`."""

    def scaled(line: re.Match[str]) -> str:
        leaves = np.array(line[1].split(), dtype=np.float64) * weight
        return "leaf_value=" + " ".join(map(repr, leaves.tolist()))

    return _LEAVES.sub(scaled, text)


def _merged(texts: Sequence[str]) -> str:
    """Return the text of a model that has the trees of all; for the rest it is the first.

    Without the lengths of the trees' texts, which are others now, LightGBM reads them one after another.
    """
    parts = [_parts(text) for text in texts]
    head, _, tail = parts[0]
    return _SIZES.sub("", head) + "".join(trees for _, trees, _ in parts) + tail


def _parts(text: str) -> tuple[str, str, str]:
    """Return what a model says before its trees, its trees, and what it says after them."""
    begin, end = text.find(_TREES), text.find(_END)
    if begin < 0 or end < begin:
        raise TrainingError("error", "a LightGBM model without trees cannot be blended")
    return text[:begin], text[begin:end], text[end:]


def _refuse_unlike(texts: Sequence[str]) -> None:
    """Raise TrainingError where models, as LightGBM writes them, have no mean that is a model of theirs."""
    heads = []
    for text in texts:
        head, _, rest = text.partition("\nTree=")
        lines = [*head.splitlines(), *rest.splitlines()[-3:]]
        if "average_output" in lines:
            raise TrainingError("error", "random forests of LightGBM cannot be blended: they are means already")
        if "is_linear=1" in text:
            raise TrainingError("error", "LightGBM's linear trees cannot be blended")
        told = dict(line.replace("pandas_categorical:", "pandas_categorical=").partition("=")[::2] for line in lines)
        heads.append({name: told.get(name, "") for name in _ALIKE})
    for other in heads[1:]:
        unlike = [name for name in _ALIKE if other[name] != heads[0][name]]
        if unlike:
            raise TrainingError("error", f"these models cannot be blended: {', '.join(unlike)} differ")


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
