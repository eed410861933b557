"""Effects under kill -9: each ends exactly once, and what reading before writing is for."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

PROGRAM = Path(__file__).with_name("eventlog_programs.py")
Run = Callable[..., tuple[int, list[str]]]
STEPS = ("submit", "collect", "publish")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("asked", "ended", "lines"):
        (tmp_path / name).mkdir()
    (tmp_path / "asked" / "f1").touch()
    return tmp_path


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    """Run the program that forks a process for each run, so that DBOS is imported once."""
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM), "launcher", str(tmp_path_factory.mktemp("launcher"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    yield process
    process.kill()
    process.communicate(timeout=30)


@pytest.fixture
def run(launcher: subprocess.Popen[str], folder: Path) -> Run:
    """Return what runs the effects until they have ended or the process is killed: its code, and what it said."""

    def once(how: str, kill: str = "") -> tuple[int, list[str]]:
        assert launcher.stdin is not None
        assert launcher.stdout is not None
        launcher.stdin.write(f"{folder}\t{how}\t{kill}\n")
        launcher.stdin.flush()
        said: list[str] = []
        while not (text := launcher.stdout.readline()).startswith("code"):
            assert text, "the launcher ended"
            said.append(text.strip())
        return int(text.split()[1]), said

    return once


def written(folder: Path) -> dict[str, int]:
    """Return how many lines each step wrote."""
    return {path.name: len(path.read_text().splitlines()) for path in (folder / "lines").iterdir()}


BOUNDARIES = ["effect.begun:1", "effect.ended:1"] + [
    f"effect.{where}:{nth}" for nth in (1, 2, 3) for where in ("before_step", "before_checkpoint", "after_checkpoint")
]


@pytest.mark.fault("K1")
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_killed_at_a_step_s_boundary_the_effect_ends_once(run: Run, folder: Path, boundary: str) -> None:
    code, _ = run("careful", kill=boundary)
    assert code == -signal.SIGKILL
    code, said = run("careful")
    assert code == 0
    assert "finished" in said
    assert (folder / "ended" / "f1").exists()
    assert written(folder) == {f"f1.{step}": 1 for step in STEPS}


@pytest.mark.fault("K1")
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_control_without_reading_before_writing_the_step_that_was_killed_is_done_twice(
    run: Run, folder: Path, nth: int
) -> None:
    code, _ = run("careless", kill=f"effect.before_checkpoint:{nth}")
    assert code == -signal.SIGKILL
    assert run("careless")[0] == 0
    # Only that one: the steps before it have their checkpoints, those after it had not begun.
    assert written(folder) == {f"f1.{step}": 1 + (number == nth) for number, step in enumerate(STEPS, 1)}


@pytest.mark.fault("K1")
def test_killed_and_its_database_lost_the_effect_still_ends_once(run: Run, folder: Path) -> None:
    assert run("careful", kill="effect.before_checkpoint:2")[0] == -signal.SIGKILL
    for file in folder.glob("dbos.db*"):
        file.unlink()
    assert run("careful")[0] == 0
    assert written(folder) == {f"f1.{step}": 1 for step in STEPS}


@pytest.mark.fault("K3")
def test_an_effect_that_kills_its_process_is_given_up_in_the_end(run: Run, folder: Path) -> None:
    tries = 0
    code, said = run("deadly")
    while code == -signal.SIGKILL and tries < 10:
        tries += 1
        code, said = run("deadly")
    assert code == 0
    assert "exhausted f1" in said
    assert len(written(folder)) == tries
    assert 1 < tries < 10
