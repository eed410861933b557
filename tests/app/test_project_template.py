"""What `anew init` writes: a project that loads, trains and is never written over another."""

import ast
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from anew.adapters.model_format import DataFormats
from anew.adapters.model_loader import ModelLoader
from anew.adapters.pipeline_module import load_pipeline
from anew.adapters.schema_inference import Roles
from anew.adapters.table_file import labelled_rows
from anew.app.duration import parse_duration
from anew.app.judging import judged_by
from anew.app.policy_numbers import PolicyNumbers
from anew.app.project_template import create_from_file, create_skeleton
from anew.app.replay import ReplayOptions, replay
from anew.app.settings import load
from anew.app.watch import watched_by
from anew.app.wiring import stages
from anew.domain.column import Task
from anew.domain.errors import ConflictError, NotFoundError, SettingsError
from anew.domain.facts import AlertRaised
from anew.loop.training import Kit, Recipe, fit

NAIVE = datetime(2024, 1, 1)  # noqa: DTZ001 - files without a zone are what is tested
ODD = ["plain", "with space", "quo\"te'", "a: b", "{brace}", "yes", "7", "#hash", "ünï", "back\\slash", "$dollar"]


def stream(folder: Path, name: str = "My Stream 2.parquet", **columns: Any) -> Path:
    n = 600
    chance = np.random.default_rng(1)
    x = chance.normal(size=n)
    base: dict[str, Any] = {
        "ts": [NAIVE + timedelta(hours=i) for i in range(n)],
        "y": (x > 0).astype(int),
        "x": x,
        "c": chance.choice(["a", "b", "c: d", 'q"uote'], n),
    }
    path = folder / name
    pl.DataFrame(base | columns).write_parquet(path)
    return path


def roles(task: str = "classification", **named: Any) -> Roles:
    return Roles(**({"time": "ts", "target": "y", "task": task} | named))


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("categories", [True, False])
def test_a_project_from_a_file_loads_and_trains(tmp_path: Path, task: str, categories: bool) -> None:
    changes: dict[str, Any] = {} if categories else {"c": np.arange(600)}
    if task == "regression":
        changes["y"] = np.random.default_rng(2).normal(size=600)
    source = stream(tmp_path, **changes)
    created = create_from_file(tmp_path, source, roles(task))
    assert created.folder == tmp_path / "my-stream-2"
    assert sorted(path.name for path in created.folder.iterdir()) == [
        ".anew-schema.json",
        ".gitignore",
        "anew.yaml",
        "pipeline.py",
    ]
    settings = load(created.folder)
    stages(settings)
    assert created.inferred is not None
    assert settings.columns == created.inferred.columns
    pipeline = load_pipeline(settings.pipeline)
    assert pipeline.inputs_are_numbers is not categories
    rows = labelled_rows(pl.read_parquet(source), settings.columns, "file")
    recipe = Recipe(columns=settings.columns, seed=0, params={"n_estimators": 5})
    kit = Kit(formats=DataFormats(), loader=ModelLoader())
    predictor = kit.loader.assemble(fit(rows, recipe, pipeline, kit).candidate, pipeline=pipeline, version="v1")
    unseen = dict.fromkeys(settings.columns.names, None) | ({"c": "never seen"} if categories else {})
    assert predictor.answer([unseen]) == predictor.answer([dict.fromkeys(settings.columns.names, None)])


def test_the_first_objective_is_half_again_what_was_measured(tmp_path: Path) -> None:
    chance = np.random.default_rng(3)
    x = chance.normal(size=600)
    created = create_from_file(
        tmp_path, stream(tmp_path, y=((x + chance.normal(size=600)) > 0).astype(int), x=x), roles()
    )
    look, (slo,) = created.look, load(created.folder).policy.slos
    assert look is not None
    assert (look.metric, look.test_rows, look.train_rows) == ("error", 50, 50)
    assert 0 < look.loss < 0.6
    assert slo["at_most"] == pytest.approx(1.5 * look.loss, rel=0.01)
    assert f"error {look.loss:.4g}" in (created.folder / "anew.yaml").read_text()


def test_a_perfect_first_model_gets_an_objective_that_can_be_met(tmp_path: Path) -> None:
    created = create_from_file(tmp_path, stream(tmp_path, leak=(np.arange(600) % 2), y=np.arange(600) % 2), roles())
    assert load(created.folder).policy.slos[0]["at_most"] == 0.01


