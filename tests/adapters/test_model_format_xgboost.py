"""XGBoost's models come back answering the same, and nothing malformed reaches XGBoost."""

import json
from typing import Any

import numpy as np
import polars as pl
import pytest
import xgboost

from anew.adapters.model_format import DataFormats
from anew.adapters.model_format_xgboost import XGBoostFormat
from anew.domain.errors import IntegrityError, SchemaError, TrainingError

X = np.random.default_rng(0).normal(size=(200, 3))
X[::7, 1] = np.nan
LABELS = {2: (X[:, 0] > 0).astype(int), 3: np.digitize(X[:, 0], [-0.5, 0.5])}


def fitted(kind: type, labels: Any, **settings: Any) -> Any:
    return kind(n_estimators=4, max_depth=3, n_jobs=1, random_state=0, **settings).fit(X, labels)


@pytest.mark.parametrize("classes", [2, 3])
def test_classifiers_answer_the_same_and_are_written_the_same(classes: int) -> None:
    kept = DataFormats().accepting(fitted(xgboost.XGBClassifier, LABELS[classes]))
    assert kept.name == "xgboost"
    model = fitted(xgboost.XGBClassifier, LABELS[classes])
    data = kept.encode(model)
    assert data == kept.encode(model) == kept.encode(fitted(xgboost.XGBClassifier, LABELS[classes]))
    assert kept.classes(model) is None, "positions name nothing"
    scores = kept.score(kept.decode(data), X, classify=True)
    assert scores.proba is not None
    assert np.array_equal(scores.proba.astype(np.float32), model.predict_proba(X).astype(np.float32))
    assert np.array_equal(scores.values, model.predict(X))


def test_numbers_are_answered_the_same_from_frames_too() -> None:
    model, kept = fitted(xgboost.XGBRegressor, X[:, 0] * 2), XGBoostFormat()
    frame = pl.DataFrame(X, schema=["a", "b", "c"])
    for booster in (model, model.get_booster()):
        scores = kept.score(kept.decode(kept.encode(booster)), frame, classify=False)
        assert np.array_equal(scores.values.astype(np.float32), model.predict(X))
    assert kept.classes(model.get_booster()) is None
    with pytest.raises(SchemaError, match="3 inputs"):
        kept.score(kept.decode(kept.encode(model)), X[:, :2], classify=False)


def test_early_stopping_keeps_the_best_trees() -> None:
    noise = np.random.default_rng(1).normal(size=200)
    model = xgboost.XGBRegressor(n_estimators=50, early_stopping_rounds=2, n_jobs=1)
    model.fit(X[:100], noise[:100], eval_set=[(X[100:], noise[100:])], verbose=False)
    decoded = XGBoostFormat().decode(XGBoostFormat().encode(model))
    assert decoded.num_boosted_rounds() == model.best_iteration + 1 < model.get_booster().num_boosted_rounds()


def test_what_was_never_fitted_is_refused() -> None:
    with pytest.raises(TrainingError, match="never fitted"):
        XGBoostFormat().encode(xgboost.XGBClassifier())


@pytest.mark.fault("R7")
def test_forged_files_are_refused() -> None:
    whole = XGBoostFormat().encode(fitted(xgboost.XGBRegressor, X[:, 0]))
    plain = json.loads(whole)
    binary = bytes(fitted(xgboost.XGBRegressor, X[:, 0]).get_booster().save_raw("ubj"))
    changes: list[dict[str, object]] = [{"version": 3}, {"version": [1]}, {"learner": {}}, {"learner": 7}]
    changed = [json.dumps(plain | each).encode() for each in changes]
    for data in (b"", b"x", b"[]", b"{}", b"{L\x00", whole[:-9], binary, *changed):
        with pytest.raises(IntegrityError, match="not an XGBoost model"):
            XGBoostFormat().decode(data)
