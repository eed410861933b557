"""Signals of users, from the settings to the request for a retrain."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from anew.app.replay import ReplayOptions, replay
from anew.app.settings import load
from anew.app.watch import Watch, watched_by
from anew.domain.errors import SettingsError
from anew.domain.facts import AlertRaised, IncidentRaised, RetrainRequested, RetrainWithheld, WindowScored
from anew.loop.replay import ReplayReport
from tests.app.small_project import PIPELINE, YAML, write_project

ROWS, CHANGED = 1200, 600
START = datetime(2024, 1, 1)  # noqa: DTZ001  files without a zone are what is common
WITHOUT = (
    YAML.split("slos:")[0].replace("holdout: 0.2", "holdout: 0.3")
    + "validate: [{slos: {objectives: [{metric: error, at_most: 0.9}]}}]\n"
)
MARGIN = """

def margin(rows):
    assert rows["label"].null_count() == 0
    return float((rows["clicked"] * 2.0).mean())
"""


def watched(folder: Path, more: str, pipeline: str = PIPELINE) -> Watch:
    return watched_by(load(write_project(folder, WITHOUT + more, pipeline)))


def replayed(folder: Path, more: str, pipeline: str = PIPELINE, **columns: Any) -> ReplayReport:
    """Replay 50 days of hourly rows, of the same world all along."""
    x, z, u = np.random.default_rng(5).normal(size=(3, ROWS))
    at = [START + timedelta(hours=i) for i in range(ROWS)]
    frame = pl.DataFrame({"at": at, "x": x, "z": z, "y": (x + 0.3 * u > 0).astype(int)} | columns)
    frame.write_parquet(folder / "rows.parquet")
    settings = load(write_project(folder / "p", WITHOUT + more, pipeline))
    return replay(settings, ReplayOptions(data=folder / "rows.parquet"))


def asked(report: ReplayReport) -> list[tuple[int, tuple[str, ...]]]:
    """Return on which day of the stream each retrain was asked for, and by what."""
    return [
        ((each.at.replace(tzinfo=None) - START).days, each.triggers)
        for each in report.facts
        if isinstance(each, RetrainRequested) and each.triggers != ("command",)
    ]


def clicks(before: float, after: float) -> np.ndarray:
    """Return whether each row was clicked: exactly so many of a hundred rows, evenly."""
    share = np.where(np.arange(ROWS) < CHANGED, before, after)
    total = np.round(np.cumsum(share), 9)
    clicked: np.ndarray = np.diff(np.floor(total), prepend=0.0)
    return clicked


@pytest.mark.parametrize("definition", ["avg(clicked) * 2", "pipeline:margin"])
def test_a_business_metric_over_feedback_asks_when_it_falls(tmp_path: Path, definition: str) -> None:
    more = f"""feedback: {{events: [clicked]}}
