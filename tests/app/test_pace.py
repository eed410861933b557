"""What could never be measured at the pace of the history is told, with what would do."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from anew.app.pace import pace_notes
from anew.app.ready_project import TEMPLATES, create_from_template
from anew.app.settings import Settings, load
from tests.app.small_project import YAML, write_project

START = datetime(2026, 1, 1, tzinfo=UTC)
WATCHED = YAML.replace("- {psi: {above: 0.5}, for: 2 windows}", "- {psi: {above: 0.5, over: 3d}}\n  - {drift: {}}")


def project(folder: Path, yaml: str, *, a_day: int, history: str = "history.parquet") -> Settings:
    settings = load(write_project(folder, yaml.replace("data: {", f"data: {{history: {history}, ")))
    at = [START + i * timedelta(days=10) / (10 * a_day) for i in range(10 * a_day + 1)]
    frame = pl.DataFrame({settings.columns.time: at})
    (frame.write_csv if history.endswith(".csv") else frame.write_parquet)(folder / history)
    return settings


@pytest.mark.parametrize("history", ["history.parquet", "history.csv"])
def test_each_detector_that_lacks_rows_is_named_with_what_would_do(tmp_path: Path, history: str) -> None:
    assert load(write_project(tmp_path / "w", WATCHED)).window == timedelta(days=1)
    notes = pace_notes(project(tmp_path / "p", WATCHED, a_day=12, history=history))
    pace = f"at the pace of {history}"
    psi = f"psi>0.5 over 72h needs 100 rows and is not measured: 3d has about 36 {pace}; give it over: 13d"
    assert psi in notes
    assert any(
        f"needs 50 rows and is not measured: a window has about 12 {pace}; windows of 1w would do" in each
        for each in notes
    )
    assert not pace_notes(project(tmp_path / "q", WATCHED, a_day=60))


def test_windows_of_so_many_rows_have_them(tmp_path: Path) -> None:
    yaml = WATCHED.replace("window: 1d", "window: 120 rows").replace("{drift: {}}", "{ks: {}}")
    notes = pace_notes(project(tmp_path / "p", yaml, a_day=12))
    assert [each.partition(" ")[0] for each in notes] == ["psi>0.5"]


def test_a_history_that_cannot_be_read_is_said_and_none_says_nothing(tmp_path: Path) -> None:
    assert pace_notes(load(write_project(tmp_path / "p", WATCHED))) == ()
    settings = project(tmp_path / "q", WATCHED, a_day=12)
    (tmp_path / "q" / "history.parquet").unlink()
    (note,) = pace_notes(settings)
    assert note.startswith("the pace of history.parquet is not known: there is no file")
    pl.DataFrame({"other": [1]}).write_parquet(tmp_path / "q" / "history.parquet")
    (note,) = pace_notes(settings)
    assert "is not known" in note


@pytest.mark.parametrize("template", [name for name, each in TEMPLATES.items() if not each.extra])
def test_what_templates_write_is_measured(tmp_path: Path, template: str) -> None:
    assert not pace_notes(load(create_from_template(tmp_path, template).folder))
