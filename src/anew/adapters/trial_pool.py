"""Processes that fit and score the trials of a search side by side."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from anew.ports.search import Attempt

__all__ = ["TrialPool"]


class TrialPool:
    """Scores attempts, each in a process of its own that lives as long as the pool; see `anew.ports.search.Scores`.

    The processes belong to the group of ours and die with us. One that dies costs the attempt that it was at, and is
    started again for the next.

    Parameters
    ----------
    module
        Run as ``-m module ORDER PID``, PID being ours: it reads attempts as lines of JSON and answers each with a line.
    order
        File that says what is trained on.
    """

    def __init__(self, module: str, order: Path) -> None:
        self._command = [sys.executable, "-P", "-m", module, str(order), str(os.getpid())]
        self._workers: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        """Use the pool; processes start when there is something to do."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, at: TracebackType | None
    ) -> None:
        """End every process."""
        for worker in self._workers:
            worker.kill()
            worker.communicate()

    def scores(self, attempts: Sequence[Attempt]) -> Sequence[float | str]:
        """Score all of `attempts` at once."""
        while len(self._workers) < len(attempts):
            self._workers.append(self._started())
        for k, attempt in enumerate(attempts):
            if self._workers[k].poll() is not None:
                self._workers[k].communicate()
                self._workers[k] = self._started()
            _say(self._workers[k], json.dumps(asdict(attempt)))
        return [_answer(worker) for worker in self._workers[: len(attempts)]]

    def _started(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603 - ours


def _say(worker: "subprocess.Popen[bytes]", line: str) -> None:
    assert worker.stdin is not None, "it was started with a pipe"  # noqa: S101  an invariant of ours
    try:
        worker.stdin.write(line.encode() + b"\n")
        worker.stdin.flush()
    except BrokenPipeError:
        return  # it is dead, and its answer will be that


def _answer(worker: "subprocess.Popen[bytes]") -> float | str:
    assert worker.stdout is not None, "it was started with a pipe"  # noqa: S101  an invariant of ours
    line = worker.stdout.readline()
    if not line:
        return f"its process ended with exit code {worker.wait()}"
    found: float | str = json.loads(line)
    return found
