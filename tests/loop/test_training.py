"""The training itself, with a format and a loader of no weight: what it refuses, records and repeats."""

import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from anew.adapters.model_format import DataFormats
from anew.adapters.model_loader import ModelLoader
from anew.adapters.pipeline_module import load_pipeline
from anew.domain.column import Column, ColumnKind, Columns, Task
from anew.domain.errors import SettingsError, TrainingError
from anew.domain.manifest import Manifest
from anew.loop.held_loss import LOSSES, loss_scale
from anew.loop.training import Kit, Recipe, fit, known_classes, label_series
from anew.loop.training_run import TrainingRun, read_outcome, run_training
from anew.ports.pipeline import Pipeline, TrainingData
from anew.stats.loss_profile import LossProfile
from anew.stats.profile import Reference

KIT = Kit(formats=DataFormats(), loader=ModelLoader())

SOURCE = """
import numpy as np
from sklearn.linear_model import LinearRegression, LogisticRegression
import polars as pl

seen = []

def train(data, params):
    seen.append((data, params))
    if params.get("raise"):
        raise ValueError("no luck")
    if params.get("memory"):
        raise MemoryError
    if params.get("return"):
        return params["return"]
    kind = LinearRegression if data.y.dtype == pl.Float64 else LogisticRegression
    y = data.y.to_numpy()
    if params.get("other_labels"):
        y = np.where(y == data.y[0], "p", "q")
    model = kind().fit(data.x.to_numpy(), y)
    if params.get("nan"):
        model.coef_ = model.coef_ * np.nan
    return model
"""


def columns(task: Task = Task.BINARY, classes: Sequence[int | str] = (0, 1)) -> Columns:
    return Columns(
        time="at",
        target="y",
        task=task,
        classes=tuple(classes) if task.classifies else (),
        features=(Column(name="a", kind=ColumnKind.NUMBER), Column(name="b", kind=ColumnKind.NUMBER)),
    )


def rows(n: int = 120, label: pl.Series | None = None) -> pl.DataFrame:
    chance = np.random.default_rng(5)
    a = chance.normal(size=n)
    at = pl.datetime_range(pl.datetime(2024, 1, 1), pl.datetime(2026, 1, 1), "1h", time_zone="UTC", eager=True)
    made = pl.Series((a > 0).astype(int)) if label is None else label
    return pl.DataFrame({"_at": at.head(n), "_label": made, "a": a, "b": chance.normal(size=n)})


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    path = tmp_path / "pipeline.py"
    path.write_text(SOURCE)
    return load_pipeline(path)


def given(pipeline: Pipeline, recipe: Recipe, frame: pl.DataFrame, **more: Any) -> TrainingData:
    """Train, and return what `train` was given."""
    fit(frame, recipe, pipeline, KIT, **more)
    seen: list[tuple[TrainingData, Mapping[str, Any]]] = pipeline.fit.__globals__["seen"]  # type: ignore[attr-defined]  # of the loaded module
    return seen[-1][0]


def test_held_out_rows_never_reach_train(pipeline: Pipeline) -> None:
    frame = rows()
    data = given(pipeline, Recipe(columns=columns(), seed=9, holdout_rows=20), frame, previous="champion")
    assert data.x.equals(frame.head(100).select("a", "b"))
    assert data.y.equals(frame["_label"].head(100), check_names=False)
    assert data.at.equals(frame["_at"].head(100), check_names=False)
    assert data.weight.to_list() == [1.0] * 100
    assert (data.seed, data.previous) == (9, "champion")
    weighted = given(pipeline, Recipe(columns=columns(), seed=9), frame.with_columns(_weight=pl.lit(0.5)))
    assert weighted.weight.to_list() == [0.5] * 120


def test_the_manifest_and_the_profiles_say_what_was_trained(pipeline: Pipeline) -> None:
    recipe = Recipe(
        columns=columns(), seed=9, holdout_rows=20, snapshot="s" * 64, previous="p" * 64, params={"unused": 1}
    )
    candidate = fit(rows(), recipe, pipeline, KIT).candidate
    manifest = Manifest.from_json(candidate.files["manifest.json"].decode())
    assert manifest == candidate.manifest
    assert (manifest.rows, manifest.holdout_rows, manifest.seed, manifest.format) == (100, 20, 9, "skops")
    assert (manifest.inputs, manifest.classes, manifest.code) == (("a", "b"), (0, 1), pipeline.digest)
    assert (manifest.snapshot, manifest.previous, manifest.params) == ("s" * 64, "p" * 64, {"unused": 1})
    assert 0 <= manifest.metrics["training_error"] < 0.2
    assert sorted(candidate.files) == sorted(
        ["manifest.json", "model.skops", "pipeline.py", "environment.txt", "reference.bin", "outputs.bin", "labels.bin"]
    )
    reference = Reference.from_bytes(candidate.files["reference.bin"])
    assert (reference.own.n, sorted(reference.own.columns)) == (100, ["a", "b"])
    assert Reference.from_bytes(candidate.files["outputs.bin"]).own.n == 100
    assert b"scikit-learn==" in candidate.files["environment.txt"]


