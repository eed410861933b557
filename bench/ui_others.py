"""Starts the pages of other people's programs, each in an environment of its own, with something to show."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from measured import FailedError, environment, run, tell

__all__ = ["OTHERS", "others"]

_HERE = Path(__file__).parent
_PATIENCE_S = 240.0

OTHERS: Mapping[str, Path] = {
    "MLflow": _HERE / "serve_peers" / "mlflow.txt",
    "Evidently": _HERE / "drift_peers" / "evidently.txt",
    "Prefect": _HERE / "ui_peers" / "prefect.txt",
}
"""What is pinned for each."""


@contextmanager
def others(name: str, folder: Path, port: int) -> Iterator[Mapping[str, str]]:
    """Serve a program's pages, and yield the address of each by what it shows.

    Raises
    ------
    FailedError
        It cannot be installed here, or does not come up.
    """
    python = environment(name.lower(), OTHERS[name])
    at, more = f"http://127.0.0.1:{port}", dict[str, str]()
    match name:
        case "MLflow":
            store = f"sqlite:///{folder}/mlflow.db"
            run([python, _HERE / "ui_peers" / "mlflow_data.py", store])
            words = ["-m", "mlflow", "server", "--backend-store-uri", store, "--port", str(port), "--workers", "1"]
            pages = {"home": at, "model": f"{at}/#/models/bikes"}
        case "Evidently":
            kept = folder / "evidently"
            project = run([python, _HERE / "ui_peers" / "evidently_data.py", kept]).said.split()[-1]
            words = ["-m", "evidently.cli", "ui", "--workspace", str(kept), "--port", str(port)]
            pages = {"home": at, "reports": f"{at}/projects/{project}/reports"}
        case _:
            more = {"PREFECT_HOME": str(folder / "prefect"), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
            words = ["-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
            pages = {"home": f"{at}/dashboard"}
    tell(f"starting {name}")
    with (folder / f"{name}.log").open("wb") as log:
        server = subprocess.Popen(
            [python, *words], stdout=log, stderr=log, env={**os.environ, **more}, start_new_session=True, cwd=folder
        )
    try:
        _await(server, at, folder / f"{name}.log")
        yield pages
    finally:
        os.killpg(server.pid, 15)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, 9)
            server.wait()


def _await(server: "subprocess.Popen[bytes]", at: str, log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        try:
            with urlopen(at, timeout=5):  # noqa: S310  loopback
                return
        except (URLError, OSError):
            time.sleep(0.2)
    lines = log.read_text("utf-8", "replace").strip().splitlines() or ["it said nothing"]
    raise FailedError(f"{sys.executable and at} did not come up: {lines[-1]}")
