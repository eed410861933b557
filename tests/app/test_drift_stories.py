"""What drifts, from the rows to the request: worlds replayed by a whole loop whose only trigger is calibrated."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from anew.app.replay import ReplayOptions, replay
from anew.app.settings import load
from anew.domain.facts import AlertRaised, RetrainRequested
from anew.loop.replay import ReplayReport
from tests.app.small_project import write_project

DAYS, A_DAY, CHANGED = 40, 288, 25
ROWS = DAYS * A_DAY
START = datetime(2024, 1, 1)  # noqa: DTZ001  files without a zone are what is common
POLICY = """model: small
task: binary
columns: {time: at, target: y, classes: [0, 1], features: {x: number, z: number, shop: category, hour: number}}
data: {span: 60d, holdout: 0.3}
monitor: {window: 1d, false_alarms: 1 per 365d}
validate: [{slos: {objectives: [{metric: error, at_most: 0.9}]}}]
policy: {cooldown: 9d}
"""
DRIFT = "triggers: [{drift: {}, for: 2 windows}]\n"
PIPELINE = """from sklearn.linear_model import LogisticRegression


def features(rows):
    return rows.select("x", "z", "hour")


def train(data, params):
    return LogisticRegression().fit(data.x.to_numpy(), data.y.to_numpy())
"""

World = Callable[[pl.DataFrame, np.ndarray], pl.DataFrame]
"""Changes an unchanging stream, given the day of each row."""


def steady(rows: pl.DataFrame, day: np.ndarray) -> pl.DataFrame:
    """Leave it: its hours differ between the parts of a day, and from window to window nothing does."""
    return rows


def creeping(rows: pl.DataFrame, day: np.ndarray) -> pl.DataFrame:
    """Let the mean of z creep up, by a twentieth of its spread each day from the tenth on."""
    return rows.with_columns(z=pl.col("z") + 0.05 * np.maximum(day - 10, 0))


def other_unit(rows: pl.DataFrame, day: np.ndarray) -> pl.DataFrame:
    """Send z in Fahrenheit from one day on, that was in Celsius."""
    return rows.with_columns(z=pl.when(pl.Series(day >= CHANGED)).then(pl.col("z") * 1.8 + 32).otherwise(pl.col("z")))


def swapped(rows: pl.DataFrame, day: np.ndarray) -> pl.DataFrame:
    """Let two shops change names from one day on; no name is new."""
    turned = pl.col("shop").replace({"north": "south", "south": "north"})
    return rows.with_columns(shop=pl.when(pl.Series(day >= CHANGED)).then(turned).otherwise(pl.col("shop")))


def late_hours(rows: pl.DataFrame, day: np.ndarray) -> pl.DataFrame:
    """Let requests of the morning stay away from one day on: the hours drift, and they are the calendar's."""
    return rows.filter(pl.Series(day < CHANGED) | (pl.col("hour") >= 6))


def together(rows: pl.DataFrame, day: np.ndarray) -> pl.DataFrame:
    """Let x and z move together from one day on; each alone is as it was."""
    both = 0.9 * pl.col("x") + 0.43589 * (pl.col("z") - 20)
    return rows.with_columns(z=pl.when(pl.Series(day >= CHANGED)).then(20 + both).otherwise(pl.col("z")))


def replayed(folder: Path, world: World, triggers: str = DRIFT) -> ReplayReport:
    chance = np.random.default_rng(7)
    x, z, u = chance.normal(size=(3, ROWS))
    at = [START + timedelta(minutes=5 * i) for i in range(ROWS)]
    shop = np.array(["north", "south", "east"])[np.searchsorted([0.6, 0.9], chance.random(ROWS))]
    plain = {"at": at, "x": x, "z": 20 + z, "shop": shop, "hour": [float(each.hour) for each in at]}
    rows = pl.DataFrame(plain | {"y": (x + 0.3 * u > 0).astype(int)})
    world(rows, np.arange(ROWS) // A_DAY).write_parquet(folder / "rows.parquet")
    settings = load(write_project(folder / "p", POLICY + triggers, PIPELINE))
    return replay(settings, ReplayOptions(data=folder / "rows.parquet"))


def asked(report: ReplayReport) -> list[int]:
    """Return the day of the stream on which each retrain was asked for by drift."""
    return [
        (each.at.replace(tzinfo=None) - START).days
        for each in report.facts
        if isinstance(each, RetrainRequested) and each.triggers != ("command",)
    ]


def columns(report: ReplayReport) -> set[str]:
    """Return the columns that alerts name."""
    alerts = (each for each in report.facts if isinstance(each, AlertRaised))
    return {each.subject for alert in alerts for each in alert.evidence if each.p_value is not None}


@pytest.mark.parametrize("world", [steady, late_hours])
def test_a_world_that_stands_still_and_the_calendar_ask_for_nothing(tmp_path: Path, world: World) -> None:
    report = replayed(tmp_path, world)
    assert (asked(report), columns(report)) == ([], set())


def test_a_distance_with_a_limit_sees_the_calendar_drift(tmp_path: Path) -> None:
    """The control: the hours did drift, and it is by being recognised that they are no reason."""
    report = replayed(tmp_path, late_hours, "triggers: [{psi: {column: hour, above: 0.25}, for: 2 windows}]\n")
    assert asked(report)[0] == CHANGED + 1


@pytest.mark.parametrize(
    ("world", "column", "first", "last"),
    [(creeping, "z", 14, 35), (other_unit, "z", CHANGED + 1, CHANGED + 1), (swapped, "shop", CHANGED + 1, CHANGED + 2)],
)
def test_what_changed_asks_by_its_name_on_its_day(
    tmp_path: Path, world: World, column: str, first: int, last: int
) -> None:
    report = replayed(tmp_path, world)
    assert first <= asked(report)[0] <= last
    assert columns(report) == {column}


def test_without_the_trigger_nothing_asks(tmp_path: Path) -> None:
    assert asked(replayed(tmp_path, other_unit, "")) == []


@pytest.mark.parametrize("detector", ["drift: {}", "mmd: {at_least_rows: 40}", "domain_classifier: {columns: [x, z]}"])
def test_what_no_column_shows_asks_within_the_same_budget(tmp_path: Path, detector: str) -> None:
    report = replayed(tmp_path, together, f"triggers: [{{{detector}, for: 2 windows}}]\n")
    if detector == "drift: {}":
        assert asked(report) == [], "the control: column by column nothing changed"
        return
    assert CHANGED + 1 <= asked(report)[0] <= CHANGED + 8
    alert = next(each for each in report.facts if isinstance(each, AlertRaised))
    assert "false alarms at most 0.0027 per window (1 per 365d declared)" in alert.message
