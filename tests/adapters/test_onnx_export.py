"""Exports answer as the models do, are the same each time, and what cannot be exported says so."""

from typing import Any

import lightgbm
import numpy as np
import pytest
import xgboost
from sklearn.ensemble import RandomForestClassifier  # type: ignore[import-untyped]  # ships no types
from sklearn.linear_model import LinearRegression, LogisticRegression  # type: ignore[import-untyped]  # ships no types
from sklearn.neural_network import MLPClassifier  # type: ignore[import-untyped]  # ships no types
from sklearn.pipeline import make_pipeline  # type: ignore[import-untyped]  # ships no types
from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped]  # ships no types
from sklearn.semi_supervised import LabelPropagation  # type: ignore[import-untyped]  # ships no types

from anew.adapters.model_format import DataFormats
from anew.adapters.onnx_export import OnnxExporter
from anew.domain.errors import TrainingError

X = np.random.default_rng(0).normal(size=(300, 3))
TWO, THREE, NUMBER = (X[:, 0] > 0).astype(int), np.digitize(X[:, 0], [-0.5, 0.5]), X @ [1.0, 2.0, 3.0]
TREES: dict[str, Any] = {"n_estimators": 8, "n_jobs": 1, "random_state": 0}
QUIET: dict[str, Any] = TREES | {"verbose": -1}


@pytest.mark.parametrize(
    ("model", "y"),
    [
        (lightgbm.LGBMClassifier(**QUIET), TWO),
        (lightgbm.LGBMClassifier(**QUIET), THREE),
        (lightgbm.LGBMRegressor(**QUIET), NUMBER),
        (xgboost.XGBClassifier(**TREES), TWO),
        (xgboost.XGBClassifier(**TREES), THREE),
        (xgboost.XGBRegressor(**TREES), NUMBER),
        (make_pipeline(StandardScaler(), LogisticRegression()), THREE),
        (LinearRegression(), NUMBER),
        (RandomForestClassifier(5, random_state=0), TWO),
        (MLPClassifier((4,), max_iter=30, random_state=0), TWO),
    ],
    ids=lambda each: type(each).__name__,
)
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_an_export_answers_as_its_model(model: Any, y: Any) -> None:
    kept, exporter = DataFormats().accepting(model), OnnxExporter()
    decoded = kept.decode(kept.encode(model.fit(X, y)))
    data = exporter.export(decoded, kept.name, 3)
    assert data == exporter.export(decoded, kept.name, 3)
    classify = y is not NUMBER
    ours, theirs = (
        kept.score(decoded, X, classify=classify),
        exporter.score(exporter.decode(data), X, classify=classify),
    )
    if ours.proba is not None:
        assert np.allclose(ours.proba, theirs.proba, atol=1e-5)
    assert np.allclose(ours.values, theirs.values, rtol=1e-5, atol=1e-5)


def test_what_cannot_be_exported_says_so() -> None:
    with pytest.raises(TrainingError, match="cannot be written as an ONNX graph"):
        OnnxExporter().export(LabelPropagation().fit(X, TWO), "skops", 3)
    with pytest.raises(TrainingError, match="already"):
        OnnxExporter().export(object(), "onnx", 3)
