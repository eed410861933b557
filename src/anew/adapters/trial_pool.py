"""Processes that fit and score the trials of a search side by side."""

import json
import os
import select
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from anew.adapters.job_record import JobRecord
from anew.adapters.job_supervisor import job_environment
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
    record
        Records of the job whose limits and confinement the processes take on themselves, where the pool has none; each
        then has the wall limit of the job for each attempt. None: they are as confined as we are.
    """

    def __init__(self, module: str, order: Path, *, record: JobRecord | None = None) -> None:
        self._command = [sys.executable, "-P", "-m", module, str(order), str(os.getpid())]
        self._record = record
        self._limit_s: float | None = None
        if record is not None:
            self._command.append(str(record.folder))
            self._limit_s = record.job().limits.wall_s
        self._workers: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        """Use the pool; processes start when there is something to do."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, at: TracebackType | None
    ) -> None:
        """End every process."""
        self.close()

    def close(self) -> None:
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
        return [_answer(worker, self._limit_s) for worker in self._workers[: len(attempts)]]

    def _started(self) -> "subprocess.Popen[bytes]":
        environment = None
        if self._record is not None:
            temporary = self._record.folder / "tmp"
            temporary.mkdir(exist_ok=True, mode=0o700)
            environment = job_environment(temporary)
        return subprocess.Popen(  # noqa: S603 - our own interpreter on our own module
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )


def _say(worker: "subprocess.Popen[bytes]", line: str) -> None:
    assert worker.stdin is not None, "it was started with a pipe"  # noqa: S101  an invariant of ours
    try:
        worker.stdin.write(line.encode() + b"\n")
        worker.stdin.flush()
    except BrokenPipeError:
        return  # it is dead, and its answer will be that


def _answer(worker: "subprocess.Popen[bytes]", limit_s: float | None) -> float | str:
    assert worker.stdout is not None, "it was started with a pipe"  # noqa: S101  an invariant of ours
    if limit_s is not None and not select.select([worker.stdout], [], [], limit_s)[0]:
        worker.kill()
        worker.wait()
        return f"it ran longer than its limit of {limit_s:g} s"
    line = worker.stdout.readline()
    if not line:
        return f"its process ended with exit code {worker.wait()}"
    found: float | str = json.loads(line)
    return found