@pytest.mark.parametrize(
    ("rows", "span", "most", "canary"), [(600, "12w", 90, (0.5,)), (40_000, "auto", 400, (0.25, 0.5))]
)
def test_the_pace_of_a_stream_sets_what_is_held_out_and_the_canary(
    tmp_path: Path, rows: int, span: str, most: int, canary: tuple[float, ...]
) -> None:
    source = tmp_path / "paced.parquet"
    at = [NAIVE + i * timedelta(days=100) / rows for i in range(rows)]
    pl.DataFrame({"ts": at, "y": np.arange(rows) % 2, "x": np.arange(float(rows))}).write_parquet(source)
    policy = load(create_from_file(tmp_path, source, roles()).folder).policy
    assert (policy.monitor.window, policy.data.span) == ("1d", span)
    assert (policy.data.holdout_most, policy.rollout.canary) == (most, canary)


@pytest.mark.parametrize(
    ("rows", "shadow", "canary", "patience"), [(600, 50, 50, "25d"), (2_400, 96, 50, "1w"), (40_000, 200, 100, "")]
)
def test_no_step_of_a_rollout_waits_for_rows_that_do_not_come_in_time(
    tmp_path: Path, rows: int, shadow: int, canary: int, patience: str
) -> None:
    source = tmp_path / "paced.parquet"
    at = [NAIVE + i * timedelta(days=100) / rows for i in range(rows)]
    pl.DataFrame({"ts": at, "y": np.arange(rows) % 2, "x": np.arange(float(rows))}).write_parquet(source)
    settings = load(create_from_file(tmp_path, source, roles()).folder)
    rollout = settings.policy.rollout
    assert (rollout.shadow.at_least_rows, rollout.judge.at_least_rows, rollout.patience) == (shadow, canary, patience)
    judged = judged_by(settings, watched_by(settings)).rollout
    a_day = rows / 100
    (slo,) = settings.policy.slos
    seen = parse_duration(slo["over"]).days if "over" in slo else 1
    assert seen * a_day >= 50, "an objective that lacks rows in every period is never measured"
    longest = max(shadow / a_day, canary / (a_day * rollout.canary[-1]))
    assert judged.patience > longest * timedelta(days=1)


