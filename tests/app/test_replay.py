"""`anew replay` over small files of every kind: what init writes for them replays, and gains where it can."""

import signal
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from anew.adapters.schema_inference import Roles
from anew.app.project_template import create_from_file
from anew.app.replay import ReplayOptions, replay
from anew.app.settings import load
from anew.domain.errors import NotFoundError, SchemaError, SettingsError
from anew.domain.facts import SnapshotTaken, VersionPromoted
from anew.loop.replay import ReplayReport
from anew.loop.replay_trouble import said_of
from tests.app.small_project import PIPELINE, YAML, write_project

N = 16000
START = datetime(2024, 1, 1)  # noqa: DTZ001  files without a zone are what is common


def columns() -> dict[str, Any]:
    chance = np.random.default_rng(0)
    x, z = chance.normal(size=(2, N))
    return {
        "at": [START + timedelta(hours=i) for i in range(N)],
        "x": np.where(chance.random(N) < 0.1, np.nan, x),
        "z": [None if chance.random() < 0.1 else float(value) for value in z],
        "shop": chance.choice(["north", "south", "east"], N),
        "noise": chance.normal(size=N),
    }


def labels(kind: str, changing: bool) -> Sequence[Any]:
    """Return noisy labels; in a changing world every threshold moves at the middle of the stream."""
    given, chance = columns(), np.random.default_rng(1)
    score = np.nan_to_num(given["x"]) + (given["shop"] == "north") + chance.normal(scale=0.3, size=N)
    if changing:
        score = np.where(np.arange(N) < N // 2, score, score + 1.2)
    match kind:
        case "binary":
            found = (score > 0.8).astype(int)
        case "multiclass":
            found = np.array(["low", "mid", "high"])[np.digitize(score, [0.0, 1.2])]
        case _:
            found = score
    listed: Sequence[Any] = found.tolist()
    return listed


def replayed(folder: Path, kind: str, *, changing: bool, **options: Any) -> ReplayReport:
    source = folder / f"{kind}.parquet"
    pl.DataFrame(columns() | {"y": labels(kind, changing)}).write_parquet(source)
    task = "regression" if kind == "regression" else "classification"
    project = folder / kind
    if not project.exists():
        create_from_file(folder, source, Roles(time="at", target="y", task=task))
        with (project / "anew.yaml").open("a") as policy:  # few trees: on a busy machine seconds become minutes
            policy.write("train: {params: {n_estimators: 30}}\n")
    return replay(load(project), ReplayOptions(data=source, **({"windows": 80} | options)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("changing")


@pytest.fixture(scope="module")
def changed(folder: Path) -> ReplayReport:
    return replayed(folder, "binary", changing=True)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_a_change_is_caught_and_pays_whatever_is_predicted(folder: Path, changed: ReplayReport, kind: str) -> None:
    data = (changed if kind == "binary" else replayed(folder, kind, changing=True)).data
    assert data["promotions"] >= 2
    assert data["loss"] < 0.8 * data["loss_never_retrained"]
    assert data["rows"] == sum(each["n"] for each in data["windows"])
    whole = sum(each["loss"] * each["n"] for each in data["windows"]) / data["rows"]
    assert whole == pytest.approx(data["loss"])


def test_what_does_not_change_costs_nothing(tmp_path: Path) -> None:
    data = replayed(tmp_path, "binary", changing=False).data
    assert data["loss"] <= data["loss_never_retrained"] * 1.01


def test_the_same_file_gives_the_same_report_and_the_same_facts(folder: Path, changed: ReplayReport) -> None:
    again = replayed(folder, "binary", changing=True)
    assert {**changed.data, "timings": None} == {**again.data, "timings": None}
    assert changed.facts == again.facts


@pytest.mark.parametrize(("delay", "windows"), [("2", 2), ("1599h", 2), ("801h", 2), ("1m", 1), ("0s", 0)])
def test_a_label_delay_is_windows_or_a_duration_rounded_up(tmp_path: Path, delay: str, windows: int) -> None:
    report = replayed(tmp_path, "binary", changing=False, label_delay=delay, windows=20)
    (first, *_) = [fact for fact in report.facts if isinstance(fact, SnapshotTaken)]
    waited = (first.at - first.span.end) / timedelta(hours=800)
    assert round(waited) == windows


def test_windows_follow_the_settings_when_none_are_asked_for(tmp_path: Path) -> None:
    report = replayed(tmp_path, "binary", changing=False, windows=None)
    length = load(tmp_path / "binary").window
    assert length is not None
    starts = [datetime.fromisoformat(each["start"]) for each in report.data["windows"]]
    assert {(each - datetime.fromisoformat("1970-01-01T00:00Z")) % length for each in starts[1:]} == {timedelta(0)}


def test_in_the_end_the_new_world_is_known(changed: ReplayReport) -> None:
    last = changed.data["windows"][-1]
    assert last["loss"] < 0.2
    assert last["version"] not in ("", changed.data["windows"][0]["version"])


def small(folder: Path, rows: int, **changed: Any) -> Path:
    path = folder / "rows.parquet"
    at = [START + timedelta(hours=i) for i in range(rows)]
    base = {
        "at": pl.Series(at, dtype=pl.Datetime),
        "y": [i % 2 for i in range(rows)],
        "x": [1.0] * rows,
        "z": [2.0] * rows,
    }
    pl.DataFrame(base | changed).write_parquet(path)
    return path


@pytest.mark.parametrize(
    ("rows", "windows", "error", "said"),
    [
        (0, None, SchemaError, "the file has 0 labelled rows"),
        (1, 5, SchemaError, "the file has 1 labelled rows"),
        (3, None, SettingsError, "the stream is shorter than two windows of 1d; try --windows"),
        (3, 4, SettingsError, "a stream of 3 rows has 2 to 3 windows"),
        (30, 5, NotFoundError, "no first champion was accepted in 5 windows: slos INCONCLUSIVE"),
        (3, 3, NotFoundError, "no first champion was accepted in 3 windows: error: "),
    ],
)
def test_a_stream_that_is_too_short_is_said(
    tmp_path: Path, rows: int, windows: int | None, error: type[Exception], said: str
) -> None:
    settings = load(write_project(tmp_path / "p"))
    with pytest.raises(error, match=said):
        replay(settings, ReplayOptions(data=small(tmp_path, rows), windows=windows))


def test_a_file_that_does_not_fit_is_said(tmp_path: Path) -> None:
    settings = load(write_project(tmp_path / "p", YAML.replace("z: number", "w: category")))
    with pytest.raises(SchemaError, match="has no column w"):
        replay(settings, ReplayOptions(data=small(tmp_path, 50)))


def test_a_pipeline_that_raises_ends_as_a_sentence(tmp_path: Path) -> None:
    pipeline = "def train(data, params):\n    raise ValueError('not today')\n"
    settings = load(write_project(tmp_path / "p", pipeline=pipeline))
    said = r"in 10 windows: error: train\(\) raised ValueError at .*pipeline.py:2: not today"
    with pytest.raises(NotFoundError, match=said):
        replay(settings, ReplayOptions(data=small(tmp_path, 400), windows=10))


def test_features_that_lose_rows_are_said_to_have_made_too_few(tmp_path: Path) -> None:
    settings = load(
        write_project(tmp_path / "p", pipeline=PIPELINE + "\n\ndef features(rows):\n    return rows.head(3)\n")
    )
    with pytest.raises(NotFoundError, match=r"in 10 windows: error: features\(\) made 3 rows"):
        replay(settings, ReplayOptions(data=small(tmp_path, 400), windows=10))


LOOP = "while True:\n{0}try:\n{0}    float('x')\n{0}except Exception:\n{0}    pass\n"
TRAINS = "def train(data, params):\n    "
SPACE = "\n\ndef search_space(trial):\n    "
FEW = "\n\ndef features(rows):\n    if rows.height > 300:\n        return rows\n    "
SEARCH = "search: {trials: 1, folds: 1}\n"


@pytest.mark.parametrize(
    ("more", "pipeline"),
    [
        ("", TRAINS + LOOP.format(" " * 8)),
        (SEARCH, TRAINS + LOOP.format(" " * 8) + SPACE + "return {}\n"),
        (SEARCH, PIPELINE + SPACE + LOOP.format(" " * 8)),
        ("", PIPELINE + FEW + LOOP.format(" " * 8)),
    ],
    ids=["fit", "search", "space", "proof"],
)
def test_a_training_that_never_returns_is_ended_by_its_limit(tmp_path: Path, more: str, pipeline: str) -> None:
    settings = load(write_project(tmp_path / "p", YAML + "train: {timeout: 1s}\n" + more, pipeline))
    with pytest.raises(NotFoundError, match=r"timeout: it ran longer than its limit of 1 s"):
        replay(settings, ReplayOptions(data=small(tmp_path, 4000), windows=3))
    assert signal.getitimer(signal.ITIMER_REAL)[1] == 0.0, "the timer goes on"


BROKEN = """
from dataclasses import dataclass
from typing import ClassVar

from anew.domain.evidence import Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    labels: ClassVar[bool] = False
    over: ClassVar[None] = None
    where: str

    @property
    def key(self):
        return f"broken in {self.where}"

    def measure_seen(self, seen):
        if self.where == "measure":
            raise RuntimeError("boom")
        return (Evidence.of(self.key, 1.0, seen.n),)

    def measure_scored(self, rows):
        return ()

    def judge(self, evidence):
        if self.where == "judge":
            raise RuntimeError("boom")
"""


def test_what_breaks_on_the_way_is_counted_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "replay_broken.py").write_text(BROKEN, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    broken = "".join(f'  - {{"replay_broken:Broken": {{where: {each}}}}}\n' for each in ("measure", "judge", "nothing"))
    own = "  - {metric: business.margin, at_least: 0}\ntriggers:\n"
    yaml = (
        YAML.replace("span: 10d", "span: all").replace("triggers:\n", own + broken)
        + "business: {margin: 'pipeline:margin'}\n"
    )
    pipeline = PIPELINE + "\n\ndef margin(rows):\n    raise ValueError('kpi boom')\n"
    settings = load(write_project(tmp_path / "p", yaml, pipeline))
    rows = small(tmp_path, 2000, x=[float(i % 2) for i in range(2000)])
    data = replay(settings, ReplayOptions(data=rows, windows=10)).data
    found = {(each["kind"], each["name"]): each for each in data["troubles"]}
    assert data["incidents"] == found["incident", "broken in judge"]["count"] >= 5
    assert found["unmeasured", "broken in measure"]["said"] == "RuntimeError: boom"
    assert "kpi boom" in found["unmeasured", "slo(business.margin>=0)"]["said"]
    assert not any("nothing" in name for _, name in found)
    assert "first: RuntimeError: boom" in said_of(found["unmeasured", "broken in measure"])


def leaking(folder: Path, since: int) -> Path:
    """Return the folder of a project as init writes it, with the file: `later` is the label and noise from some row."""
    label, chance = np.array(labels("binary", True)), np.random.default_rng(2)
    known = np.where(np.arange(N) < since, chance.random(N), label)
    pl.DataFrame(columns() | {"y": label, "later": known + chance.normal(scale=0.1, size=N)}).write_parquet(
        folder / "rows.parquet"
    )
    create_from_file(folder, folder / "rows.parquet", Roles(time="at", target="y", task="classification"), name="leaks")
    with (folder / "leaks" / "anew.yaml").open("a") as policy:
        policy.write("train: {params: {n_estimators: 30}}\n")
    return folder / "leaks"


@pytest.mark.fault("V10")
def test_what_init_writes_promotes_nothing_that_learned_from_a_leaking_column(tmp_path: Path) -> None:
    project, options = leaking(tmp_path, 0), ReplayOptions(data=tmp_path / "rows.parquet", windows=40)
    with pytest.raises(NotFoundError, match=r"later alone tells the label .* a replay has nobody to ask"):
        replay(load(project), options)
    policy = project / "anew.yaml"
    text, gate = policy.read_text(), "  - leakage: {column_at_most: 0.99, better_by: 1, loss_at_least: 0"
    assert text.count(gate) == 1
    policy.write_text(text.replace("    mode: ask", "    mode: advisory"))
    report = replay(load(project), options)
    assert any(isinstance(fact, VersionPromoted) for fact in report.facts), "without it, such a model serves"
    assert not any(each["kind"] == "held" for each in report.data["troubles"])


def test_a_leaking_column_that_features_leaves_out_keeps_nobody_from_service(tmp_path: Path) -> None:
    project = leaking(tmp_path, 0)
    for file, old, new in (("pipeline.py", ', "later"]', "]"), ("anew.yaml", "at_most: 0.01", "at_most: 0.2")):
        text = (project / file).read_text()
        assert text.count(old) == 1
        (project / file).write_text(text.replace(old, new))  # the objective was measured with that column
    report = replay(load(project), ReplayOptions(data=tmp_path / "rows.parquet", windows=40))
    assert any(isinstance(fact, VersionPromoted) for fact in report.facts)
    assert not any(each["kind"] == "held" for each in report.data["troubles"])


@pytest.mark.fault("V10")
def test_candidates_that_wait_for_a_person_are_told_as_what_stood_in_the_way(tmp_path: Path) -> None:
    project = leaking(tmp_path, N // 2)
    data = replay(load(project), ReplayOptions(data=tmp_path / "rows.parquet", windows=40)).data
    (held,) = [each for each in data["troubles"] if each["kind"] == "held"]
    assert (held["name"], held["count"] > 0) == ("leakage", True)
    assert said_of(held).startswith(f"held leakage, {held['count']} times, first: leakage FAIL: later alone tells")


def test_windows_of_so_many_rows_are_replayed_as_they_are_served(tmp_path: Path) -> None:
    pl.DataFrame(columns() | {"y": labels("binary", True)}).head(4010).write_parquet(tmp_path / "rows.parquet")
    counted = YAML.replace("window: 1d", "window: 200 rows").replace("span: 10d", "span: all")
    settings = load(write_project(tmp_path / "p", counted))
    report = replay(settings, ReplayOptions(data=tmp_path / "rows.parquet"))
    assert {each["n"] for each in report.data["windows"]} == {200}
    last = START.replace(tzinfo=UTC) + timedelta(hours=3800)
    assert report.data["windows"][-1]["start"] == last.isoformat()  # the last ten rows fill no window


@pytest.mark.parametrize(
    ("column", "error", "said"),
    [
        ("y", SettingsError, "that is the target"),
        ("x", SettingsError, "that is a feature: a model would know it too early"),
        ("gone", SchemaError, "has no column gone"),
        ("number", SchemaError, "the time column 'number' is Int64; it must hold timestamps"),
    ],
)
def test_a_column_that_cannot_say_when_labels_came_is_refused(
    tmp_path: Path, column: str, error: type[Exception], said: str
) -> None:
    """Numbers are no instants: their unit is never guessed."""
    source = tmp_path / "s.parquet"
    frame = pl.DataFrame(
        {"at": [START + timedelta(hours=i) for i in range(50)], "x": range(50), "z": range(50), "y": [0, 1] * 25}
    )
    frame.with_columns(number=pl.int_range(pl.len())).write_parquet(source)
    project = write_project(tmp_path / "p", YAML)
    with pytest.raises(error, match=said):
        replay(load(project), ReplayOptions(data=source, windows=5, label_time=column))
