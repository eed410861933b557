"""Every verb: its help, its data on stdout, its refusals as sentences on stderr with the exit code that they have."""

import json
import os
import shlex
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from anew.adapters.sql_engine import Database
from anew.adapters.sql_inbox import SQLInbox
from anew.adapters.system_clock import SystemClock
from anew.app.alone import alone, lock_of
from anew.cli._help import commands
from anew.cli._main import EXIT_CODES, VERBS
from anew.domain import errors
from anew.domain.evidence import Evidence
from anew.domain.facts import (
    CandidateHeld,
    CandidateTrained,
    FreezeBegan,
    RetrainCommanded,
    RetrainHeld,
    RetrainRequested,
    RolledBack,
    RolloutSuperseded,
    Ticked,
    VersionPromoted,
    WindowScored,
)
from anew.domain.interval import Interval
from anew.domain.severity import Severity
from tests.app.small_project import YAML, write_project
from tests.cli.call import Called, call
from tests.cli.recorded import AT, record, report_worker, write_record

Run = Callable[..., Called]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    return lambda *arguments: call(capsys, monkeypatch, *arguments)


def refused(called: Called, code: int, said: str) -> None:
    assert called.code == code, called
    assert called.out == ""
    assert said in called.err
    assert "Traceback" not in called.err


def test_every_verb_is_a_file_and_every_file_a_verb() -> None:
    folder = Path(__file__).parents[2] / "src" / "anew" / "cli"
    assert {each.stem for each in folder.glob("[!_]*.py")} == set(VERBS)


def test_help_lists_the_verbs(run: Run) -> None:
    called = run("--help")
    assert called.code == 0
    assert all(f"  {verb} " in called.out for verb in VERBS)


def test_no_verb_is_told_what_there_is(run: Run) -> None:
    called = run()
    assert "Commands:" in called.out + called.err
    assert called.code == 2


def test_the_version_is_told(run: Run) -> None:
    assert run("--version").out.startswith("anew ")


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_has_help_and_json(run: Run, command: tuple[str, ...]) -> None:
    called = run(*command, "--help")
    assert called.code == 0
    assert "--json" in called.out
    assert f"anew.{'.'.join(command)}/1" in called.out or command == ("up",)


@pytest.mark.parametrize("verb", VERBS)
def test_an_unknown_option_is_a_usage_error(run: Run, verb: str) -> None:
    refused(run(verb, "--colour", "red"), 2, "No such option: --colour")


def test_an_unknown_verb_is_a_usage_error(run: Run) -> None:
    refused(run("retrian"), 2, "'retrian'. Did you mean 'retrain'?")
    refused(run("zzz"), 2, "No such command 'zzz'.")


def test_each_error_has_one_exit_code() -> None:
    kinds = [getattr(errors, name) for name in errors.__all__]
    codes = {kind.__name__: next(code for each, code in EXIT_CODES if issubclass(kind, each)) for kind in kinds}
    expected = {"SettingsError": 2, "SchemaError": 2, "PolicyError": 3, "NotFoundError": 4, "ConflictError": 5}
    assert codes == dict.fromkeys(codes, 1) | expected | {
        "DiskFullError": 7,
        "FencedError": 5,
        "ForbiddenError": 6,
        "UnavailableError": 7,
    }


@pytest.mark.parametrize("verb", ["validate", "status", "retrain", "rollback", "up"])
@pytest.mark.parametrize("flag", [[], ["--json"]])
def test_a_project_that_is_not_there_is_not_found(run: Run, tmp_path: Path, verb: str, flag: list[str]) -> None:
    refused(run(verb, tmp_path / "nowhere", *flag), 4, str(tmp_path / "nowhere"))


def test_explain_and_replay_find_no_project_either(run: Run, tmp_path: Path) -> None:
    refused(run("explain", "v1", "--project", tmp_path), 4, "no database")
    refused(run("replay", tmp_path, "--data", tmp_path / "x.parquet"), 4, "anew init")


@pytest.mark.parametrize("verb", ["status", "retrain"])
def test_a_project_that_was_never_brought_up_has_no_record(run: Run, tmp_path: Path, verb: str) -> None:
    refused(run(verb, write_project(tmp_path / "p")), 4, "anew.db")


def test_validate_says_what_is_valid(run: Run, tmp_path: Path) -> None:
    project = write_project(tmp_path / "p")
    assert run("validate", project) == Called(0, f"{project}/anew.yaml: valid (model small)\n", "")
    plain = json.loads(run("validate", project, "--json").out)
    said = {"model": "small", "valid": True, "problems": [], "notes": []}
    assert plain == {"schema": "anew.validate/1", "data": said}


