"""What ends a command is heard, and is no success."""

import subprocess
import sys

import pytest

from anew.cli._ending import heard
from anew.domain.errors import AnewError

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