def test_where_a_version_errs_is_measured_on_rows_that_it_was_not_trained_on(pipeline: Pipeline) -> None:
    recipe = Recipe(columns=columns(), seed=9, holdout_rows=20, losses=True)
    candidate = fit(rows(), recipe, pipeline, KIT).candidate
    found = LossProfile.from_bytes(candidate.files[LOSSES])
    held = rows().tail(20)
    predictor = KIT.loader.assemble(candidate, pipeline=pipeline, version="v1")
    wrong = (predictor.predict(held).output != held.get_column("_label")).sum()
    assert found.rows.n == 20
    assert found.mean == pytest.approx(wrong / 20, abs=1e-6)
    assert LOSSES not in fit(rows(), dataclasses.replace(recipe, holdout_rows=0), pipeline, KIT).candidate.files


@pytest.mark.parametrize(
    ("params", "reason", "says"),
    [
        ({"raise": True}, "error", "pipeline.py:11: no luck"),
        ({"memory": True}, "oom", "out of memory"),
        ({"return": "a text"}, "error", "no format keeps"),
        ({"other_labels": True}, "error", "['p', 'q'] are not the declared [0, 1]"),
        ({"nan": True}, "error", "is no number from"),
    ],
)
def test_what_train_does_wrong_ends_the_run_with_a_reason(
    pipeline: Pipeline, params: dict[str, Any], reason: str, says: str
) -> None:
    with pytest.raises(TrainingError) as caught:
        fit(rows(), Recipe(columns=columns(), seed=0, params=params), pipeline, KIT)
    assert caught.value.reason == reason
    assert says in caught.value.detail


@pytest.mark.parametrize("classes", [["high", "low", "mid"], [1, 2, 10]])
def test_a_model_that_takes_positions_alone_answers_with_the_classes(classes: list[int | str], tmp_path: Path) -> None:
    path = tmp_path / "pipeline.py"
    path.write_text(f"""
import xgboost
def train(data, params):
    y = [{classes!r}.index(each) for each in data.y]
    return xgboost.XGBClassifier(n_estimators=20, max_depth=2, n_jobs=1).fit(data.x.to_numpy(), y)
""")
    a = rows().get_column("a")
    label = pl.Series([classes[int(each > -0.5) + int(each > 0.5)] for each in a])
    recipe = Recipe(columns=columns(Task.MULTICLASS, classes), seed=0)
    candidate = fit(rows(label=label), recipe, load_pipeline(path), KIT).candidate
    assert candidate.manifest.classes == tuple(classes)
    assert candidate.manifest.metrics["training_error"] < 0.05


@pytest.mark.parametrize("found", [[0, 1], [False, True]])
def test_labels_of_ones_own_that_a_model_names_are_no_positions(found: list[object]) -> None:
    """``label == "bad"`` is 1 where the first of the sorted classes is meant."""
    with pytest.raises(TrainingError, match="are not the declared"):
        known_classes(found, columns(Task.BINARY, ["bad", "good"]))


def test_positions_of_some_classes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.py"
    path.write_text("""
import xgboost
def train(data, params):
    y = [int(each == "high") for each in data.y]
    return xgboost.XGBClassifier(n_estimators=2, n_jobs=1).fit(data.x.to_numpy(), y)
""")
    label = pl.Series([["high", "low", "mid"][int(a > -0.5) + int(a > 0.5)] for a in rows().get_column("a")])
    with pytest.raises(TrainingError, match=r"expected \(\d+, 3\)"):
        fit(
            rows(label=label),
            Recipe(columns=columns(Task.MULTICLASS, ["high", "low", "mid"]), seed=0),
            load_pipeline(path),
            KIT,
        )


@pytest.mark.fault("V5")
@pytest.mark.parametrize(
    ("frame", "task", "holdout", "says"),
    [
        (rows(3), Task.BINARY, 2, "leave 1 to train on"),
        (rows(0), Task.BINARY, 0, "leave 0 to train on"),
        (rows(label=pl.Series([1] * 120)), Task.BINARY, 0, "all 120 labels are 1"),
        (rows(label=pl.Series([0, 1, 2] * 40)), Task.BINARY, 0, "40 of 120 labels are none of the classes [0, 1]"),
        (rows(label=pl.Series([0, None] * 60)), Task.BINARY, 0, "60 of 120 labels"),
        (rows(label=pl.Series([1.0, float("nan")] * 60)), Task.REGRESSION, 0, "60 of 120 labels are not finite"),
        (rows(label=pl.Series([1.0, None] * 60)), Task.REGRESSION, 0, "60 of 120 labels are not finite"),
        (rows(label=pl.Series([7.0] * 120)), Task.REGRESSION, 0, "all 120 labels are 7.0"),
        (rows().drop("b"), Task.BINARY, 0, "['b'] are missing"),
        (rows().with_columns(b=pl.lit("x")), Task.BINARY, 0, "declared as a number and holds String"),
    ],
)
def test_rows_that_do_not_suffice_are_refused(
    pipeline: Pipeline, frame: pl.DataFrame, task: Task, holdout: int, says: str
) -> None:
    with pytest.raises(TrainingError) as caught:
        fit(frame, Recipe(columns=columns(task), seed=0, holdout_rows=holdout), pipeline, KIT)
    assert says in caught.value.detail


