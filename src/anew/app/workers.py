"""Gateway workers as child processes: started, watched, started again, drained at the end."""

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from anew.domain.errors import UnavailableError

__all__ = ["GatewayProcesses", "free_port"]

_BACKOFF_S = (0.2, 1.0, 5.0)
_GRACE_S = 10.0


def free_port(host: str) -> int:
    """Return a TCP port of `host` that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


@dataclass(slots=True)
class _Worker:
    name: str
    process: subprocess.Popen[bytes]
    deaths: int = 0
    again_at: float | None = None


@dataclass(slots=True, kw_only=True)
class GatewayProcesses:
    """The workers of one project, all on one port.

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

    def start(self) -> None:
        """Start every worker."""
        self.log.mkdir(parents=True, exist_ok=True)
        self._workers = [_Worker(str(i), self._launch(str(i))) for i in range(self.count)]

    def keep(self) -> list[str]:
        """Start again those that died, after a wait that grows; return a sentence for each death seen now."""
        seen = []
        for worker in self._workers:
            code = worker.process.poll()
            if code is None:
                continue
            if worker.again_at is None:
                worker.again_at = time.monotonic() + _BACKOFF_S[min(worker.deaths, len(_BACKOFF_S) - 1)]
                worker.deaths += 1
                seen.append(
                    f"gateway worker {worker.name} ended with code {code}; see {self.log}/gateway-{worker.name}.log"
                )
            elif time.monotonic() >= worker.again_at:
                worker.process, worker.again_at = self._launch(worker.name), None
        return seen

    def stop(self) -> None:
        """Let every worker finish what it answers, and end those that do not within the grace."""
        for worker in self._workers:
            if worker.process.poll() is None:
                worker.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _GRACE_S
        for worker in self._workers:
            try:
                worker.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()

    def _launch(self, name: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "anew.app.gateway_worker", "--project", str(self.project)]
        command += ["--worker", name, "--port", str(self.port)]
        threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
        try:
            with (self.log / f"gateway-{name}.log").open("ab") as log:
                return subprocess.Popen(  # noqa: S603  our own interpreter and module
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**os.environ, **threads},
                    start_new_session=True,
                )
        except OSError as exc:
            raise UnavailableError(f"gateway worker {name} cannot be started: {exc}") from exc
