"""Replays of projects that watch losses and estimates: each sees what it can see, and asks for a retrain."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from anew.app.replay import ReplayOptions, replay
from anew.app.settings import load
from anew.domain.facts import AlertRaised, RetrainRequested, VersionPromoted, WindowClosed, WindowScored
from anew.loop.replay import ReplayReport
from tests.app.small_project import write_project

ROWS, CHANGED = 2400, 1200
START = datetime(2024, 1, 1)  # noqa: DTZ001  files without a zone are what is common
YAML = """model: small
task: binary
columns:
  time: at
  target: y
  classes: [0, 1]
  features: {x: number, z: number}
data: {span: 10d, holdout: 0.3}
monitor: {window: 1d}
triggers:
  - {TRIGGER}
policy: {cooldown: 5d}
rollout: {shadow: {at_least_rows: 24, margin: 0.05}, canary: [0.5], judge: {at_least_rows: 24}, expire: 4d}
validate:
  - slos: {objectives: [{metric: error, at_most: 0.45}], at_least_rows: 50}
"""


def stream(folder: Path, what: str) -> Path:
    """Write hourly rows; from the middle on labels turn (`concept`), rows move to the border (`rows`) or nothing."""
    draw = np.random.default_rng(5)
    x, z = draw.normal(size=(2, ROWS))
    late = np.arange(ROWS) >= CHANGED
    if what == "rows":
        x = np.where(late, 0.15 * x, x)
    sign = np.where(late & (what == "concept"), -1.0, 1.0)
    y = (draw.random(ROWS) < 1 / (1 + np.exp(-4 * x * sign))).astype(int)
    at = [START + timedelta(hours=i) for i in range(ROWS)]
    path = folder / "rows.parquet"
    pl.DataFrame({"at": pl.Series(at, dtype=pl.Datetime), "x": x, "z": z, "y": y}).write_parquet(path)
    return path


def replayed(folder: Path, trigger: str, what: str, **options: Any) -> ReplayReport:
    settings = load(write_project(folder / "p", YAML.replace("{TRIGGER}", trigger)))
    return replay(settings, ReplayOptions(data=stream(folder, what), **options))


def days_until(report: ReplayReport) -> list[float]:
    """Return how many days after the change each alert was raised."""
    changed = START + timedelta(hours=CHANGED)
    return [(each.at.replace(tzinfo=None) - changed) / timedelta(days=1) for each in alerts(report)]


def alerts(report: ReplayReport) -> list[AlertRaised]:
    return [each for each in report.facts if isinstance(each, AlertRaised)]


LOSSES = ["{adwin: {over: 20d}}", "{page_hinkley: {over: 20d}}", "{sequential: {over: 20d}}"]


@pytest.mark.parametrize("trigger", LOSSES)
def test_turned_labels_are_seen_within_days_and_answered(tmp_path: Path, trigger: str) -> None:
    report = replayed(tmp_path, trigger, "concept")
    days = days_until(report)
    assert 0 < days[0] < 8
    assert any(isinstance(each, RetrainRequested) for each in report.facts)
    promoted = [each for each in report.facts if isinstance(each, VersionPromoted)]
    assert len(promoted) >= 2
    # A version that knows the new world has losses of its own: the alarm ends with it.
    assert days[-1] < 30


@pytest.mark.parametrize("trigger", LOSSES)
def test_a_world_that_stays_raises_no_alert(tmp_path: Path, trigger: str) -> None:
    report = replayed(tmp_path, trigger, "nothing")
    assert alerts(report) == []
    measured = [fact for fact in report.facts if isinstance(fact, WindowScored) and fact.evidence[0].measured]
    assert len(measured) > 80


def test_an_estimate_sees_rows_that_are_hard_before_their_labels_come(tmp_path: Path) -> None:
    report = replayed(
        tmp_path, "{estimated: {metric: error, at_most: 0.3, at_least_rows: 20}}", "rows", label_delay="30d"
    )
    days = days_until(report)
    assert 0 < days[0] < 3
    assert "without labels" in alerts(report)[0].message
    scored = [fact.at.replace(tzinfo=None) for fact in report.facts if isinstance(fact, WindowScored)]
    assert min(scored) > START + timedelta(days=30)


def test_an_estimate_is_blind_to_turned_labels_and_quiet_when_nothing_changes(tmp_path: Path) -> None:
    trigger = "{estimated: {metric: error, at_most: 0.35, at_least_rows: 20}}"
    for what in ("nothing", "concept"):
        report = replayed(tmp_path, trigger, what)
        assert alerts(report) == []
        seen = [fact for fact in report.facts if isinstance(fact, WindowClosed) and fact.evidence[0].measured]
        assert len(seen) > 80


def test_the_same_stream_gives_the_same_facts(tmp_path: Path) -> None:
    trigger = "\n  - ".join([*LOSSES, "{estimated: {metric: error, at_most: 0.35}}"])
    first, second = (replayed(tmp_path, trigger, "concept") for _ in range(2))
    assert first.facts == second.facts
