"""Boundaries are found in the source, cost nothing unasked, and kill when asked."""

import subprocess
import sys
from pathlib import Path

import pytest

from anew.adapters.killpoint import CHAOS, VARIABLE, install
from anew.domain.boundary import hook, reach
from anew.domain.errors import SettingsError
from anew.testing.killpoint import boundaries


def test_every_boundary_of_the_source_is_listed() -> None:
    found = boundaries()
    assert {"eventlog.before_write", "eventlog.before_commit", "effect.before_checkpoint"} <= set(found)
    assert list(found) == sorted(set(found))


def test_a_boundary_that_is_no_literal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("reach('a.b')\nreach(name)\n")
    with pytest.raises(ValueError, match=r"a\.py:2"):
        boundaries(tmp_path)


def test_a_hook_hears_of_boundaries_until_it_is_taken_away() -> None:
    heard: list[str] = []
    hook(heard.append)
    try:
        reach("a.b")
    finally:
        hook(None)
    reach("c.d")
    assert heard == ["a.b"]


@pytest.mark.parametrize("asked", ["a.b", "a.b:0", "a.b:x", "ab:1", ":1", "a.b:1;c.d:1", "A.B:1"])
def test_an_order_that_cannot_be_read_is_refused(asked: str) -> None:
    with pytest.raises(SettingsError, match="write name:nth"):
        install({VARIABLE: asked})


def test_without_an_order_nothing_is_installed() -> None:
    assert install({}) is False
    assert install({VARIABLE: ""}) is False


def test_it_kills_at_the_nth_time_and_not_before() -> None:
    code = (
        "from anew.adapters.killpoint import install; from anew.domain.boundary import reach\n"
        "assert install()\n"
        "for i in range(5): reach('other.one'); reach('test.one'); print(i, flush=True)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={VARIABLE: "test.one:3"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert found.returncode == -9
    assert found.stdout.split() == ["0", "1"]


def _under_chaos(seed: str) -> tuple[int, str]:
    """Return how a program ends that reaches many boundaries, and which was its last."""
    code = (
        "from anew.adapters import killpoint; from anew.domain.boundary import reach\n"
        "killpoint._LONGEST_S = 0; assert killpoint.install()\n"
        "for i in range(5000): print(i, flush=True); reach('test.one')"
    )
    program = [sys.executable, "-c", code]
    found = subprocess.run(program, env={CHAOS: seed}, capture_output=True, text=True, timeout=60, check=False)
    return found.returncode, found.stdout.split()[-1]


def test_chaos_kills_each_process_elsewhere_and_each_seed_with_its_pid_at_the_same_place() -> None:
    once, again, other = (_under_chaos(seed) for seed in ("7/1", "7/1", "7/2"))
    assert once == again
    assert once[0] == other[0] == -9
    assert once[1] != other[1]
    assert _under_chaos("7")[0] == -9, "the pid is its own"


@pytest.mark.parametrize("asked", ["yes", "-1", "1/", "7/1/2", "0.5"])
def test_chaos_without_a_seed_is_refused(asked: str) -> None:
    with pytest.raises(SettingsError, match="write a number"):
        install({CHAOS: asked})
