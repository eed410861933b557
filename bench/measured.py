"""Whole processes, one at a time, measured by the operating system; and environments for other people's programs."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["FailedError", "Run", "environment", "run", "tell", "typical"]

ENVIRONMENTS = Path(__file__).parents[1] / "build" / "bench-envs"


class FailedError(Exception):
    """A program that ended badly or cannot be installed."""


@dataclass(frozen=True)
class Run:
    """What one process took, and what it said on stdout."""

    cpu_s: float
    wall_s: float
    peak_mb: float
    said: str

    @property
    def answer(self) -> dict:
        """Its last line, as JSON."""
        return json.loads(self.said.strip().splitlines()[-1])


def run(command: Sequence[str | Path], settings: Mapping[str, str] | None = None) -> Run:
    """Run a program to its end; seconds of CPU are those of its user and system time, all threads.

    Raises
    ------
    FailedError
        It did not exit 0.
    """
    words = [str(word) for word in command]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as talk:
        said_to = [(os.POSIX_SPAWN_DUP2, out.fileno(), 1), (os.POSIX_SPAWN_DUP2, talk.fileno(), 2)]
        started = time.perf_counter()
        child = os.posix_spawn(words[0], words, {**os.environ, **(settings or {})}, file_actions=said_to)
        _, status, used = os.wait4(child, 0)
        wall = time.perf_counter() - started
        out.seek(0)
        talk.seek(0)
        if status:
            lines = talk.read().decode(errors="replace").strip().splitlines() or ["(it said nothing)"]
            raise FailedError(f"{Path(words[1]).name} ended with {os.waitstatus_to_exitcode(status)}: {lines[-1]}")
        peak = used.ru_maxrss / (1024 if sys.platform != "darwin" else 1024 * 1024)
        return Run(used.ru_utime + used.ru_stime, wall, peak, out.read().decode())


def typical(measure: Callable[[], Run], times: int) -> Run:
    """Return the run of median CPU time."""
    return sorted((measure() for _ in range(times)), key=lambda each: each.cpu_s)[times // 2]


def environment(name: str, pins: Path) -> Path:
    """Return the interpreter of an environment of its own, made anew whenever its pins change.

    Raises
    ------
    FailedError
        What is pinned cannot be installed here.
    """
    folder = ENVIRONMENTS / name
    python, stamp = folder / "bin" / "python", folder / "installed.txt"
    if stamp.is_file() and stamp.read_text() == pins.read_text():
        return python
    tell(f"installing {name} into build/{ENVIRONMENTS.name}/{name}")
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    asked = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", pins]
    done = subprocess.run(asked, check=False, capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        why = next((line for line in lines if line.startswith("ERROR")), lines[-1] if lines else "pip said nothing")
        raise FailedError(f"{name} cannot be installed here: {why}")
    stamp.write_text(pins.read_text())
    return python


def tell(what: str) -> None:
    """Say on stderr what is going on."""
    print(f"… {what}", file=sys.stderr, flush=True)
