"""The scoring job answers each window's rows with the versions that stood then, on the scale of its champion."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from anew.adapters.pipeline_module import load_pipeline
from anew.app.measure_job import read_evidence
from anew.app.score_job import run
from anew.app.settings import load
from anew.app.training_job import training_kit
from anew.loop.retired import evidence_file
from anew.loop.training import Recipe, fit
from tests.app.small_project import write_project

ROWS = 400


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two versions, the second trained on labels turned over, and rows labelled as the first's."""
    folder = tmp_path_factory.mktemp("world")
    settings = load(write_project(folder / "project"))
    chance = np.random.default_rng(2)
    x, z = chance.normal(size=(2, ROWS))
    at = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=i) for i in range(ROWS)]
    rows = pl.DataFrame({"x": x, "z": z, "_at": at, "_label": (x > 0).astype(int)})
    rows.with_columns(pl.col("_label").cast(pl.String)).write_parquet(folder / "rows.parquet")
    for name in ("right", "wrong"):
        label = pl.col("_label") if name == "right" else 1 - pl.col("_label")
        training = rows.with_columns(_label=label.cast(pl.String))
        candidate = fit(
            training,
            Recipe(columns=settings.columns, seed=1, holdout_rows=100),
            load_pipeline(settings.pipeline),
            training_kit(),
        ).candidate
        (folder / name).mkdir()
        for file, data in candidate.files.items():
            (folder / name / file).write_bytes(data)
        (folder / f"{name}.digest").write_text(candidate.digest)
    return folder


def test_each_window_is_scored_by_those_that_stood_then(world: Path, tmp_path: Path) -> None:
    order = {
        "rows": str(world / "rows.parquet"),
        "models": {name: [(world / f"{name}.digest").read_text(), str(world / name)] for name in ("right", "wrong")},
        "windows": [
            {"id": "a", "rows": 150, "versions": ["right"]},
            {"id": "b", "rows": 0, "versions": ["right"]},
            {"id": "c", "rows": 250, "versions": ["wrong", "right"]},
        ],
    }
    (tmp_path / "order.json").write_text(json.dumps(order))
    run({"run": str(tmp_path / "order.json")}, tmp_path)
    first, none, last = (read_evidence((tmp_path / evidence_file(id)).read_bytes()) for id in "abc")
    assert [(each.subject, each.n) for each in first] == [("right", 150)]
    assert none == ()
    assert [(each.subject, each.n) for each in last] == [("wrong", 250), ("right", 250)]
    right, wrong = first[0].value, last[0].value
    assert right is not None
    assert wrong is not None
    assert right < 0.05 < 0.95 < wrong
    assert last[1].reference == wrong