@pytest.mark.parametrize(("rows", "over"), [(600, "25d"), (9_000, "2d"), (10_000, "")])
def test_no_trigger_is_written_that_could_not_fire_at_the_pace_of_the_stream(
    tmp_path: Path, rows: int, over: str
) -> None:
    source = tmp_path / "paced.parquet"
    at = [NAIVE + i * timedelta(days=100) / rows for i in range(rows)]
    x = np.random.default_rng(4).normal(size=rows) + np.where(np.arange(rows) < rows / 2, 0.0, 3.0)
    pl.DataFrame({"ts": at, "y": (x > 1).astype(int), "x": x}).write_parquet(source)
    folder = create_from_file(tmp_path, source, roles()).folder
    if over:
        assert load(folder).policy.triggers == ()
        text = (folder / "anew.yaml").read_text()
        (folder / "anew.yaml").write_text(re.sub(r"triggers: \[\] .*\n# ", "", text))
    settings = load(folder)
    (trigger,) = settings.policy.triggers
    assert trigger == {"psi": {"above": 0.25} | ({"over": over} if over else {}), "for": "3 windows"}
    facts = replay(settings, ReplayOptions(data=source)).facts
    alerts = [fact for fact in facts if isinstance(fact, AlertRaised) and fact.detector.startswith("psi>0.25")]
    assert any(each.window.end.replace(tzinfo=None) > at[rows // 2] for each in alerts)
    assert min(each.n for alert in alerts for each in alert.evidence) >= 100


def test_odd_names_and_levels_survive_yaml_and_python(tmp_path: Path) -> None:
    odd = {name: ["x", name] * 300 for name in ODD}
    source = stream(tmp_path, "odd.parquet", **odd, y=["no", "ja: nein"] * 300)
    created = create_from_file(tmp_path, source, roles(key="plain"))
    settings = load(created.folder)
    assert created.inferred is not None
    assert settings.columns == created.inferred.columns
    assert set(ODD[1:]) < set(settings.columns.names)
    assert settings.columns.key == "plain"
    ast.parse((created.folder / "pipeline.py").read_text())
    frame = pl.DataFrame({name: [None, "x", name, "?"] for name in settings.columns.names if name != "x"})
    made = load_pipeline(settings.pipeline).features(frame.with_columns(x=1.0).cast({pl.Null: pl.String}))
    assert made["yes"].is_null().to_list() == [True, False, False, True]


def test_a_zone_that_was_assumed_is_said(tmp_path: Path) -> None:
    naive = create_from_file(tmp_path, stream(tmp_path), roles(), name="naive").folder
    zoned = pl.read_parquet(stream(tmp_path)).with_columns(pl.col("ts").dt.replace_time_zone("Europe/Berlin"))
    zoned.write_parquet(tmp_path / "zoned.parquet")
    other = create_from_file(tmp_path, tmp_path / "zoned.parquet", roles(), name="zoned").folder
    assert "carry no zone and are taken as UTC" in (naive / "anew.yaml").read_text()
    assert "carry no zone" not in (other / "anew.yaml").read_text()


def test_csv_does_as_well(tmp_path: Path) -> None:
    pl.read_parquet(stream(tmp_path)).write_csv(tmp_path / "s.csv")
    assert load(create_from_file(tmp_path, tmp_path / "s.csv", roles()).folder).task is Task.BINARY


@pytest.mark.parametrize("there", ["anew.yaml", "pipeline.py", ".anew", ".gitignore", ".anew-schema.json"])
def test_nothing_is_ever_written_over(tmp_path: Path, there: str) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / there).write_text("precious")
    with pytest.raises(ConflictError, match=there):
        create_skeleton(folder)
    with pytest.raises(ConflictError, match=there):
        create_from_file(tmp_path, stream(tmp_path), roles(), name="mine")
    assert [(path.name, path.read_text()) for path in folder.iterdir()] == [(there, "precious")]


@pytest.mark.parametrize(
    ("content", "suffix", "says"),
    [
        (b"", ".csv", "empty"),
        (b"ts,y,x\n", ".csv", "no rows"),
        (b"not parquet", ".parquet", ""),
        (b"ts,y", ".xlsx", ".xlsx"),
        (b"ts,y,x\n2024-01-01,0,1\n2024-01-02,1,2\n", ".csv", "2 labelled rows are too few"),
    ],
)
def test_files_that_are_no_stream_are_refused_and_leave_nothing(
    tmp_path: Path, content: bytes, suffix: str, says: str
) -> None:
    path = tmp_path / f"data{suffix}"
    path.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        create_from_file(tmp_path, path, roles())
    assert says in str(caught.value)
    assert not (tmp_path / "data").exists()


def test_a_missing_file_and_an_impossible_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises((NotFoundError, SettingsError)):
        create_from_file(tmp_path, tmp_path / "none.parquet", roles())
    for name in ("Fraud", "../up", "a b", "1st", "x" * 64):
        with pytest.raises(SettingsError, match="cannot be called"):
            create_from_file(tmp_path, stream(tmp_path), roles(), name=name)


def test_the_skeleton_loads(tmp_path: Path) -> None:
    created = create_skeleton(tmp_path / "7 Things!")
    settings = load(created.folder)
    stages(settings)
    load_pipeline(settings.pipeline)
    assert settings.model == "m-7-things"
    assert ".anew/" in (created.folder / ".gitignore").read_text()


def test_the_numbers_of_a_policy_can_be_given(tmp_path: Path) -> None:
    numbers = PolicyNumbers(psi=0.4, cooldown_windows=3, canary=(0.2,), slo_slack=2.0, slo_windows=2)
    policy = load(create_from_file(tmp_path, stream(tmp_path), roles(), numbers=numbers).folder).policy
    assert policy.triggers == ()
    assert (
        "\n# triggers: [{psi: {above: 0.4, over: 150h}, for: 3 windows}]\n"
        in (tmp_path / "my-stream-2" / "anew.yaml").read_text()
    )
    assert policy.rollout.canary == (0.2,)
    assert (policy.monitor.window, policy.policy.cooldown) == ("6h", "18h")
    assert policy.slos[0]["for"] == "2 windows"


def test_vectors_are_recognised_and_trained_on(tmp_path: Path) -> None:
    embedding = np.random.default_rng(3).normal(size=(600, 8))
    source = stream(tmp_path, embedding=pl.Series(embedding, dtype=pl.List(pl.Float32)))
    created = create_from_file(tmp_path, source, roles())
    settings = load(created.folder)
    assert settings.policy.columns.features["embedding"] == "vector(8)"
    assert created.look is not None
    assert created.look.loss < 0.2


def test_a_file_with_a_row_from_the_future_is_refused_and_nothing_written(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    source = stream(tmp_path, ts=[*(now - timedelta(minutes=i) for i in range(599)), now + timedelta(days=13_000)])
    with pytest.raises(SettingsError, match="the file: 1 of 600 rows lie in the future, the first of them is row 600"):
        create_from_file(tmp_path, source, roles(), name="late")
    assert not (tmp_path / "late").exists()
    create_from_file(tmp_path, stream(tmp_path, ts=[now + timedelta(minutes=i - 598) for i in range(600)]), roles())