def test_labels_are_read_as_declared() -> None:
    assert label_series(pl.Series([0.0, 1.0]), columns()).to_list() == [0, 1]
    assert label_series(pl.Series([2, 10]), columns(classes=("10", "2"))).to_list() == ["2", "10"]


def test_the_loss_scale_is_a_robust_range() -> None:
    y = pl.Series(np.r_[np.linspace(0, 100, 999), 1e9])
    assert loss_scale(y, columns(Task.REGRESSION)) == pytest.approx(99, rel=0.01)
    mostly_one = pl.Series([5.0] * 999 + [6.0])
    assert loss_scale(mostly_one, columns(Task.REGRESSION)) == 1.0
    assert loss_scale(pl.Series([0, 1]), columns()) == 0.0


def planned(tmp_path: Path, pipeline: Pipeline) -> TrainingRun:
    rows().write_parquet(tmp_path / "rows.parquet")
    rows().head(100).write_parquet(tmp_path / "part.parquet")
    return TrainingRun(
        columns=columns(),
        rows=tmp_path / "rows.parquet",
        part=tmp_path / "part.parquet",
        pipeline=tmp_path / "pipeline.py",
        seed=4,
        holdout_rows=20,
        code=pipeline.digest,
        snapshot="s" * 64,
    )


def test_a_run_on_files_makes_the_artifact_that_memory_makes(tmp_path: Path, pipeline: Pipeline) -> None:
    run, folder = planned(tmp_path, pipeline), tmp_path / "results"
    folder.mkdir()
    assert TrainingRun.from_json(run.to_json()) == run
    outcome = run_training(run, folder, KIT, load_pipeline)
    recipe = Recipe(columns=columns(), seed=4, holdout_rows=20, snapshot="s" * 64)
    candidate = fit(rows(), recipe, pipeline, KIT).candidate
    assert outcome.digest == candidate.digest
    assert {path.name: path.read_bytes() for path in (folder / "artifact").iterdir()} == candidate.files
    assert read_outcome(folder) == outcome
    assert outcome.rows == 100


def test_a_run_can_start_from_the_previous_version(tmp_path: Path, pipeline: Pipeline) -> None:
    run, first, second = planned(tmp_path, pipeline), tmp_path / "r1", tmp_path / "r2"
    first.mkdir()
    second.mkdir()
    digest = run_training(run, first, KIT, load_pipeline).digest
    again = dataclasses.replace(run, previous=str(first / "artifact"), previous_digest=digest)
    run_training(again, second, KIT, load_pipeline)
    assert Manifest.from_json((second / "artifact" / "manifest.json").read_text()).previous == digest


def test_a_pipeline_that_changed_since_the_plan_is_refused(tmp_path: Path, pipeline: Pipeline) -> None:
    run = planned(tmp_path, pipeline)
    (tmp_path / "pipeline.py").write_text(SOURCE + "\n")
    with pytest.raises(TrainingError, match="has changed"):
        run_training(run, tmp_path, KIT, load_pipeline)


def test_a_run_with_a_copy_of_the_code_does_not_mind_what_becomes_of_the_file(
    tmp_path: Path, pipeline: Pipeline
) -> None:
    (tmp_path / "planned.py").write_text(SOURCE)
    run = dataclasses.replace(planned(tmp_path, pipeline), source=str(tmp_path / "planned.py"))
    (tmp_path / "pipeline.py").write_text("this is no Python")
    assert TrainingRun.from_json(run.to_json()) == run
    run_training(run, tmp_path, KIT, load_pipeline)
    assert (tmp_path / "artifact" / "pipeline.py").read_text() == SOURCE
    assert inspect.getsource(load_pipeline(run.pipeline, SOURCE.encode()).fit).startswith("def train(")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 2}', '{"schema": 1, "columns": 3}'])
def test_what_is_no_run_or_outcome_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError):
        TrainingRun.from_json(text)
    (tmp_path / "outcome.json").write_text(text)
    with pytest.raises(TrainingError):
        read_outcome(tmp_path)
