"""A copy of the example with its feature repository, in a folder of its own, and its feature server."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from anew.app.workers import free_port

__all__ = ["FEAST", "FeastBed", "feast_bed"]

ROOT = Path(__file__).parents[2]
FEAST = ROOT / "build" / "feast" / "bin"
PATIENCE_S = 240.0


@dataclass
class FeastBed:
    """The example, its store filled, and the server that reads it."""

    root: Path
    port: int
    programs: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def server(self) -> str:
        """Address of the feature server."""
        return f"http://127.0.0.1:{self.port}"

    def serve(self) -> None:
        """Start the feature server and wait until it answers."""
        command = [str(FEAST / "feast"), "serve", "--port", str(self.port), "--no-access-log"]
        with (self.root / "feast.log").open("ab") as log:
            program = subprocess.Popen(
                command, cwd=self.root / "feature_repo", env=quiet(), stdout=log, stderr=log, start_new_session=True
            )
        self.programs.append(program)
        wait_for(f"{self.server}/health", self.root / "feast.log")

    def stop(self) -> None:
        """End the feature server with its workers."""
        for program in self.programs:
            os.killpg(program.pid, signal.SIGKILL)
            program.wait()
        self.programs.clear()


def quiet() -> dict[str, str]:
    """Return the environment in which Feast tells nobody that it is used."""
    return {**os.environ, "FEAST_USAGE": "False", "PYTHONWARNINGS": "ignore"}


def wait_for(address: str, log: Path) -> None:
    """Wait until something answers there."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            if httpx.get(address, timeout=1.0).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"nothing answers at {address}:\n{log.read_text()[-2000:]}")


@contextmanager
def feast_bed(folder: Path) -> Iterator[FeastBed]:
    """Copy the example, make its data, and fill its store; the server is not started."""
    root = folder / "project"
    shutil.copytree(ROOT / "examples" / "feast", root, ignore=shutil.ignore_patterns("build", "events.parquet"))
    subprocess.run([sys.executable, root / "data.py"], check=True)
    for words in (["apply"], ["materialize", "2026-01-01T00:00:00", "2026-03-02T00:00:00"]):
        made = subprocess.run(
            [FEAST / "feast", *words], cwd=root / "feature_repo", env=quiet(), capture_output=True, check=False
        )
        assert made.returncode == 0, made.stderr.decode()[-2000:]
    bed = FeastBed(root, free_port("127.0.0.1"))
    settings = (root / "anew.yaml").read_text("utf-8")
    (root / "anew.yaml").write_text(settings.replace("http://127.0.0.1:6566", bed.server), "utf-8")
    try:
        yield bed
    finally:
        bed.stop()
