"""Pieces of work in processes of this machine."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from anew.adapters.local_workers import LocalWorkers
from anew.domain.errors import UnavailableError
from anew.testing.contract_workers import WorkersContract


@pytest.mark.system
class TestLocalWorkers(WorkersContract):
    """The contract."""

    @pytest.fixture
    def workers(self) -> LocalWorkers:
        """Return two."""
        return LocalWorkers(2)


def test_one_process_is_this_one() -> None:
    found = list(LocalWorkers(1).each(int, "7", lambda state, task: state * task, [1, 2]))
    assert found == [(0, 7), (1, 14)]


def _ends(_: object, how: int | None) -> Any:
    if how is None:
        raise SystemExit(0)
    if how < 0:
        os.kill(os.getpid(), -how)
        time.sleep(60)
    os._exit(how)


@pytest.mark.system
@pytest.mark.parametrize(
    ("how", "said", "advice"),
    [
        (None, "SystemExit: 0", "code that worked"),
        (0, "ended with exit code 0", "os._exit"),
        (1, "ended with exit code 1", "see the traceback above"),
        (-signal.SIGSEGV, "ended by SIGSEGV", ""),
        (-signal.SIGTERM, "ended by SIGTERM", ""),
        (-signal.SIGRTMIN - 1, f"ended by signal {signal.SIGRTMIN + 1}", ""),
        (-signal.SIGKILL, "ended by SIGKILL", "memory"),
    ],
)
def test_a_task_that_ends_its_process_is_an_error_with_its_cause(how: int | None, said: str, advice: str) -> None:
    with pytest.raises(UnavailableError, match=said) as caught:
        list(LocalWorkers(1, apart=True).each(str, 1, _ends, [how]))
    assert advice in str(caught.value)
    assert ("memory" in str(caught.value)) == (how == -signal.SIGKILL)


def _environment(_: object, name: str) -> str | None:
    return os.environ.get(name)


@pytest.mark.system
@pytest.mark.parametrize(("processes", "threads"), [(1, None), (2, "1")])
def test_only_processes_that_share_the_cores_are_held_to_one_thread(
    monkeypatch: pytest.MonkeyPatch, processes: int, threads: str | None
) -> None:
    names = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS", "PYTHONSAFEPATH"]
    for name in names:
        monkeypatch.delenv(name, raising=False)
    found = dict(LocalWorkers(processes, apart=True).each(str, 1, _environment, names))
    assert [found[number] for number in range(4)] == [threads, threads, threads, None]
    assert not set(names) & set(os.environ)


HERE = """
from anew.adapters.local_workers import LocalWorkers
if __name__ == "__main__":
    print(sorted(LocalWorkers(2).each(int, 6, max, [5, 7])))
"""
ON_RAY = """
from anew.adapters.ray_workers import RayWorkers
from anew.domain.errors import MissingExtraError
if __name__ == "__main__":
    try:
        list(RayWorkers("127.0.0.1:9").each(int, 6, max, [5, 7]))
    except MissingExtraError:  # so far it came
        print("no Ray here")
"""


@pytest.mark.system
@pytest.mark.parametrize(
    ("text", "said"), [(HERE, "[(0, 6), (1, 7)]\n"), (ON_RAY, "no Ray here\n")], ids=["here", "on Ray"]
)
def test_a_file_that_has_the_name_of_a_module_is_not_run(tmp_path: Path, text: str, said: str) -> None:
    program = tmp_path / "programs" / "program.py"
    program.parent.mkdir()
    program.write_text(text, "utf-8")
    for name in ("socket", "signal", "threading", "pickle"):
        (tmp_path / f"{name}.py").write_text(
            f"open('ran_{name}', 'w')\nraise ImportError('not the real one')\n", "utf-8"
        )
    done = subprocess.run(
        [sys.executable, str(program)], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, sorted(tmp_path.glob("ran_*"))) == (0, []), done.stderr
    assert done.stdout == said
