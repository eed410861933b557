"""Drift through `anew replay`: the whole way from a column that moved to a retrain that says why."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from anew.app.narration import narrate
from anew.app.replay import ReplayOptions, replay
from anew.app.settings import load
from anew.domain.errors import SettingsError
from anew.domain.facts import AlertRaised, RetrainRequested, WindowClosed
from anew.domain.severity import Severity
from anew.loop.replay import ReplayReport
from tests.app.small_project import YAML, write_project

N, CHANGE = 12_000, 7200
START = datetime(2024, 1, 1)  # noqa: DTZ001  files without a zone are what is common
DRIFT = (
    YAML.replace("{x: number, z: number}", "{x: number, z: number, hour: number}")
    .replace("{psi: {above: 0.5}, for: 2 windows}", "{drift: {}, for: 2 windows}")
    .replace("{window: 1d}", "{window: 1d, false_alarms: 1 per 365d}")
)


def stream(folder: Path, *, shift: float) -> Path:
    """Write a row every six minutes; x moves by `shift` at row 7200, on the thirtieth day."""
    chance = np.random.default_rng(2)
    x = chance.normal(size=N) + np.where(np.arange(N) >= CHANGE, shift, 0.0)
    at = [START + timedelta(minutes=6 * i) for i in range(N)]
    y = (x + 0.3 * chance.normal(size=N) > 0).astype(int)
    rows = {"at": at, "x": x, "z": chance.normal(size=N), "hour": [float(each.hour) for each in at], "y": y}
    path = folder / "rows.parquet"
    pl.DataFrame(rows).write_parquet(path)
    return path


def replayed(folder: Path, *, shift: float, yaml: str = DRIFT, windows: int | None = None) -> ReplayReport:
    project = write_project(folder / "project", yaml)
    return replay(load(project), ReplayOptions(data=stream(folder, shift=shift), windows=windows))


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> ReplayReport:
    return replayed(tmp_path_factory.mktemp("moved"), shift=1.0)


def alerts(report: ReplayReport) -> list[AlertRaised]:
    return [fact for fact in report.facts if isinstance(fact, AlertRaised) and fact.detector.startswith("drift")]


def test_a_column_that_moves_is_alerted_with_all_that_is_known_of_it(moved: ReplayReport) -> None:
    first, second, *_ = alerts(moved)
    change = (START + timedelta(minutes=6 * CHANGE)).isoformat()
    assert first.window.start.isoformat() == f"{change}+00:00"
    assert first.severity is Severity.HIGH
    assert first.message.startswith("drift of x (PSI ")
    assert "carrying 9" in first.message or "carrying 100%" in first.message
    assert first.message.endswith("false alarms at most 0.0027 per window (1 per 365d declared)")
    assert first.since == second.since == first.window.start
    assert f", since {first.since:%Y-%m-%d %H:%M}: drift of x" in narrate(second)


def test_it_asks_for_a_retrain_once_it_has_lasted(moved: ReplayReport) -> None:
    request = next(
        fact for fact in moved.facts if isinstance(fact, RetrainRequested) and "drift>0.005" in fact.triggers
    )
    assert request.reason == alerts(moved)[1].message
    assert ("windows in a row", "2") in request.considered


def test_a_column_of_the_calendar_is_left_out_and_said_so(moved: ReplayReport) -> None:
    windows = [fact for fact in moved.facts if isinstance(fact, WindowClosed)]
    notes = {each.problem for fact in windows for each in fact.evidence if each.subject == "hour"}
    assert notes == {"left out: it follows the hour of the day, and so differs between windows by construction"}


def test_the_same_stream_raises_the_same_alerts(moved: ReplayReport, tmp_path: Path) -> None:
    assert replayed(tmp_path, shift=1.0).facts == moved.facts


def test_a_world_that_stays_the_same_raises_none(tmp_path: Path) -> None:
    assert alerts(replayed(tmp_path, shift=0.0)) == []


def test_the_budget_follows_the_windows_that_are_replayed(tmp_path: Path) -> None:
    (first, *_) = alerts(replayed(tmp_path, shift=1.0, windows=25))
    assert "false alarms at most 0.0055 per window" in first.message
    with pytest.raises(SettingsError, match="lets 100% of windows alarm without cause"):
        replayed(tmp_path, shift=1.0, yaml=DRIFT.replace("1 per 365d", "1 per 1d"))
