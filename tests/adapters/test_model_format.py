"""Formats keep data and never run what a file brings."""

import io
import json
import pickle
import zipfile
from typing import Any

import numpy as np
import pytest
import skops.io  # type: ignore[import-untyped]  # ships no types
from lightgbm import LGBMClassifier
from sklearn.calibration import CalibratedClassifierCV  # type: ignore[import-untyped]  # ships no types
from sklearn.ensemble import (  # type: ignore[import-untyped]  # ships no types
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]  # ships no types
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit  # type: ignore[import-untyped]  # ships no types
from sklearn.neighbors import KNeighborsClassifier  # type: ignore[import-untyped]  # ships no types
from sklearn.pipeline import make_pipeline  # type: ignore[import-untyped]  # ships no types
from sklearn.preprocessing import FunctionTransformer, StandardScaler  # type: ignore[import-untyped]  # ships no types
from xgboost import XGBClassifier

from anew.adapters.model_format import DataFormats
from anew.adapters.model_format_lightgbm import LightGBMFormat
from anew.adapters.model_format_skops import SkopsFormat
from anew.domain.errors import AnewError, IntegrityError, TrainingError
from anew.loop.blending import can_blend

X = np.random.default_rng(0).normal(size=(200, 3))
Y = (X[:, 0] > 0).astype(int)


class Custom:
    """A model of nobody's."""


def mine(x: Any) -> Any:
    return x * 2


def test_the_format_follows_from_the_type() -> None:
    import lightgbm

    formats = DataFormats()
    booster = lightgbm.train({"verbose": -1, "num_threads": 1}, lightgbm.Dataset(X, Y), 2)
    assert formats.accepting(booster).name == "lightgbm"
    assert formats.accepting(lightgbm.LGBMClassifier()).name == "lightgbm"
    assert formats.accepting(LogisticRegression()).name == "skops"
    for model in (Custom(), None, {"a": 1}):
        with pytest.raises(TrainingError, match="lightgbm, skops, xgboost, onnx"):
            formats.accepting(model)
    with pytest.raises(IntegrityError, match="'pickle'"):
        formats.named("pickle")


def test_what_was_never_fitted_is_refused() -> None:
    import lightgbm

    with pytest.raises(TrainingError, match="never fitted"):
        LightGBMFormat().encode(lightgbm.LGBMRegressor())


@pytest.mark.parametrize(
    "model",
    [
        make_pipeline(StandardScaler(), LogisticRegression()),
        HistGradientBoostingClassifier(max_iter=3),
        RandomForestClassifier(3, random_state=0),
        KNeighborsClassifier(),
        GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=TimeSeriesSplit(3)),
        CalibratedClassifierCV(LogisticRegression(), cv=3),
        VotingClassifier([("linear", LogisticRegression()), ("near", KNeighborsClassifier())], voting="soft"),
    ],
    ids=lambda model: type(model).__name__,
)
def test_estimators_come_back_answering_the_same(model: Any) -> None:
    skops_format, model = SkopsFormat(), model.fit(X, Y)
    data = skops_format.encode(model)
    assert skops_format.encode(model) == data
    scores = skops_format.score(skops_format.decode(data), X, classify=True)
    assert scores.proba is not None
    assert np.array_equal(scores.proba, model.predict_proba(X))
    assert np.array_equal(scores.values, model.predict(X))


@pytest.mark.fault("R7")
@pytest.mark.parametrize("kind", [LGBMClassifier, XGBClassifier])
def test_a_booster_within_an_estimator_is_refused_when_written_and_when_read(kind: Any) -> None:
    model = make_pipeline(StandardScaler(), kind(n_estimators=3, n_jobs=1)).fit(X, Y)
    with pytest.raises(TrainingError, match=r"\.Booster"):
        SkopsFormat().encode(model)
    with pytest.raises(IntegrityError, match="not allowed"):
        SkopsFormat().decode(skops.io.dumps(model))


@pytest.mark.fault("R7")
def test_a_file_can_neither_choose_what_a_booster_frees_nor_have_it_open_a_path() -> None:
    """Both were possible while LightGBM's types were allowed: a state whose `get` lies, and arguments of its own."""
    nothing = {"__class__": "list", "__module__": "builtins", "__loader__": "ListNode", "content": [], "__id__": 3}
    state = {"__class__": "dict", "__module__": "builtins", "__loader__": "DictNode", "__id__": 2}
    state |= {"content": {}, "key_types": nothing}
    booster = {"__class__": "Booster", "__module__": "lightgbm.basic", "__id__": 1, "content": state, "attrs": state}
    for loader in ("ObjectNode", "ConstructorFromReduceNode"):
        with pytest.raises(IntegrityError, match=r"not allowed.*lightgbm\.basic\.Booster"):
            SkopsFormat().decode(_forged(booster | {"__loader__": loader, "args": state, "reduce": state}))


def test_a_users_function_inside_a_model_is_refused_when_written_and_when_read() -> None:
    model = make_pipeline(FunctionTransformer(mine), LogisticRegression()).fit(X, Y)
    with pytest.raises(TrainingError, match="mine"):
        SkopsFormat().encode(model)
    with pytest.raises(IntegrityError, match="not allowed"):
        SkopsFormat().decode(skops.io.dumps(model))