business: {{margin: "{definition}"}}
slos: [{{metric: business.margin, at_least: 0.7, over: 5d}}]
policy: {{cooldown: 15d}}
"""
    report = replayed(tmp_path, more, PIPELINE + MARGIN, clicked=clicks(0.4, 0.2))
    day, by = asked(report)[0]
    assert by == ("slo(business.margin>=0.7 over 120h)",)
    assert day == 25 + 1  # two of the five days at the lower rate: (3 * 0.8 + 2 * 0.4) / 5 is below 0.7
    assert not asked(replayed(tmp_path, more, PIPELINE + MARGIN, clicked=clicks(0.4, 0.4)))


def test_thumbs_down_for_two_windows_ask(tmp_path: Path) -> None:
    thumb = np.where(np.arange(ROWS) < CHANGED, clicks(0.8, 0.8), clicks(0.3, 0.3))
    more = "triggers: [{thumbs: {down_above: 0.4, at_least: 20}, for: 2 windows}]\npolicy: {cooldown: 15d}\n"
    assert asked(replayed(tmp_path, more, thumb=thumb))[0] == (26, ("thumbs(down>0.4)",))


def test_labels_that_thumbs_contradict_are_an_incident_and_nothing_is_retrained_on_them(tmp_path: Path) -> None:
    """The labels are turned on one day; thumbs, that know better, are not. The error alone would ask for a retrain."""
    x, u = np.random.default_rng(5).normal(size=(3, ROWS))[[0, 2]]
    truth = (x + 0.3 * u > 0).astype(int)
    day = (np.arange(ROWS) // 24) == 30
    watch = "slos: [{metric: error, at_most: 0.5, at_least_rows: 20}]\n"
    contract = "triggers: [{label_quality: {at_least: 20}}]\n"
    thumb = np.ones(ROWS)
    without = replayed(tmp_path, watch, y=np.where(day, 1 - truth, truth), thumb=thumb)
    assert [by for _, by in asked(without)] == [("slo(error<=0.5)",)]
    report = replayed(tmp_path, watch + contract, y=np.where(day, 1 - truth, truth), thumb=thumb)
    assert [each.detector for each in report.facts if isinstance(each, IncidentRaised)] == ["label_quality"]
    assert [each.reason for each in report.facts if isinstance(each, RetrainWithheld)] == ["incident"]
    assert asked(report) == []


def test_metrics_and_slices_are_on_record_for_each_window(tmp_path: Path) -> None:
    more = "triggers: []\n"
    yaml = WITHOUT.replace("monitor: {window: 1d}", "monitor: {window: 5d, metrics: [accuracy, roc_auc]}") + more
    settings = load(write_project(tmp_path / "p", yaml))
    replayed(tmp_path, more)
    report = replay(settings, ReplayOptions(data=tmp_path / "rows.parquet"))
    scored = [each for each in report.facts if isinstance(each, WindowScored)]
    assert all([each.subject for each in one.evidence] == ["accuracy", "roc_auc"] for one in scored)
    assert all(each.low is not None and each.value is not None for one in scored for each in one.evidence)
    assert not [each for each in report.facts if isinstance(each, AlertRaised)]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("business: {m: 'pipeline:margin'}\nslos: [{metric: business.m, at_most: 1}]", "defines no 'margin'"),
        ("slos: [{metric: business.m, at_most: 1}]", "`business` does not define"),
        ("slos: [{metric: error, at_most: 1, events: [x]}]", "unknown option 'events'"),
        ("triggers: [{ab_outcome: {outcome: buoght}}]\nfeedback: {events: [bought]}", "did you mean bought?"),
        ("triggers: [{thumbs: {down_abvoe: 0.1}}]", "did you mean down_above?"),
    ],
)
def test_what_could_never_be_measured_is_refused(tmp_path: Path, more: str, said: str) -> None:
    with pytest.raises(SettingsError, match=rf"anew\.yaml:\d+:\d+: .*{said}"):
        watched(tmp_path, more + "\n")


def test_metrics_that_make_no_sense_are_refused_with_their_place(tmp_path: Path) -> None:
    yaml = WITHOUT.replace("window: 1d", "window: 1d, metrics: [rmse]")
    with pytest.raises(SettingsError, match=r"anew\.yaml:9:\d+: 'rmse' makes no sense for binary"):
        watched_by(load(write_project(tmp_path, yaml)))


def test_slices_without_metrics_are_refused_since_nothing_would_be_measured(tmp_path: Path) -> None:
    yaml = WITHOUT.replace("window: 1d", "window: 1d, slices: [x]")
    with pytest.raises(SettingsError, match=r"anew\.yaml:9:\d+: slices \['x'\]: .*write monitor\.metrics"):
        watched_by(load(write_project(tmp_path / "a", yaml)))
    yaml = WITHOUT.replace("window: 1d", "window: 1d, metrics: [accuracy], slices: [nosuch]")
    with pytest.raises(SettingsError, match=r"'nosuch' is no feature \(known: x, z\)"):
        watched_by(load(write_project(tmp_path / "b", yaml)))


def test_only_a_project_that_reads_feedback_reads_it(tmp_path: Path) -> None:
    assert not watched(tmp_path / "a", "slos: [{metric: error, at_most: 0.3}]\n").feedback
    business = "business: {m: avg(thumb)}\nslos: [{metric: business.m, at_least: 0.3}]\n"
    assert watched(tmp_path / "b", business).feedback
    assert not watched(tmp_path / "c", business.replace("thumb", "label")).feedback


@pytest.mark.fault("V9")
@pytest.mark.parametrize("broken", ["a thousand times", "swapped", "nulls", "one value"])
def test_a_broken_feed_is_an_incident_before_it_is_drift_and_never_a_reason_to_retrain(
    tmp_path: Path, broken: str
) -> None:
    x, z = np.random.default_rng(5).normal(size=(2, ROWS))
    day = (np.arange(ROWS) // 24) == 30
    z = 40 + z
    columns = {
        "a thousand times": {"x": np.where(day, 1000 * x, x), "z": z},
        "swapped": {"x": np.where(day, z, x), "z": np.where(day, x, z)},
        "nulls": {"x": pl.Series(x).set(pl.Series(day), None), "z": z},
        "one value": {"x": np.where(day, 0.25, x), "z": z},
    }[broken]
    drift, contract = "triggers:\n  - {psi: {above: 5, at_least_rows: 20}}\n", "  - {quality: {at_least_rows: 20}}\n"
    without = replayed(tmp_path, drift, **columns)
    assert [day for day, _ in asked(without)] == [30], "the negative control: without the contract it is retrained"
    report = replayed(tmp_path, drift + contract, **columns)
    (incident,) = [each for each in report.facts if isinstance(each, IncidentRaised)]
    assert broken in incident.message
    alert = next(each for each in report.facts if isinstance(each, AlertRaised))
    assert report.facts.index(incident) < report.facts.index(alert)
    assert [each.reason for each in report.facts if isinstance(each, RetrainWithheld)] == ["incident"]
    assert asked(report) == []
