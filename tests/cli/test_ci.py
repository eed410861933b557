"""`anew ci`: what is asked for and not measured has not passed; and the pipelines it prints are pipelines."""

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from anew.app.ci_steps import judge_backtest
from tests.app.small_project import PIPELINE, YAML, write_project
from tests.cli.call import Called, call

Run = Callable[..., Called]
ROOT = Path(__file__).parents[2]
CHECKER = [sys.executable, "-m", "check_jsonschema", "--builtin-schema"]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    return lambda *arguments: call(capsys, monkeypatch, "ci", *arguments)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write rows whose world changes in the middle."""
    n, chance, file = 3_000, np.random.default_rng(0), tmp_path_factory.mktemp("ci") / "rows.parquet"
    x, z = chance.normal(size=(2, n))
    y = (np.where(np.arange(n) < n // 2, x, -x) + 0.2 * z > 0).astype(int)
    at = [datetime(2024, 1, 1) + timedelta(minutes=30 * i) for i in range(n)]  # noqa: DTZ001  as files often are
    pl.DataFrame({"at": at, "x": x, "z": z, "y": y}).write_parquet(file)
    return file


LEARNS = YAML.replace("triggers:\n  - {psi: {above: 0.5}, for: 2 windows}\n", "triggers:\n  - {every: 3d}\n")


def test_a_project_that_learns_passes_and_says_what_it_needs(run: Run, tmp_path: Path, rows: Path) -> None:
    project = write_project(tmp_path / "small", LEARNS + "notify: [env:CHAT_URL]\n")
    done = run(project, "--data", rows, "--json")
    assert done.code == 0, done
    data = json.loads(done.out)["data"]
    assert [(each["step"], each["outcome"]) for each in data["steps"]] == [
        ("validate", "pass"),
        ("backtest", "pass"),
        ("gates", "pass"),
    ]
    figures = data["steps"][1]["figures"]
    assert figures["loss"] < figures["loss_never_retrained"]
    assert data["needs"] == {"secrets": ["env:CHAT_URL"], "files": ["pipeline.py"]}
    assert "outcome       pass" in run(project, "--data", rows, "--only", "validate").out


@pytest.mark.parametrize(
    ("loss", "worse", "outcome"),
    [(0.2, 0.0, "pass"), (0.1, 0.0, "pass"), (0.21, 0.0, "fail"), (0.21, 0.1, "pass"), (float("nan"), 9.0, "fail")],
)
def test_a_policy_that_loses_more_than_never_retraining_is_refused(loss: float, worse: float, outcome: str) -> None:
    data = {"loss": loss, "loss_never_retrained": 0.2, "windows": [1, 2], "fits": 3, "rows": 10}
    data |= {"incidents": 0, "troubles": []}
    assert judge_backtest(data, worse).outcome == outcome


@pytest.mark.parametrize(
    ("spoil", "arguments", "code", "outcome"),
    [
        ("policy", ("--only", "validate"), 2, "invalid"),
        ("pipeline", ("--only", "validate"), 2, "invalid"),
        ("gate", ("--only", "gates"), 3, "refused"),
        ("", ("--only", "backtest"), 3, "refused"),
        ("", ("--only", "gates", "--version", "v7"), 3, "refused"),
        ("nothing", ("--only", "validate"), 0, "pass"),
    ],
)
def test_what_is_wrong_or_cannot_be_measured_has_not_passed(
    run: Run, tmp_path: Path, rows: Path, spoil: str, arguments: tuple[str, ...], code: int, outcome: str
) -> None:
    yaml = YAML + "unknown: 1\n" if spoil == "policy" else YAML
    project = write_project(tmp_path / "small", yaml, "x = (" if spoil == "pipeline" else PIPELINE)
    noise = tmp_path / "noise.parquet"
    pl.read_parquet(rows).with_columns(y=pl.col("y").shuffle(seed=1)).write_parquet(noise)
    data = ("--data", noise) if spoil == "gate" else ()
    done = run(project, *arguments, *data, "--json")
    assert done.code == code, done
    found = json.loads(done.out)["data"]
    assert found["outcome"] == outcome
    assert all(each["said"] for each in found["steps"])


WORSE = PIPELINE.replace(
    "    return model", "    data = data if data.previous is None else replace(data, y=1 - data.y)\n    return model"
).replace("import lightgbm\n", "from dataclasses import replace\n\nimport lightgbm\n")
ANYTHING = (
    LEARNS.replace("at_most: 0.3", "at_most: 0.999")
    + "validate: [slos: {}]\nrollout: {strategy: blue_green, judge: {harm: 0.99}}\n"
)


@pytest.mark.parametrize("pipeline", [PIPELINE, WORSE])
def test_a_policy_whose_retrains_do_harm_is_refused_by_the_backtest(
    run: Run, tmp_path: Path, rows: Path, pipeline: str
) -> None:
    done = run(write_project(tmp_path / "small", ANYTHING, pipeline), "--data", rows, "--json")
    data = json.loads(done.out)["data"]
    outcomes = {each["step"]: each["outcome"] for each in data["steps"]}
    figures = data["steps"][1]["figures"]
    if pipeline == PIPELINE:
        assert (done.code, outcomes["backtest"]) == (0, "pass"), "the control: it gains where retrains learn"
        return
    assert (done.code, data["outcome"]) == (3, "refused"), done
    assert outcomes == {"validate": "pass", "backtest": "fail", "gates": "pass"}
    assert figures["loss"] > figures["loss_never_retrained"]
    assert figures["fits"] > 1


ENDS = {
    "exits": ("raise SystemExit(0)", "SystemExit"),
    "is over": ("import os; os._exit(0)", "ended with exit code 0"),
}


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("where", ["train", "import"])
def test_code_that_ends_its_process_has_passed_nothing(
    run: Run, tmp_path: Path, rows: Path, how: str, where: str
) -> None:
    line, said = ENDS[how]
    spoilt = PIPELINE.replace("    settings", f"    {line}\n    settings", 1)
    project = write_project(tmp_path / "small", LEARNS, spoilt if where == "train" else f"{line}\n{PIPELINE}")
    done = run(project, "--data", rows, "--windows", "20", "--only", "backtest,gates", "--json")
    data = json.loads(done.out)["data"]
    if where == "import":
        assert (done.code, data["outcome"]) == (2, "invalid"), done
    else:
        assert (done.code, data["outcome"]) == (3, "refused"), done
        assert [(each["step"], each["outcome"]) for each in data["steps"]] == [
            ("backtest", "unmeasured"),
            ("gates", "unmeasured"),
        ]
    assert all(said in each["said"][0] for each in data["steps"])


@pytest.mark.parametrize("only", ["", "backtests"])
def test_a_step_that_is_none_is_said(run: Run, tmp_path: Path, only: str) -> None:
    assert run(write_project(tmp_path / "small"), "--only", only).code == 2


@pytest.mark.parametrize(("kind", "schema"), [("github", "vendor.github-workflows"), ("gitlab", "vendor.gitlab-ci")])
def test_what_is_printed_is_the_example_and_fits_the_published_schema(
    run: Run, tmp_path: Path, kind: str, schema: str
) -> None:
    example = ROOT / "examples" / "ci" / f"{kind}.yml"
    assert run("--print", kind).out == example.read_text("utf-8")
    assert json.loads(run("--print", kind, "--json").out)["data"]["pipeline"] == example.read_text("utf-8")
    assert "anew ci" in example.read_text("utf-8")
    done = subprocess.run([*CHECKER, schema, str(example)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    spoiled = tmp_path / "spoiled.yml"
    text = example.read_text("utf-8")
    bad = text.replace("runs-on: ubuntu-latest", "runs: here").replace("image: python:3.12-slim", "image: [3]")
    spoiled.write_text(bad)
    done = subprocess.run([*CHECKER, schema, str(spoiled)], capture_output=True, text=True, check=False)
    assert done.returncode != 0, "the control: a pipeline that is none"


def linted(workflow: Path) -> tuple[int, str]:
    """Have the linter of GitHub Actions look at a workflow, as strictly as it can offline; return its code and talk."""
    program = Path(sys.executable).with_name("zizmor")
    assert program.exists(), "the linter comes with the lock of the tests: make setup"
    words = [str(program), "--offline", "--pedantic", "--min-severity=low", "--format=plain", str(workflow)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("", "", ""),
        ("checkout@3d3c42e5aac5ba805825da76410c181273ba90b1", "checkout@v4", "unpinned-uses"),
        ("permissions:\n  contents: read", "permissions: write-all", "excessive-permissions"),
        ("  pull_request:\n", "  pull_request_target:\n", "dangerous-triggers"),
        ("pip install anew", "pip install ${{ github.head_ref }}", "template-injection"),
    ],
)
def test_the_workflow_has_no_hole_that_a_linter_knows_and_planted_ones_are_found(
    tmp_path: Path, old: str, new: str, rule: str
) -> None:
    text = (ROOT / "examples" / "ci" / "github.yml").read_text("utf-8")
    assert old in text
    workflow = tmp_path / ".github" / "workflows" / "anew.yml"
    workflow.parent.mkdir(parents=True)
    workflow.write_text(text.replace(old, new) if old else text)
    code, said = linted(workflow)
    assert (code == 0, rule in said) == (not rule, True), said
