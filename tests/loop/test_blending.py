"""One model of two: what it says, that rows of both count as learned from, and what does not go together."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from anew.adapters.job_record import JobRecord
from anew.adapters.model_format import DataFormats
from anew.adapters.model_loader import ModelLoader
from anew.adapters.pipeline_module import load_pipeline
from anew.app.progress import job_under_way
from anew.domain.column import Task
from anew.domain.errors import TrainingError
from anew.loop.adopted import ADOPTED
from anew.loop.blending import blended_draft, can_blend
from anew.loop.job_name import job_ids
from anew.loop.training import Kit, Recipe, finish, fit
from anew.loop.trial import Rows, Trial
from anew.ports.compute import Job
from anew.ports.pipeline import Pipeline
from anew.ports.predictor import Predictor
from tests.loop.test_training import columns, rows

KIT = Kit(formats=DataFormats(), loader=ModelLoader())
BOOSTED = """import lightgbm

def train(data, params):
    model = lightgbm.LGBMClassifier(n_estimators=8, min_child_samples=5, random_state=data.seed, n_jobs=1, verbose=-1)
    return model.fit(data.x.to_numpy(), data.y.to_numpy())
"""
LINEAR = """from sklearn.linear_model import LogisticRegression

def train(data, params):
    return LogisticRegression().fit(data.x.to_numpy(), data.y.to_numpy())
"""


def pipeline_of(folder: Path, source: str = BOOSTED) -> Pipeline:
    (folder / "pipeline.py").write_text(source)
    return load_pipeline(folder / "pipeline.py")


def fitted(pipeline: Pipeline, frame: pl.DataFrame, **recipe: Any) -> Predictor:
    told: dict[str, Any] = {"columns": columns(), "seed": 3} | recipe
    candidate = fit(frame, Recipe(**told), pipeline, KIT).candidate
    return KIT.loader.assemble(candidate, pipeline=pipeline, version="v")


def test_a_version_of_two_says_what_lies_between_them_and_names_both(tmp_path: Path) -> None:
    pipeline, frame = pipeline_of(tmp_path), rows(200)
    alone, beside = fitted(pipeline, frame.tail(80)), fitted(pipeline, frame)
    recipe = Recipe(columns=columns(), seed=3, blend=((alone.digest, 0.75), (beside.digest, 0.25)))
    made = finish(blended_draft(alone, beside, 0.75, KIT), frame.tail(80), recipe, pipeline, KIT).candidate
    whole = KIT.loader.assemble(made, pipeline=pipeline, version="v")
    odds = []
    for each in (alone, beside, whole):
        proba = each.predict(frame).proba
        assert proba is not None
        odds.append(np.log(proba[:, 1] / proba[:, 0]))
    np.testing.assert_allclose(odds[2], 0.75 * odds[0] + 0.25 * odds[1], atol=1e-9)
    assert whole.manifest.blend == recipe.blend
    assert whole.manifest.inputs == alone.manifest.inputs


def test_two_that_know_other_classes_do_not_go_together(tmp_path: Path) -> None:
    """As where the shorter span never saw a class."""
    pipeline, frame = pipeline_of(tmp_path), rows(200)
    wide = columns(Task.MULTICLASS, (0, 1, 2))
    three = frame.with_columns(_label=pl.Series(np.arange(200) % 3))
    long, short = (fitted(pipeline, each, columns=wide) for each in (three, frame))
    assert short.manifest.classes == (0, 1)
    with pytest.raises(TrainingError, match="format, inputs or classes"):
        blended_draft(short, long, 0.5, KIT)


def test_a_model_that_was_brought_and_other_formats_are_left_as_they_are(tmp_path: Path) -> None:
    pipeline, frame = pipeline_of(tmp_path), rows(200)
    one = fitted(pipeline, frame)
    brought = fitted(pipeline, frame, params={ADOPTED: "f" * 64})
    with pytest.raises(TrainingError, match="as it was brought"):
        blended_draft(brought, one, 0.5, KIT)
    (tmp_path / "linear").mkdir()
    linear = fitted(pipeline_of(tmp_path / "linear", LINEAR), frame)
    with pytest.raises(TrainingError, match="kept as skops cannot be made one"):
        blended_draft(linear, linear, 0.5, KIT)
    assert can_blend("lightgbm", KIT.formats)
    assert not can_blend("lightgbm", KIT.formats, wanted=False)


def test_a_suite_with_a_row_that_the_second_model_learned_from_says_so(tmp_path: Path) -> None:
    frame = rows(200)
    made = fitted(pipeline_of(tmp_path), frame.slice(120, 60))
    suite = frame.slice(30, 40)

    def seen(beside: pl.DataFrame | None) -> int:
        trial = Trial(
            candidate=made,
            champion=None,
            training=frame.slice(120, 60),
            beside=None if beside is None else lambda: beside,
            suites={"golden": lambda: Rows(frame=suite)},
        )
        return trial.held_out(frame.tail(20)).suites["golden"]().trained_on

    assert seen(None) == 0
    assert seen(frame.slice(60, 120)) == 10


def test_the_job_under_way_is_the_last_that_began(tmp_path: Path) -> None:
    first, beside, _ = job_ids("0" * 26)
    assert job_under_way(tmp_path, first).folder.name == first
    for id in (first, beside):
        record = JobRecord(tmp_path / id)
        record.create(Job(id=id, entry="x:y", arguments={}))
        assert job_under_way(tmp_path, first).folder.name == id
