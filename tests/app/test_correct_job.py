"""The correcting job mends history by the project's own rules and code, and says when there is nothing to correct."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from anew.app.accepted import accept
from anew.app.correct_job import run
from anew.app.settings import load
from anew.domain.errors import SettingsError, TrainingError
from anew.loop.correction_run import CORRECTED, CorrectionRun, read_correction
from tests.app.small_project import write_project

RULE = 'triggers:\n  - {rule: "x >= 0", data: corrected}\n'
CORRECT = """

def correct(rows):
    x = rows["x"]
    return rows.with_columns(x.abs().zip_with(x > -5, x))
"""
TABLES = (("history", 2), ("labels", 0))


def correct(tmp_path: Path, x: list[float], *, own: bool, code: str = "") -> Path:
    """Run the job over rows with these x and return its folder."""
    project = write_project(tmp_path / "project")
    settings = project / "anew.yaml"
    policy = settings.read_text()
    settings.write_text(policy[: policy.index("triggers:")] + RULE)
    if own:
        with (project / "pipeline.py").open("a") as pipeline:
            pipeline.write(CORRECT)
    at = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=i) for i in range(len(x))]
    labels = ["0", "1"] * (len(x) // 2)
    pl.DataFrame({"x": x, "z": [0.0] * len(x), "_at": at, "_label": labels}).write_parquet(tmp_path / "rows.parquet")
    order = CorrectionRun(project=project, rows=tmp_path / "rows.parquet", code=code, tables=TABLES)
    (tmp_path / "order.json").write_text(order.to_json())
    run({"run": str(tmp_path / "order.json")}, tmp_path)
    return tmp_path


def test_rows_that_break_a_rule_are_mended_or_left_out(tmp_path: Path) -> None:
    folder = correct(tmp_path, [1.0, -2.0, 3.0, -7.0], own=True)
    done = read_correction(folder)
    assert (done.repaired, done.dropped, done.tables) == (1, 1, TABLES)
    assert pl.read_parquet(folder / CORRECTED).get_column("x").to_list() == [1.0, 2.0, 3.0]


def test_without_code_of_the_user_they_are_left_out(tmp_path: Path) -> None:
    done = read_correction(correct(tmp_path, [1.0, -2.0, 3.0, -7.0], own=False))
    assert (done.repaired, done.dropped) == (0, 2)


def test_nothing_to_correct_with_is_said(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no row of the history breaks x >= 0") as caught:
        correct(tmp_path, [1.0, 2.0], own=False)
    assert caught.value.reason == "nothing_to_correct"


def test_code_that_changed_since_is_not_run(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="has changed since this run was planned"):
        correct(tmp_path, [1.0, -2.0], own=True, code="0" * 64)


def test_the_copy_of_the_code_that_was_planned_is_run(tmp_path: Path) -> None:
    folder = correct(tmp_path, [1.0, -2.0, 3.0, -7.0], own=True)
    settings = load(tmp_path / "project")
    accept(settings)
    settings.pipeline.write_text("this is no Python")
    order = tmp_path / "order.json"
    order.write_text(json.dumps(json.loads(order.read_text()) | {"code": settings.code}))
    run({"run": str(order)}, folder)
    assert read_correction(folder).repaired == 1


def test_what_a_job_left_is_not_guessed(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="left no outcome"):
        read_correction(tmp_path)
    with pytest.raises(SettingsError, match="cannot be read"):
        CorrectionRun.from_json("{}")