def _forged(schema: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("schema.json", json.dumps(schema | {"protocol": 2, "_skops_version": "0.16"}))
    return out.getvalue()


@pytest.mark.fault("R7")
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x05\x06" + bytes(18),
        pickle.dumps({"a": 1}),
        _forged({"__class__": "system", "__module__": "os", "__loader__": "FunctionNode", "content": {}}),
        _forged(
            {
                "__class__": "partial",
                "__module__": "functools",
                "__loader__": "PartialNode",
                "content": {"func": {"__class__": "system", "__module__": "os", "__loader__": "FunctionNode"}},
            }
        ),
        _forged({"__class__": "x", "__module__": "y", "__loader__": "NoSuchNode", "content": 1}),
    ],
)
def test_forged_files_are_refused(data: bytes) -> None:
    with pytest.raises(AnewError):
        SkopsFormat().decode(data)
    with pytest.raises(AnewError):
        LightGBMFormat().decode(data)


@pytest.mark.parametrize("objective", ["binary", "multiclass", "regression"])
def test_lightgbm_says_what_its_own_wrapper_says_and_is_asked_without_it(
    objective: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import lightgbm

    rng = np.random.default_rng(5)
    x = rng.normal(size=(300, 3))
    y = (
        x[:, 0]
        if objective == "regression"
        else (np.abs(x[:, 0]) * 2).astype(int).clip(0, 2 if objective[0] == "m" else 1)
    )
    told = {"objective": objective, "verbose": -1, "num_threads": 1} | ({"num_class": 3} if objective[0] == "m" else {})
    kept = LightGBMFormat()
    booster = kept.decode(kept.encode(lightgbm.train(told, lightgbm.Dataset(x, y), 20)))
    x[::7, 1] = np.nan
    asked = [x, x[:1], np.asfortranarray(x), x[:, ::-1]]
    expected = [np.asarray(booster.predict(each)) for each in asked]

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the wrapper was asked")

    for each, said in zip(asked, expected, strict=True):
        with monkeypatch.context() as patched:
            if each.flags.c_contiguous:
                patched.setattr(booster, "predict", refuse)
            scores = kept.score(booster, each, classify=objective != "regression")
        found = scores.values if scores.proba is None else scores.proba if said.ndim > 1 else scores.proba[:, 1]
        assert np.array_equal(found, said)
    with pytest.raises(lightgbm.basic.LightGBMError, match="number of features"):
        kept.score(booster, x[:, :2].copy(), classify=False)


def boosted(objective: str, rows: slice, **params: Any) -> Any:
    """Return a Booster of thirty trees on some rows of `X`, the last column of it a category."""
    import lightgbm

    y = {"regression": 100 + 2 * X[:, 0], "binary": Y, "multiclass": (X[:, 1] > 0) + Y}[objective]
    wide = np.column_stack([X, np.arange(len(X)) % 5])
    told = {"objective": objective, "verbose": -1, "num_threads": 1, "deterministic": True, "min_data_in_leaf": 5}
    if objective == "multiclass":
        told["num_class"] = 3
    data = lightgbm.Dataset(wide[rows], y[rows], categorical_feature=[3])
    return lightgbm.train(told | params, data, 30)


@pytest.mark.parametrize("objective", ["regression", "binary", "multiclass"])
def test_a_blend_says_the_weighted_mean_of_what_its_models_say_before_the_link(objective: str) -> None:
    kept_as = LightGBMFormat()
    one, other = boosted(objective, slice(0, 150)), boosted(objective, slice(50, None))
    before = kept_as.encode(one), kept_as.encode(other)
    whole = kept_as.blend([one, other], [0.3, 0.7])
    wide = np.column_stack([X, np.arange(len(X)) % 5])
    said = [np.asarray(model.predict(wide, raw_score=True)) for model in (one, other, whole)]
    np.testing.assert_allclose(said[2], 0.3 * said[0] + 0.7 * said[1], atol=1e-11)
    assert np.abs(said[0] - said[1]).max() > 0.01
    assert (kept_as.encode(one), kept_as.encode(other)) == before
    data = kept_as.encode(whole)
    assert data == kept_as.encode(kept_as.blend([one, other], [0.3, 0.7]))
    again = kept_as.decode(data)
    np.testing.assert_array_equal(again.predict(wide), whole.predict(wide))
    assert kept_as.encode(again) == data


def test_models_that_have_no_mean_are_not_blended() -> None:
    import lightgbm

    kept_as, one = LightGBMFormat(), boosted("binary", slice(0, 150))
    forest = boosted("binary", slice(0, None), boosting="rf", bagging_freq=1, bagging_fraction=0.5)
    narrow = lightgbm.train({"objective": "binary", "verbose": -1, "num_threads": 1}, lightgbm.Dataset(X, Y), 3)
    linear = lightgbm.train(
        {"objective": "regression", "linear_tree": True, "verbose": -1, "num_threads": 1}, lightgbm.Dataset(X, Y), 3
    )
    for pair, said in (
        ((one, forest), "means already"),
        ((one, narrow), "max_feature_idx, feature_names differ"),
        ((one, boosted("regression", slice(0, None))), "objective differ"),
        ((linear, linear), "linear trees"),
    ):
        with pytest.raises(TrainingError, match=said):
            kept_as.blend(pair, [0.5, 0.5])


def test_only_lightgbm_blends() -> None:
    formats = DataFormats()
    found = [name for name in ("lightgbm", "skops", "xgboost", "onnx") if can_blend(name, formats)]
    assert found == ["lightgbm"]
