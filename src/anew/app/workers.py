"""Gateway workers as processes of their own: started, watched, started again, drained at the end."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from anew.adapters.process_table import process_started
from anew.domain.errors import UnavailableError
from anew.ports.traffic import WorkerStatus

__all__ = ["GatewayProcesses", "free_port"]

_BACKOFF_S = (0.2, 1.0, 5.0)
_GRACE_S = 10.0


def free_port(host: str) -> int:
    """Return a TCP port of `host` that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


@dataclass(slots=True, kw_only=True)
class _Worker:
    """A process by its id and start time; `process` is None for one that an earlier control plane started."""

    name: str
    pid: int
    started: int | None
    process: subprocess.Popen[bytes] | None = None
    deaths: int = 0
    again_at: float | None = None

    def code(self) -> int | None:
        """Return how it ended, None while it lives; -1 for an end that only its parent knew."""
        if self.process is not None:
            return self.process.poll()
        return None if process_started(self.pid) == self.started else -1

    def signal(self, number: int) -> None:
        if self.code() is None:
            os.kill(self.pid, number)


@dataclass(slots=True, kw_only=True)
class GatewayProcesses:
    """The workers of one project, all on one port.

    Workers outlive a control plane that was killed, and go on serving; the next one takes them over as they are.

    Parameters
    ----------
    log
        Folder of the workers' logs, one file each.
    """

    project: Path
    log: Path
    port: int
    count: int
    _workers: list[_Worker] = field(default_factory=list, init=False)

    def start(self, living: Sequence[WorkerStatus] = (), *, adopt: bool = True) -> None:
        """Start every worker that is not among the `living`; of these, end those that cannot be taken over.

        Without `adopt` that is all of them, as after a change of what they were told.
        """
        self.log.mkdir(parents=True, exist_ok=True)
        names = [str(number) for number in range(self.count)]
        found = {
            each.worker: _Worker(name=each.worker, pid=each.pid, started=each.started)
            for each in living
            if adopt and each.worker in names and each.port == self.port
        }
        _end(
            [
                _Worker(name=each.worker, pid=each.pid, started=each.started)
                for each in living
                if each.worker not in found
            ]
        )
        self._workers = [found.get(name) or self._launch(name) for name in names]

    def keep(self) -> list[str]:
        """Start again those that died, after a wait that grows; return a sentence for each death seen now.

        Raises
        ------
        UnavailableError
            One cannot be started now; the next call tries again.
        """
        seen = []
        for place, worker in enumerate(self._workers):
            code = worker.code()
            if code is None:
                continue
            if worker.again_at is None:
                worker.again_at = time.monotonic() + _BACKOFF_S[min(worker.deaths, len(_BACKOFF_S) - 1)]
                worker.deaths += 1
                seen.append(
                    f"gateway worker {worker.name} ended with code {code}; see {self.log}/gateway-{worker.name}.log"
                )
            elif time.monotonic() >= worker.again_at:
                self._workers[place] = self._launch(worker.name)
                self._workers[place].deaths = worker.deaths
        return seen

    def stop(self) -> None:
        """Let every worker finish what it answers, and end those that do not within the grace."""
        _end(self._workers)

    def _launch(self, name: str) -> _Worker:
        command = [sys.executable, "-m", "anew.app.gateway_worker", "--project", str(self.project)]
        command += ["--worker", name, "--port", str(self.port)]
        threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
        try:
            with (self.log / f"gateway-{name}.log").open("ab") as log:
                process = subprocess.Popen(  # noqa: S603  our own interpreter and module
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**os.environ, **threads},
                    start_new_session=True,
                )
        except OSError as exc:
            raise UnavailableError(f"gateway worker {name} cannot be started: {exc}") from exc
        return _Worker(name=name, pid=process.pid, started=process_started(process.pid), process=process)


def _end(workers: Sequence[_Worker]) -> None:
    for worker in workers:
        worker.signal(signal.SIGTERM)
    deadline = time.monotonic() + _GRACE_S
    while any(worker.code() is None for worker in workers):
        if time.monotonic() > deadline:
            for worker in workers:
                worker.signal(signal.SIGKILL)
        time.sleep(0.02)
