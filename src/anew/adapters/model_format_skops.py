"""scikit-learn estimators as skops files: data that names types, each of which must be on a fixed list."""

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import polars as pl

from anew.domain.errors import IntegrityError, SchemaError, TrainingError
from anew.ports.model_format import Scores
from anew.ports.rows import input_matrix

__all__ = ["SkopsFormat"]

ALLOWED = (
    "numpy.dtype",
    "sklearn._loss.loss.HalfTweedieLoss",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.metrics._scorer._PassthroughScorer",
    "sklearn.model_selection._split.KFold",
    "sklearn.model_selection._split.StratifiedKFold",
    "sklearn.model_selection._split.TimeSeriesSplit",
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._bunch.Bunch",
)
"""Types allowed besides those that skops itself trusts; none of them runs anything that a file brings.

LightGBM's and XGBoost's are not among them: a file would choose the state of a Booster, and so what its library frees
and which paths it opens.

Never what a file lists: `get_untrusted_types` on it would have the attacker write this list.
"""

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the least that a zip file can say


@dataclass(frozen=True, slots=True)
class SkopsFormat:
    """See `anew.ports.model_format.ModelFormat`. Accepts fitted scikit-learn estimators and pipelines of them."""

    name: str = "skops"
    file: str = "model.skops"

    def accepts(self, model: object) -> bool:
        """Is it a scikit-learn estimator (known by name, so that scikit-learn is not imported for other models)?"""
        names = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(model).__mro__}
        return "sklearn.base.BaseEstimator" in names and type(model).__module__.startswith("sklearn.")

    def classes(self, model: object) -> Sequence[object] | None:
        """Return the estimator's classes."""
        found = getattr(model, "classes_", None)
        return None if found is None else cast("list[object]", np.asarray(found).tolist())

    def encode(self, model: object) -> bytes:
        """Write a skops file without addresses and instants, so that equal models give equal bytes."""
        import skops.io  # type: ignore[import-untyped]  # noqa: PLC0415 - without types; takes seconds, for its models only

        data = _canonical(skops.io.dumps(model))
        foreign = sorted(set(skops.io.get_untrusted_types(data=data)) - set(ALLOWED))
        if foreign:
            raise TrainingError(
                "error",
                f"the model holds {foreign}, which are not on the list of types that are safe to load; "
                "use scikit-learn's own parts, or do that step in features()",
            )
        return data

    def decode(self, data: bytes) -> object:
        """Read a skops file; types off the list are refused before anything of theirs is made."""
        import skops.io  # noqa: PLC0415 - takes seconds; only scikit-learn models need it

        try:
            return cast("object", skops.io.loads(data, trusted=list(ALLOWED)))
        except skops.io.exceptions.UntrustedTypesFoundException as exc:
            raise IntegrityError(f"{self.file} names types that are not allowed: {exc}") from exc
        except (KeyError, TypeError, ValueError, AttributeError, zipfile.BadZipFile) as exc:
            raise IntegrityError(f"{self.file} is not a skops file: {exc!r}") from exc

    def score(self, model: object, inputs: pl.DataFrame | npt.NDArray[np.float64], *, classify: bool) -> Scores:
        """Ask the estimator, by name when it was fitted on a frame and by position when on a matrix."""
        estimator = cast("Any", model)
        x = _as_fitted(estimator, inputs)
        if not classify:
            values = np.asarray(estimator.predict(x), dtype=np.float64)
            return Scores(values=values.reshape(len(values)))
        proba = np.asarray(estimator.predict_proba(x), dtype=np.float64)
        # A classifier may answer by a threshold of its own: its answer counts, not the largest probability.
        answers, known = np.asarray(estimator.predict(x)), np.asarray(estimator.classes_)
        return Scores(values=np.searchsorted(known, answers), proba=proba)


def _as_fitted(estimator: Any, inputs: pl.DataFrame | npt.NDArray[np.float64]) -> object:
    names = getattr(estimator, "feature_names_in_", None)
    if names is None:
        return input_matrix(inputs) if isinstance(inputs, pl.DataFrame) else inputs
    if not isinstance(inputs, pl.DataFrame):
        return pl.DataFrame(inputs, schema=list(names), orient="row")
    missing = [name for name in names if name not in inputs.columns]
    if missing:
        raise SchemaError(f"the model was fitted with {missing}, which features() did not return")
    return inputs.select(names)


def _canonical(data: bytes) -> bytes:
    """Return the skops (or npz) archive with fixed instants and, for addresses, numbers in order of appearance."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    renamed: dict[str, str] = {}
    if "schema.json" in contents:
        schema = json.loads(contents["schema.json"])
        _renumber(schema, {}, renamed)
        contents["schema.json"] = json.dumps(schema, sort_keys=True).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sorted((renamed.get(name, name), content) for name, content in contents.items()):
            inner = _canonical(content) if name.endswith(".npz") else content
            archive.writestr(zipfile.ZipInfo(name, date_time=_EPOCH), inner)
    return out.getvalue()


def _renumber(node: Any, numbers: dict[object, int], renamed: dict[str, str]) -> None:
    if isinstance(node, list):
        for item in node:
            _renumber(item, numbers, renamed)
    if not isinstance(node, dict):
        return
    if "__id__" in node:
        # Immutable leaves of equal content are one: which of them share memory depends on the process.
        leaf = json.dumps([node["__class__"], node["content"]]) if node.get("is_json") else None
        node["__id__"] = numbers.setdefault(leaf or node["__id__"], len(numbers) + 1)
    if isinstance(node.get("file"), str) and "__loader__" in node:
        old = node["file"]
        suffix = old.rpartition(".")[2]
        node["file"] = renamed.setdefault(old, f"{len(renamed) + 1:05d}.{suffix}")
    for key in sorted(node):
        _renumber(node[key], numbers, renamed)