def test_validate_says_what_would_never_be_measured(run: Run, tmp_path: Path) -> None:
    project = write_project(tmp_path / "p", YAML.replace("data: {", "data: {history: gone.csv, "))
    called = run("validate", project)
    assert called.code == 0
    assert "note: the pace of gone.csv is not known: there is no file" in called.out
    assert json.loads(run("validate", project, "--json").out)["data"]["notes"]


def test_validate_says_what_up_would_refuse_in_the_history(run: Run, tmp_path: Path) -> None:
    project = write_project(tmp_path / "p", YAML.replace("data: {", "data: {history: rows.csv, "))
    (project / "rows.csv").write_text("at,y,x\n2026-01-01T00:00:00Z,1,0.5\n", encoding="utf-8")
    refused(run("validate", project), 2, "anew.yaml:8:8: data.history: rows.csv has no column z (it has at, y, x)")


@pytest.mark.fault("P8")
def test_validate_says_everything_that_is_wrong(run: Run, tmp_path: Path) -> None:
    project = write_project(tmp_path / "p", YAML.replace("metric: error", "metric: eror").replace("psi:", "pis:"))
    called = run("validate", project)
    assert (called.code, called.out) == (2, "")
    assert [line.split(": ")[0] for line in called.err.splitlines()] == ["anew.yaml:11:5", "anew.yaml:13:5"]
    found = run("validate", project, "--json")
    assert found.code == 2
    assert json.loads(found.out)["data"]["problems"] == called.err.splitlines()


@pytest.mark.parametrize(
    ("pipeline", "said"),
    [("def features(rows):\n    return rows\n", "train"), ("1 +\n", "pipeline.py"), ("import nowhere\n", "nowhere")],
)
def test_validate_loads_the_pipeline(run: Run, tmp_path: Path, pipeline: str, said: str) -> None:
    refused(run("validate", write_project(tmp_path / "p", pipeline=pipeline)), 2, said)


@pytest.mark.parametrize("verb", ["validate", "up"])
def test_an_address_that_others_reach_is_refused(run: Run, tmp_path: Path, verb: str) -> None:
    project = write_project(tmp_path / "p", YAML + "serving: {host: 0.0.0.0}\n")
    refused(run(verb, project), 2, "anew.yaml:14:11: serving.host: others could reach")
    assert not (project / ".anew").exists()


@pytest.mark.parametrize("verb", ["up", "gateway"])
@pytest.mark.parametrize("port", ["-1", "65536"])
def test_a_port_that_no_machine_has_is_refused(run: Run, tmp_path: Path, verb: str, port: str) -> None:
    refused(run(verb, write_project(tmp_path / "p"), "--port", port), 2, "Invalid value for '--port': Input should be")


def test_up_refuses_what_validate_does(run: Run, tmp_path: Path) -> None:
    project = write_project(tmp_path / "p", YAML.replace("metric: error", "metric: eror"))
    refused(run("up", project), 2, "anew.yaml:11:5")


def test_status_tells_of_a_candidate_that_gave_way(run: Run, tmp_path: Path) -> None:
    project = write_record(tmp_path / "p")
    record(project, RolloutSuperseded(model="small", at=AT, version="v7", by="v6", reason="v6 is on probation already"))
    last = json.loads(run("status", project, "--json").out)["data"]["decisions"][-1]
    assert (last["kind"], "RolloutSuperseded v7 v6 is on" in run("status", project).out) == ("RolloutSuperseded", True)


def test_status_tells_where_everything_stands(run: Run, tmp_path: Path) -> None:
    project = write_record(tmp_path / "p")
    found = json.loads(run("status", project, "--json").out)
    assert found["schema"] == "anew.status/1"
    data = found["data"]
    assert (data["model"], data["holder"], data["challenger"]) == ("small", "", None)
    assert data["champion"]["version"] == "v1"
    assert data["traffic"]["stage"] == "steady"
    measured = {"value": 0.1, "low": 0.05, "high": 0.2, "n": 60, "verdict": "measured", "problem": ""}
    assert data["last_score"]["metrics"]["error"] == measured
    assert data["last_score"]["labels"].keys() == {"coverage", "delay_p50_s", "delay_p90_s", "unmatched"}
    assert (data["pending_effects"], data["quarantined"], data["workers"]) == ([], [], [])
    assert [each["kind"] for each in data["decisions"]] == ["RetrainRequested", "VersionPromoted"]
    text = run("status", project).out
    assert "champion    v1 since 2024-01-01 00:00" in text
    assert "error       0.1 (0.05 to 0.2) on 60 labels" in text


