"""Columns and categories with names that programs stumble over, through a whole loop."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from anew.app.narration import narrate
from anew.app.replay import ReplayOptions, replay
from anew.app.settings import load
from anew.app.watch import watched_by
from anew.domain.column import Column, ColumnKind, Columns, Task
from anew.domain.errors import SchemaError, SettingsError
from anew.domain.facts import AlertRaised, WindowClosed, WindowScored
from anew.monitor import Yardstick
from anew.monitor.drift import Drift
from anew.monitor.psi import PSI
from anew.monitor.quality import Quality
from anew.stats.profile import Reference
from tests.app.small_project import write_project
from tests.monitor.windows import seen

NAMES = ["a b", "{c}", "d.e", "it's", 'q"x', "größe", "__proto__"[2:], "</script>", "=cmd()", "f[0]", "SELECT", "%s"]
ODD = ["__proto__", "</script>", "=cmd()", "", "NULL", "nan", "\u202eevil", "a\nb", "ç", "ç"]
START = datetime(2024, 1, 1)  # noqa: DTZ001  files without a zone are what is common
PIPELINE = """
from sklearn.linear_model import LogisticRegression


def features(rows):
    return rows.select(rows.columns[:2])


def train(data, params):
    return LogisticRegression().fit(data.x.to_numpy(), data.y.to_numpy())
"""


def quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


@pytest.mark.fault("V12")
@pytest.mark.fault("V6")
def test_a_loop_over_odd_names_of_columns_and_categories(tmp_path: Path) -> None:
    rows, chance = 1200, np.random.default_rng(3)
    numbers = {name: chance.normal(size=rows) for name in NAMES}
    level = np.where(np.arange(rows) < 600, 0, 5)
    columns = {"at": [START + timedelta(hours=i) for i in range(rows)], **numbers}
    columns["kind of thing"] = [ODD[i] for i in level + chance.integers(0, 5, rows)]
    columns["y"] = (numbers["a b"] > 0).astype(int)
    pl.DataFrame(columns).write_parquet(tmp_path / "rows.parquet")
    features = ", ".join([*(f"{quoted(name)}: number" for name in NAMES), '"kind of thing": category'])
    yaml = f"""model: odd
task: binary
columns:
  time: at
  target: y
  classes: [0, 1]
  features: {{{features}}}
data: {{holdout: 0.3}}
monitor: {{window: 5d}}
business: {{both: 'avg("a b" * "f[0]")'}}
slos:
  - {{metric: error, at_most: 0.9, by: [kind of thing], at_least_rows: 10, for: 99 windows}}
  - {{metric: business.both, at_most: 9, for: 99 windows}}
triggers:
  - {{rule: '"{{c}}" < 100', for: 99 windows}}
  - {{psi: {{above: 0.25}}, for: 99 windows}}
  - {{quality: {{}}}}
validate: [slos: {{objectives: [{{metric: error, at_most: 0.9}}], at_least_rows: 20}}]
"""
    report = replay(load(write_project(tmp_path / "p", yaml, PIPELINE)), ReplayOptions(data=tmp_path / "rows.parquet"))
    closed = [each for each in report.facts if isinstance(each, WindowClosed)]
    assert set(NAMES) <= {each.subject for one in closed for each in one.evidence if each.measured}
    scored = [each for each in report.facts if isinstance(each, WindowScored)]
    subjects = {each.subject for one in scored for each in one.evidence if each.measured}
    assert {f"error where kind of thing = {name}" for name in ODD} <= subjects
    assert "business.both" in subjects
    alerts = [each for each in report.facts if isinstance(each, AlertRaised)]
    assert any("kind of thing" in each.message for each in alerts)
    assert all("\n" not in narrate(each) for each in closed)


@pytest.mark.fault("V12")
@pytest.mark.parametrize("name", ["a\nb", "a\x00", "", "_id", "x" * 201, "^a.*$"])
def test_a_name_that_could_not_be_kept_apart_is_refused(name: str) -> None:
    with pytest.raises(SchemaError):
        Columns(time="at", target="y", features=(Column(name=name, kind=ColumnKind.NUMBER),), task=Task.REGRESSION)


@pytest.mark.fault("V12")
def test_a_rule_that_names_no_column_is_refused_and_never_run_as_something_else(tmp_path: Path) -> None:
    yaml = """model: odd
task: regression
columns: {time: at, target: y, features: {"a b": number}}
triggers: [{rule: 'a b > 0; drop table x'}]
"""
    with pytest.raises(SettingsError, match=r"anew\.yaml:4:\d+"):
        watched_by(load(write_project(tmp_path, yaml)))


@pytest.mark.fault("V6")
def test_a_million_categories_are_bounded_and_new_ones_are_seen() -> None:
    many = pl.Series("id", np.arange(1_000_000)).cast(pl.String)
    reference = Reference.fit({"id": many.to_arrow()})
    yardstick = Yardstick(features=reference)
    size = len(str(reference.own.columns["id"].to_dict()))
    assert size < 50_000, "a profile stays small however many levels there are"
    rows = pl.DataFrame({"id": [f"new{i}" for i in range(500)]})
    for detector in (PSI(column="id"), Quality(), Drift(alpha=0.01)):
        evidence = detector.measure_seen(seen(rows, yardstick))
        assert evidence
        detector.judge(evidence)


@pytest.mark.fault("V6")
def test_an_unseen_category_of_five_per_cent_is_found() -> None:
    base = pl.DataFrame({"land": ["de", "fr", "it"] * 1000})
    yardstick = Yardstick(features=Reference.fit({"land": base["land"].to_arrow()}))
    rows = pl.DataFrame({"land": ["de", "fr", "it"] * 950 + ["__proto__"] * 150})
    drift = Drift(alpha=0.001)
    assert drift.judge(drift.measure_seen(seen(rows, yardstick))) is not None
    same = pl.DataFrame({"land": ["de", "fr", "it"] * 950})
    assert drift.judge(drift.measure_seen(seen(same, yardstick))) is None
