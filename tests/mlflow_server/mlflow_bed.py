"""An MLflow server of its own on SQLite, which can be frozen."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from anew.app.workers import free_port

__all__ = ["MLFLOW", "MLflowBed", "mlflow_bed"]

MLFLOW = Path(__file__).parents[2] / "build" / "mlflow" / "bin" / "mlflow"
PATIENCE_S = 300.0


@dataclass
class MLflowBed:
    """A server in a folder."""

    folder: Path
    port: int = field(default_factory=lambda: free_port("127.0.0.1"))
    _server: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [
            str(MLFLOW), "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1",
            "--backend-store-uri", f"sqlite:///{self.folder / 'server.db'}",
            "--artifacts-destination", (self.folder / "artifacts").as_uri(),
        ]  # fmt: skip
        env = {
            **os.environ,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }
        with (self.folder / "server.log").open("ab") as log:
            self._server = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, cwd=self.folder, env=env
            )
        deadline = time.monotonic() + PATIENCE_S
        while not self._answers():
            log_text = (self.folder / "server.log").read_text(errors="replace")[-2000:]
            assert self._server.poll() is None, log_text
            assert time.monotonic() < deadline, log_text
            time.sleep(0.1)

    def signal(self, number: signal.Signals) -> None:
        """Send all its processes a signal."""
        if self._server is not None:
            os.killpg(self._server.pid, number)

    def stop(self) -> None:
        """End it."""
        if self._server is not None:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGKILL)
            self._server.wait()
            self._server = None

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", timeout=2.0).is_success
        except httpx.HTTPError:
            return False


@contextmanager
def mlflow_bed(folder: Path) -> Iterator[MLflowBed]:
    """Start a server, and end it."""
    folder.mkdir(parents=True)
    bed = MLflowBed(folder)
    try:
        bed.start()
        yield bed
    finally:
        bed.stop()