def test_a_loop_that_lives_without_its_lease_is_told_and_not_to_be_started(run: Run, tmp_path: Path) -> None:
    project = write_record(tmp_path / "p")
    assert "loop        not running" in run("status", project).out
    with alone(lock_of(project / ".anew")):
        assert json.loads(run("status", project, "--json").out)["data"]["without_lease"] == os.getpid()
        assert f"loop        process {os.getpid()} has the project and not the lease" in run("status", project).out
        said = run("doctor", project).out
    assert f"process {os.getpid()} runs without the lease" in said
    assert "start it: anew up" not in said


def test_status_tells_which_candidate_waits_at_a_gate_while_a_champion_serves(run: Run, tmp_path: Path) -> None:
    project = write_record(tmp_path / "p")

    def asking() -> Any:
        data = json.loads(run("status", project, "--json").out)["data"]
        assert data["waiting"] is None
        return data["asking"]

    def trained(version: str) -> CandidateTrained:
        return CandidateTrained(
            **common, version=version, champion="v1", digest=f"d{version}", snapshot="", rows=1, compute_s=0.0
        )

    common: dict[str, Any] = {"model": "small", "at": AT + timedelta(days=3)}
    assert asking() is None
    assert "waiting " not in run("status", project).out
    gates = ("leakage", "fairness(error)")
    said = "leakage FAIL: 0.9 better; fairness(error) FAIL: 0.3 apart"
    held = CandidateHeld(**common, version="v2", champion="v1", digest="dv2", gates=gates, reason=said)
    record(project, trained("v2"), held)
    assert asking() == {"version": "v2", "gates": list(gates), "since": held.at.isoformat(), "reason": said}
    how = "anew approve v2 leakage --reason …; anew approve v2 'fairness(error)' --reason …"
    assert f"waiting     v2: {said} ({how})\n" in run("status", project).out
    record(project, Ticked(**common, wall=AT), trained("v3"))
    assert asking() is None, "who came later has its place"


def test_status_does_not_tell_the_numbers_of_one_version_as_those_of_another(run: Run, tmp_path: Path) -> None:
    project = write_record(tmp_path / "p")
    assert json.loads(run("status", project, "--json").out)["data"]["last_score"]["of_champion"] is True
    assert "measured" not in run("status", project).out
    at = AT + timedelta(days=3)
    record(
        project,
        VersionPromoted(model="small", at=at, version="v2", digest="b" * 64, previous="v1", evidence=(), reason="x"),
    )
    assert json.loads(run("status", project, "--json").out)["data"]["last_score"]["of_champion"] is False
    assert "measured    v2 not yet, since it serves; these are the numbers of v1\n" in run("status", project).out
    record(project, RolledBack(model="small", at=at, version="v2", to="v1", evidence=(), reason="x"))
    assert "these are the numbers of v1, from before" in run("status", project).out


def test_status_says_which_retrain_a_freeze_holds(run: Run, tmp_path: Path) -> None:
    project, until = write_record(tmp_path / "p"), AT + timedelta(days=30)
    assert json.loads(run("status", project, "--json").out)["data"]["held"] is None
    record(
        project,
        FreezeBegan(model="small", at=AT, window="December", until=until),
        RetrainRequested(model="small", at=AT, reason="psi", triggers=("psi",), severity=Severity.LOW),
        RetrainHeld(model="small", at=AT, by="policy", reason="freeze December", until=until),
    )
    assert json.loads(run("status", project, "--json").out)["data"]["held"] == {"by": ""}
    assert "held        a retrain waits for the end of the freeze" in run("status", project).out


def scored(day: int, revision: int, *evidence: Evidence) -> WindowScored:
    start = AT + timedelta(days=day)
    window = Interval(start=start, end=start + timedelta(days=1))
    at = AT + timedelta(days=9, hours=revision)
    return WindowScored(
        model="small", at=at, version="v1", window=window, n=80, labelled=60, revision=revision, evidence=evidence
    )


def test_status_tells_the_newest_window_though_an_older_one_was_scored_again(run: Run, tmp_path: Path) -> None:
    project = write_record(tmp_path / "p")
    record(project, scored(4, 0), scored(4, 1), scored(1, 1))
    told = json.loads(run("status", project, "--json").out)["data"]["last_score"]
    assert (told["end"], told["revision"]) == ((AT + timedelta(days=5)).isoformat(), 1)
    assert "up to 2024-01-06 00:00" in run("status", project).out


