"""The form of a model that serves: the export only when it says the same and is faster."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from anew.adapters.model_loader import ModelLoader
from anew.adapters.onnx_export import OnnxExporter
from anew.adapters.pipeline_module import load_pipeline
from anew.app.training_job import training_kit
from anew.domain.column import Column, ColumnKind, Columns, Task
from anew.domain.errors import MissingExtraError
from anew.domain.manifest import Manifest
from anew.loop.scorer import choose_scorer
from anew.loop.training import Recipe, fit
from anew.ports.model_format import Scores

ROWS = np.random.default_rng(5).normal(size=(40, 3))
Score = Callable[[npt.NDArray[np.float64]], Scores]


class Work:
    """A clock that scores move on, so that nothing depends on this machine."""

    def __init__(self) -> None:
        self.now = 0.0

    def scorer(self, seconds: float, shift: float = 0.0, flip: bool = False, alone: float = 0.0) -> Score:
        """Return one that takes so long for a call."""

        def score(rows: npt.NDArray[np.float64]) -> Scores:
            self.now += seconds
            p = 1 / (1 + np.exp(-rows[:, 0])) + shift + (alone if len(rows) == 1 else 0.0)
            proba = np.column_stack((1 - p, p))
            return Scores(values=proba.argmin(axis=1) if flip else proba.argmax(axis=1), proba=proba)

        return score


@pytest.mark.parametrize(
    ("told", "exported"),
    [
        ({"seconds": 0.1}, True),
        ({"seconds": 0.1, "shift": 1e-7}, True),
        ({"seconds": 0.9}, False),  # hardly faster
        ({"seconds": 2.0}, False),
        ({"seconds": 0.1, "shift": 1e-4}, False),
        ({"seconds": 0.1, "flip": True}, False),
        ({"seconds": 0.1, "alone": 1e-3}, False),  # the same only in company
        ({"seconds": 0.1, "shift": float("nan")}, False),
    ],
)
def test_the_export_serves_only_when_it_is_the_same_and_faster(told: Mapping[str, Any], exported: bool) -> None:
    work = Work()
    choice = choose_scorer(work.scorer(1.0), work.scorer(**told), ROWS, clock=lambda: work.now)
    assert choice.exported is exported
    assert choice.timings["trained_us_one_row"] == pytest.approx(1e6)
    assert choice.timings["exported_us_row_of_32"] == pytest.approx(told["seconds"] * 1e6 / 32)


PIPELINE = """from sklearn.ensemble import RandomForestClassifier


def train(data, params):
    return RandomForestClassifier(n_estimators=20, max_depth=4, random_state=data.seed).fit(data.x.to_numpy(), data.y)
"""


def test_a_forest_of_scikit_learn_is_served_by_its_export_and_answers_as_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = tuple(Column(name=name, kind=ColumnKind.NUMBER) for name in "abc")
    columns = Columns(time="at", target="y", task=Task.BINARY, classes=(0, 1), features=features)
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    pipeline = load_pipeline(tmp_path / "pipeline.py")
    x = np.random.default_rng(1).normal(size=(400, 3))
    at = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=i) for i in range(len(x))]
    rows = pl.DataFrame({name: x[:, i] for i, name in enumerate("abc")}).with_columns(
        _at=pl.Series(at), _label=pl.Series((x[:, 0] + x[:, 1] > 0).astype(np.int64))
    )
    fitted = fit(rows, Recipe(columns=columns, seed=1, export=True), pipeline, training_kit())
    assert fitted.candidate.manifest.scorer == "export"  # by a factor of tens, not by a hair
    assert fitted.timings["trained_us_one_row"] > fitted.timings["exported_us_one_row"] > 0
    folder = tmp_path / "artifact"
    folder.mkdir()
    for name, data in fitted.candidate.files.items():
        (folder / name).write_bytes(data)
    loaded = ModelLoader().load(folder, version="v1", digest="d")
    assert loaded.served is not None
    native = replace(loaded, served=None)
    given = [dict(zip("abc", map(float, row), strict=True)) for row in x[:50]]
    for one, other in zip(loaded.answer(given), native.answer(given), strict=True):
        assert one.output == other.output
        assert one.proba == pytest.approx(other.proba, abs=1e-6)
    assert hasattr(loaded.model, "estimators_")  # what the next training starts from is the model itself

    def missing(*_: object) -> object:
        raise MissingExtraError("onnxruntime", "onnx")

    monkeypatch.setattr(OnnxExporter, "decode", missing)
    assert ModelLoader().load(folder, version="v1", digest="d").served is None


def test_a_manifest_of_before_reads_as_the_model_serving_itself() -> None:
    columns = Columns(time="at", target="y", task=Task.REGRESSION, features=(Column(name="a", kind=ColumnKind.NUMBER),))
    plain = Manifest(
        format="lightgbm", model_file="m", columns=columns, inputs=("a",), classes=(), rows=2, holdout_rows=0, seed=1,
        code="c", environment="e",
    )  # fmt: skip
    assert '"scorer"' not in plain.to_json()
    assert Manifest.from_json(plain.to_json()) == plain
    assert Manifest.from_json(replace(plain, scorer="export").to_json()).scorer == "export"
