"""What ends a command is heard, and is no success."""

import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from anew.cli import model
from anew.cli._ending import heard
from anew.domain.errors import AnewError
from tests.app.small_project import PIPELINE, YAML, write_project
from tests.cli.call import call

ENDING = """
import os
from anew.cli._ending import heard
def run():
    {what}
heard(run)()
print("done")
"""


def _run(what: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", ENDING.format(what=what)], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize(("code", "ends"), [(0, 1), (5, 5)])
def test_code_that_ends_the_process_says_so_and_never_succeeds(code: int, ends: int) -> None:
    done = _run(f"os._exit({code})")
    assert (done.returncode, done.stdout) == (ends, "")
    assert f"os._exit({code})" in done.stderr


def test_a_process_that_the_code_forked_ends_as_it_means_to() -> None:
    done = _run("pid = os.fork(); os._exit(0) if not pid else print(os.waitpid(pid, 0)[1])")
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["0", "done"], "")


def test_what_wants_to_exit_from_inside_is_an_error_with_its_place() -> None:
    def run() -> None:
        raise SystemExit(0)

    with pytest.raises(AnewError, match=r"SystemExit: 0 at .*test_ending\.py"):
        heard(run)()


def test_what_a_person_interrupts_is_interrupted() -> None:
    def run() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        heard(run)()


def test_a_command_ends_itself_as_it_likes(monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> None:
        raise SystemExit(3)

    monkeypatch.setitem(run.__globals__, "__name__", "anew.cli.some")
    with pytest.raises(SystemExit) as ended:
        heard(run)()
    assert ended.value.code == 3


EXITS = """
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Exits:
    needs_champion: ClassVar[bool] = False
    key = measure = judge = None

    def __post_init__(self):
        raise SystemExit(0)
"""


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Write rows that a replay can begin with."""
    file, n = tmp_path / "rows.parquet", 400
    at = [datetime(2024, 1, 1) + timedelta(hours=i) for i in range(n)]  # noqa: DTZ001  as files often are
    x = [float(i % 2) for i in range(n)]
    pl.DataFrame({"at": at, "x": x, "z": x, "y": [i % 2 for i in range(n)]}).write_parquet(file)
    return file


@pytest.mark.parametrize("verb", ["replay", "backtest"])
def test_no_command_passes_where_code_of_the_project_exits(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, rows: Path, verb: str
) -> None:
    (tmp_path / "ending_gate.py").write_text(EXITS, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    project = write_project(tmp_path / "p", YAML + 'validate:\n  - "ending_gate:Exits": {}\n')
    done = call(capsys, monkeypatch, verb, project, "--data", rows, "--json")
    assert (done.code, done.out) == (1, "")
    assert "SystemExit: 0 at " in done.err
    assert "ending_gate.py:12" in done.err


@pytest.mark.system
def test_no_command_passes_where_code_of_the_project_ends_the_process(tmp_path: Path, rows: Path) -> None:
    project = write_project(
        tmp_path / "p", pipeline=PIPELINE.replace("    settings", "    os._exit(0)\n    settings", 1)
    )
    (project / "pipeline.py").write_text("import os\n" + (project / "pipeline.py").read_text("utf-8"), "utf-8")
    words = [sys.executable, "-m", "anew.cli", "replay", str(project), "--data", str(rows), "--windows", "10", "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (1, "")
    assert "ended the command (os._exit(0))" in done.stderr


def _exits() -> None:
    raise SystemExit(0)


def test_no_command_of_a_group_passes_either(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(model.COMMANDS, "list", _exits)  # as if code of a project were in it
    done = call(capsys, monkeypatch, "model", "list")
    assert (done.code, "SystemExit: 0 at " in done.err) == (1, True)