def test_status_says_how_long_labels_take_as_the_pages_do(run: Run, tmp_path: Path) -> None:
    project = write_record(tmp_path / "p")
    record(project, replace(scored(4, 0), delay_p50_s=0.005))
    assert "half of them within 5 ms\n" in run("status", project).out


def test_status_hides_nothing_that_was_measured_of_one_metric(run: Run, tmp_path: Path) -> None:
    project = write_record(tmp_path / "p")
    objective = Evidence.of("slo(error<=0.3 over 96h)", 0.2, 96, subject="error")
    metric = Evidence.of("performance(error)", None, 48, subject="error", problem="48 labelled rows, 50 are needed")
    record(project, scored(4, 0, objective, metric))
    told = json.loads(run("status", project, "--json").out)["data"]["last_score"]["metrics"]
    assert {name: (each["value"], each["n"]) for name, each in told.items()} == {
        "error": (0.2, 96), "error of performance(error)": (None, 48),
    }  # fmt: skip
    text = run("status", project).out
    assert "error       0.2 on 96 labels" in text
    assert "error of performance(error) inconclusive: 48 labelled rows, 50 are needed" in text


def test_status_says_what_keeps_a_worker_from_answering(run: Run, tmp_path: Path) -> None:
    project = write_record(tmp_path / "p")
    assert "gateway     nobody answers: no worker of it is alive; start it with anew up" in run("status", project).out
    report_worker(project, "v1 is not what was signed")
    assert "gateway     worker 0 answers nobody: v1 is not what was signed" in run("status", project).out
    report_worker(project, "v2 is not what was signed", epoch=3)
    assert "gateway     worker 0: v2 is not what was signed" in run("status", project).out
    report_worker(project, "")
    assert "gateway  " not in run("status", project).out


def test_status_knows_of_no_host_that_is_not_heard_whether_it_answers(run: Run, tmp_path: Path) -> None:
    project = write_record(tmp_path / "p")
    file = project / ".anew" / "workers" / "small-b.0.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text('{"host": "b", "worker": "b.0"}')
    os.utime(file, (1_700_000_000,) * 2)
    said = "nothing was heard of one since 2023-11-14 22:13:20 UTC; it has ended, or it answers on and the bucket"
    assert (
        f"nobody answers here (start it with anew up, or anew gateway); other hosts: {said}"
        in run("status", project).out
    )
    assert f"none is alive here; other hosts: {said}" in run("doctor", project).out
    file.write_text("half of it")
    assert "gateway     nobody answers: no worker of it is alive" in run("status", project).out


def test_explain_tells_why_and_what_became_of_it(run: Run, tmp_path: Path) -> None:
    project = write_record(tmp_path / "p")
    text = run("explain", "v1", "--project", project).out
    assert [text.index(part) for part in ("ann: to begin", "snapshot", "gate slos", "v1 promoted")] == sorted(
        text.index(part) for part in ("ann: to begin", "snapshot", "gate slos", "v1 promoted")
    )
    found = json.loads(run("explain", "v1", "--project", project, "--json").out)
    assert found["schema"] == "anew.explain/1"
    assert found["data"]["facts"][0]["kind"] == "RetrainCommanded"
    assert "artifact not at hand" in found["data"]["made_by"]
    assert "artifact not at hand: no" in text
    refused(run("explain", "v7", "--project", project), 4, "there is no version 'v7'; known are v1")


def test_a_command_without_a_loop_is_kept_for_it(run: Run, tmp_path: Path) -> None:
    project = write_record(tmp_path / "p")
    called = run("retrain", project, "--reason", "I say so")
    assert called.code == 0
    assert "anew up" in called.out
    found = json.loads(run("retrain", project, "--json").out)
    assert found["schema"] == "anew.retrain/1"
    assert (found["data"]["taken"], found["data"]["facts"]) == (False, [])
    database = Database(project / ".anew" / "anew.db")
    try:
        kept = SQLInbox(database, clock=SystemClock()).pending()
    finally:
        database.close()
    assert [type(fact) for fact in kept] == [RetrainCommanded, RetrainCommanded]
    assert isinstance(kept[0], RetrainCommanded)
    assert (kept[0].reason, kept[0].at) == ("I say so", AT + timedelta(days=2))


def stream(folder: Path) -> Path:
    chance = np.random.default_rng(0)
    n = 4000
    x, z, noise = chance.normal(size=(3, n))
    start = datetime(2024, 1, 1)  # noqa: DTZ001  a file without a zone
    at = [start + timedelta(hours=i) for i in range(n)]
    path = folder / "small.parquet"
    pl.DataFrame({"at": at, "y": (x + noise > 0).astype(int), "x": x, "z": z}).write_parquet(path)
    return path


