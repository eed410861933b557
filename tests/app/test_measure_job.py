"""The measuring job asks the project's own gates about the rows that were kept from training, and no others."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from anew.adapters.pipeline_module import load_pipeline
from anew.app.measure_job import read_evidence, run
from anew.app.settings import load
from anew.app.training_job import training_kit
from anew.domain.errors import AnewError
from anew.loop.training import Recipe, fit
from tests.app.small_project import write_project

ROWS = 400
HELD = 100


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a project, a snapshot whose held-out labels are turned over, and an artifact."""
    folder = tmp_path_factory.mktemp("world")
    settings = load(write_project(folder / "project"))
    chance = np.random.default_rng(2)
    x, z = chance.normal(size=(2, ROWS))
    y = (x > 0).astype(int)
    y[-HELD:] = 1 - y[-HELD:]
    at = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=i) for i in range(ROWS)]
    rows = pl.DataFrame({"x": x, "z": z, "_at": at, "_label": y}).with_columns(pl.col("_label").cast(pl.String))
    rows.write_parquet(folder / "rows.parquet")
    for name, training, held in (("stale", rows, HELD), ("fresh", rows.tail(HELD + 20), 20)):
        candidate = fit(
            training,
            Recipe(columns=settings.columns, seed=1, holdout_rows=held),
            load_pipeline(settings.pipeline),
            training_kit(),
        ).candidate
        (folder / name).mkdir()
        for file, data in candidate.files.items():
            (folder / name / file).write_bytes(data)
        (folder / f"{name}.digest").write_text(candidate.digest)
    return folder


def measured(world: Path, job: Path, *, champion: str = "") -> dict[str, float | None]:
    def version(name: str) -> list[str]:
        return [name, (world / f"{name}.digest").read_text(), str(world / name)] if name else ["", "", ""]

    order = {
        "project": str(world / "project"),
        "snapshot": str(world / "rows.parquet"),
        "trained_rows": ROWS - HELD,
        "candidate": version("stale"),
        "champion": version(champion),
    }
    (job / "order.json").write_text(json.dumps(order))
    run({"run": str(job / "order.json")}, job)
    evidence = read_evidence((job / "evidence.json").read_bytes())
    assert {each.n for each in evidence} == {HELD}
    return {each.name: each.value for each in reversed(evidence)}  # what the gate judges comes first


def test_a_first_candidate_faces_the_gates_that_need_no_champion(world: Path, tmp_path: Path) -> None:
    found = measured(world, tmp_path)
    assert set(found) == {"slos"}
    assert found["slos"] is not None
    assert found["slos"] > 0.8, "the rows that were kept from training are not those that were measured"


def test_a_candidate_is_compared_with_the_champion_on_the_same_rows(world: Path, tmp_path: Path) -> None:
    project = world / "project" / "anew.yaml"
    before = project.read_text()
    project.write_text(before + "validate: [slos: {}, beats_champion: {at_least_rows: 20}]\n")
    try:
        found = measured(world, tmp_path, champion="fresh")
    finally:
        project.write_text(before)
    assert set(found) == {"slos", "beats_champion"}
    assert found["beats_champion"] is not None
    assert found["beats_champion"] > 0.5


def test_a_project_that_cannot_be_read_measures_nothing(world: Path, tmp_path: Path) -> None:
    order = {"project": str(tmp_path), "snapshot": "", "trained_rows": 0, "candidate": ["", "", ""], "champion": []}
    (tmp_path / "order.json").write_text(json.dumps(order))
    with pytest.raises(AnewError):
        run({"run": str(tmp_path / "order.json")}, tmp_path)
    assert not (tmp_path / "evidence.json").exists()
