"""Suites are what was sealed, and no row of them was trained on; what gates name has to be there."""

import hashlib
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from anew.app.gates import chosen_gates
from anew.app.replay import ReplayOptions, replay
from anew.app.settings import Settings, load
from anew.app.suites import suite_sources, trial_needs
from anew.app.wiring import stages
from anew.domain.errors import IntegrityError, SettingsError
from anew.domain.facts import GateJudged
from anew.domain.verdict import Verdict
from anew.validate.beats_champion import BETTER, WORSE
from tests.app.small_project import PIPELINE, YAML, write_project

ROWS = pl.DataFrame(
    {
        "at": [datetime(2024, 1, 1) + timedelta(hours=i) for i in range(50)],  # noqa: DTZ001  as files have them
        "x": [float(i) for i in range(50)],
        "z": [0.0] * 50,
        "y": [i % 2 for i in range(50)],
    }
)


def project(folder: Path, more: str, rows: pl.DataFrame | None = ROWS) -> Settings:
    write_project(folder, YAML + more)
    if rows is not None:
        rows.write_parquet(folder / "golden.parquet")
    return load(folder)


def sealed(folder: Path) -> str:
    ROWS.write_parquet(folder / "golden.parquet")
    digest = hashlib.sha256((folder / "golden.parquet").read_bytes()).hexdigest()
    return f"suites: {{golden: {{file: golden.parquet, digest: {digest}}}}}\n"


@pytest.mark.fault("A8")
def test_a_sealed_file_is_read_and_a_changed_one_is_not(tmp_path: Path) -> None:
    settings = project(tmp_path, sealed(tmp_path), None)
    read = suite_sources(settings)["golden"].file
    assert read is not None
    assert read().height == 50
    other = ROWS.with_columns(y=1 - pl.col("y"))
    other.write_parquet(tmp_path / "golden.parquet")
    changed = suite_sources(settings)["golden"].file
    assert changed is not None
    with pytest.raises(IntegrityError, match="is not what was sealed"):
        changed()


def test_an_unsealed_file_is_refused_with_its_seal(tmp_path: Path) -> None:
    settings = project(tmp_path, "suites: {golden: {file: golden.parquet}}\n")
    digest = hashlib.sha256((tmp_path / "golden.parquet").read_bytes()).hexdigest()
    with pytest.raises(SettingsError, match=f"add digest: {digest}"):
        stages(settings)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("suites: {golden: {}}\n", "give one of file, recorded and past"),
        ("suites: {golden: {past: 9 rows, recorded: 9 rows}}\n", "give one of file"),
        ("suites: {golden: {file: gone.parquet}}\n", "there is no file gone.parquet"),
        ("validate: [suites: {names: [golden]}]\n", "'golden' is no suite"),
        ("validate: [anchor: {suite: old}]\nsuites: {old: {past: 9 rows}}\n", "has to be a sealed file"),
        ("validate: [slices: {by: [country]}]\n", "'country' is no column"),
        ("validate: [fairness: {}]\n", "there are no groups"),
        ("validate: [rules: {}]\n", "no trigger of the project is a rule"),
        ("validate: [beats_champion: {metric: mae}]\n", "metric 'mae' makes no sense for binary"),
        ("validate: [beats_champion: {metric: business.ctr, better: higher}]\n", "which `business` does not define"),
    ],
)
def test_what_could_never_be_measured_is_an_error(tmp_path: Path, more: str, said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        stages(project(tmp_path, more))
    assert said in str(refused.value)
    assert "anew.yaml:" in str(refused.value)


def test_gates_get_what_the_project_says_elsewhere(tmp_path: Path) -> None:
    more = sealed(tmp_path) + (
        "business: {ctr: avg(label)}\n"
        "validate:\n"
        "  - beats_champion: {metric: business.ctr, better: higher}\n"
        "  - anchor: {suite: golden, version: v3}\n"
        "    mode: ask\n"
        "  - latency: {p99_ms: 5}\n"
        "    mode: advisory\n"
    )
    settings = project(tmp_path, more, None)
    chosen = chosen_gates(settings)
    assert dict(chosen.gates)["beats_champion(business.ctr)"][0].definition == "avg(label)"  # type: ignore[attr-defined]  # that gate
    assert chosen.asking == {"anchor"}
    assert chosen.anchor == "v3"
    assert set(chosen.unpackaged().gates) == {"beats_champion(business.ctr)", "anchor"}
    assert trial_needs(settings).anchor == "v3"


STAKE = """

def stake(rows):
    return float((rows["prediction"] == rows["label"]).mean() - BROKEN)
"""
KPI = """business: {gain: "pipeline:stake"}
validate:
  - slos: {objectives: [{metric: error, at_most: 0.9}]}
  - beats_champion: {metric: business.gain, better: higher, margin: 0.2, at_least_rows: 20, at_most_width: 1.0}
"""


def gains(folder: Path, broken: str) -> list[GateJudged]:
    """Replay 40 days with a retrain every ten, judged by a function of the pipeline; return the gate's verdicts."""
    x = np.random.default_rng(5).normal(size=(2, 960))
    at = [datetime(2024, 1, 1) + timedelta(hours=i) for i in range(960)]  # noqa: DTZ001  as files have it
    rows = pl.DataFrame({"at": at, "x": x[0], "z": x[1], "y": (x[0] > 0).astype(int)})
    folder.mkdir()
    rows.write_parquet(folder / "rows.parquet")
    yaml = YAML.split("slos:")[0].replace("holdout: 0.2", "holdout: 0.3") + "triggers: [{every: 10d}]\n" + KPI
    pipeline = PIPELINE + STAKE.replace("BROKEN", broken)
    report = replay(load(write_project(folder / "p", yaml, pipeline)), ReplayOptions(data=folder / "rows.parquet"))
    return [each for each in report.facts if isinstance(each, GateJudged) and each.gate.startswith("beats_champion")]


def test_a_function_of_the_pipeline_decides_beside_the_champion_and_one_that_breaks_lets_nobody_pass(
    tmp_path: Path,
) -> None:
    judged = gains(tmp_path / "whole", "0.0")
    assert judged
    assert {each.verdict for each in judged} == {Verdict.PASS}
    evidence, better, worse = judged[-1].evidence
    assert evidence.low is not None
    assert evidence.subject == "business.gain"
    assert (better.subject, worse.subject) == (BETTER, WORSE)
    broken = gains(tmp_path / "broken", "rows['clicked'].mean()")
    assert {each.verdict for each in broken} == {Verdict.ERROR}


def test_a_gate_cannot_name_a_function_that_the_pipeline_has_not(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="defines no 'stake'"):
        stages(project(tmp_path, KPI))
    for option in ("definition: avg(label)", "function: print"):
        with pytest.raises(SettingsError, match=f"unknown option '{option.split(':')[0]}'"):
            stages(project(tmp_path, f"validate: [beats_champion: {{metric: business.gain, {option}}}]\n"))
