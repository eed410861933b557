"""Every template is a project that works as it stands: it validates, loads, and its replay gains by retraining."""

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from anew.adapters.model_format import DataFormats
from anew.adapters.model_loader import ModelLoader
from anew.adapters.pipeline_module import load_pipeline
from anew.adapters.table_file import labelled_rows
from anew.app import ready_project
from anew.app.hard_start import hard_start
from anew.app.ready_project import HISTORY, STREAM, TEMPLATES, ReadyProject, create_from_template
from anew.app.replay import ReplayOptions, replay
from anew.app.settings import load
from anew.app.wiring import stages
from anew.domain.errors import ConflictError, MissingExtraError, SettingsError
from anew.domain.facts import CandidateHeld
from anew.domain.observation import Answer
from anew.loop.training import Kit, Recipe, fit

HERE = [name for name, each in TEMPLATES.items() if not each.extra]


@pytest.mark.parametrize("name", HERE)
def test_a_template_is_a_working_project_that_retrains_when_its_world_changes(name: str, tmp_path: Path) -> None:
    created = create_from_template(tmp_path, name)
    settings = load(created.folder)
    stages(settings)
    assert settings.policy.data.history == HISTORY
    assert hard_start(created.folder, created.folder / HISTORY) == (), "its first champion is served"
    report = replay(settings, ReplayOptions(data=created.folder / STREAM))
    data = report.data
    assert data["promotions"] > 1
    assert data["loss"] < data["loss_never_retrained"]
    assert not any(isinstance(fact, CandidateHeld) for fact in report.facts), "nobody is asked about honest rows"


def answer_to_nothing(folder: Path) -> Answer:
    """Train a template's model and ask it about a row in which all is missing."""
    settings = load(folder)
    rows = labelled_rows(pl.read_parquet(folder / HISTORY), settings.columns, HISTORY)
    kit, pipeline = Kit(formats=DataFormats(), loader=ModelLoader()), load_pipeline(folder / "pipeline.py")
    candidate = fit(rows, Recipe(columns=settings.columns, seed=0, holdout_rows=100), pipeline, kit).candidate
    predictor = kit.loader.assemble(candidate, pipeline=pipeline, version="v1")
    (answer,) = predictor.answer([dict.fromkeys(settings.columns.names)])
    return answer


@pytest.mark.parametrize("name", HERE)
def test_a_row_in_which_all_is_missing_is_answered(name: str, tmp_path: Path) -> None:
    assert answer_to_nothing(create_from_template(tmp_path, name).folder).output is not None


def test_the_rows_are_those_that_its_script_makes(tmp_path: Path) -> None:
    created = create_from_template(tmp_path, "tabular", name="shop")
    made = ready_project._generated(created.folder / "data.py")
    assert pl.read_parquet(created.folder / STREAM).equals(made)
    assert pl.read_parquet(created.folder / HISTORY).equals(made.head(made.height // 2))
    kept = {name: (created.folder / name).read_bytes() for name in (HISTORY, STREAM)}
    subprocess.run([sys.executable, "data.py"], cwd=created.folder, check=True)
    assert {name: (created.folder / name).read_bytes() for name in kept} == kept
    assert created.folder.name == "shop"
    with pytest.raises(ConflictError, match="already"):
        create_from_template(tmp_path, "tabular", name="shop")


def test_an_unknown_template_names_the_known(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"tabular.*forecast.*text.*embeddings.*pytorch"):
        create_from_template(tmp_path, "vision")
    assert not list(tmp_path.iterdir())


def test_a_template_whose_library_is_missing_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking = ReadyProject(about="x", roles=TEMPLATES["tabular"].roles, extra="no_such_library")
    monkeypatch.setitem(TEMPLATES, "lacking", lacking)
    with pytest.raises(MissingExtraError, match="pip install"):
        create_from_template(tmp_path, "lacking")