def test_init_replay_and_validate_go_together(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = stream(tmp_path)
    monkeypatch.chdir(tmp_path)
    roles = ("--time", "at", "--target", "y", "--task", "classification")
    made = run("init", "--data", data, *roles, "--json", "fresh")
    assert made.code == 0
    assert json.loads(made.out)["data"]["model"] == "fresh"
    assert run("validate", "fresh").code == 0
    report = json.loads(run("replay", "fresh", "--data", data, "--windows", "20", "--json").out)
    assert report["schema"] == "anew.replay/1"
    assert report["data"]["rows"] == sum(window["n"] for window in report["data"]["windows"])
    text = run("replay", "fresh", "--data", data, "--windows", "20").out
    assert f"loss                 {report['data']['loss']:.4f}" in text
    told = ("fits", "promotions", "rejections", "rollbacks")
    assert ", ".join(f"{each} {report['data'][each]}" for each in told) in text
    assert report["data"]["promotions"] > 0
    assert (report["data"]["labelled"], report["data"]["revisions"]) == (report["data"]["rows"], 0)
    pl.read_parquet(data).with_columns(
        came=pl.col("at") + pl.duration(hours=pl.int_range(pl.len()) % 500)
    ).write_parquet(data)
    late = ("replay", "fresh", "--data", data, "--windows", "20", "--label-time", "came")
    assert "windows scored again" in run(*late).out
    one, other = (json.loads(run(*late, "--json").out)["data"] for _ in range(2))
    assert one | {"timings": 0} == other | {"timings": 0}
    assert one["revisions"] > 0
    refused(run(*late[:-1], "gone"), 2, "has no column gone")
    refused(run("init", "--data", data, *roles, "fresh"), 5, "already")


@pytest.mark.parametrize("inside", ["work/fraud", "work/deeper/fraud", "./fraud", "work/fraud/", "{}/abs/fraud"])
@pytest.mark.parametrize("how", [(), ("--template", "tabular")])
def test_init_takes_a_path_whose_last_part_names_the_model(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: str, how: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = inside.format(tmp_path)
    made = json.loads(run("init", *how, folder, "--json").out)["data"]
    assert (made["model"], Path(made["folder"]).resolve()) == ("fraud", (tmp_path / folder).resolve())
    assert (tmp_path / folder / "anew.yaml").is_file()
    named = run("init", "--template", "tabular", "work/My shop")
    refused(named, 2, "cannot be called 'My shop'; use a small letter")
    assert "such as my-shop" in named.err


def test_init_says_what_to_do_next(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    *_, last = run("init", "My shop").out.splitlines()
    assert last == "next: anew validate 'My shop'"
    assert run(*shlex.split(last.removeprefix("next: anew "))).code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["init", "--time", "at", "x"], 2, "give it with --data FILE"),
        (["init", "--data", "small.parquet", "x"], 2, "--data needs --time, --target, --task too"),
        (["init", "--data", "gone.csv", "--time", "a", "--target", "b", "--task", "regression"], 4, "no file gone.csv"),
        (["replay", "p", "--data", "gone.parquet"], 4, "there is no file gone.parquet"),
        (["replay", "p", "--data", "p"], 4, "there is no file p"),
        (["replay", "p", "--data", "p/anew.yaml"], 2, "files of type .yaml cannot be read"),
        (["replay", "p"], 2, "--data"),
        (["replay", "p", "--data", "small.parquet", "--windows", "1"], 2, "has 2 to 4000 windows"),
        (["replay", "p", "--data", "small.parquet", "--windows", "many"], 2, "--windows"),
        (["replay", "p", "--data", "small.parquet", "--label-delay", "soon"], 2, "'soon' is no duration"),
        (["replay", "p", "--data", "small.parquet", "--label-delay", "-1"], 2, "no duration"),
        (["explain"], 2, "version"),
    ],
)
def test_wrong_input_is_said(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, said: str
) -> None:
    stream(tmp_path)
    write_project(tmp_path / "p")
    monkeypatch.chdir(tmp_path)
    refused(run(*arguments), code, said)


def test_a_file_of_other_columns_is_said(run: Run, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("when,what\n2024-01-01,1\n")
    refused(run("replay", write_project(tmp_path / "p"), "--data", other), 2, "other.csv has no column at, y, x, z")


def test_what_the_system_refuses_is_said_too(run: Run, tmp_path: Path) -> None:
    project = write_project(tmp_path / "p")
    (project / ".anew").write_text("a file in the way")
    refused(run("up", project), 1, ".anew")
