"""A Label Studio server of its own on SQLite, with somebody who answers there."""

import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from anew.app.workers import free_port

__all__ = ["STUDIO", "StudioBed", "studio_bed"]

STUDIO = Path(__file__).parents[2] / "build" / "labelstudio" / "bin" / "label-studio"
PATIENCE_S = 300.0


@dataclass
class StudioBed:
    """The server's address, a token of the older kind and a personal one, and the client of a person."""

    url: str
    old_token: str
    log: Path
    client: httpx.Client = field(init=False)
    token: str = ""

    def __post_init__(self) -> None:
        headers = {"authorization": f"Token {self.old_token}"}
        self.client = httpx.Client(base_url=self.url, headers=headers, timeout=60.0)

    def ask(self, method: str, path: str, body: Any = None, **query: str) -> Any:
        """Ask the server as a person would."""
        reply = self.client.request(method, path, json=body, params=query)
        assert reply.is_success, (method, path, reply.status_code, reply.text[:500])
        return reply.json() if reply.content else None

    def project(self, model: str) -> int:
        """Return the number of the project that anew made for a model."""
        (found,) = self.ask("GET", "/api/projects/", title=f"anew {model}")["results"]
        return int(found["id"])

    def tasks(self, project: int) -> Sequence[Mapping[str, Any]]:
        """Return the tasks of a project with all that is known of them."""
        found: Sequence[Mapping[str, Any]] = self.ask(
            "GET", "/api/tasks/", project=str(project), fields="all", page_size="1000"
        )["tasks"]
        return sorted(found, key=lambda task: int(task["id"]))

    def annotate(self, task: int, value: Any) -> int:
        """Answer a task; returns the annotation's number."""
        return int(self.ask("POST", f"/api/tasks/{task}/annotations/", {"result": said(value)})["id"])

    def correct(self, annotation: int, value: Any) -> None:
        """Change an answer."""
        self.ask("PATCH", f"/api/annotations/{annotation}/", {"result": said(value)})

    def withdraw(self, annotation: int) -> None:
        """Take an answer back."""
        self.ask("DELETE", f"/api/annotations/{annotation}/")

    def next(self, project: int) -> Mapping[str, Any] | None:
        """Return the task that the server shows next, None when it has no more."""
        reply = self.client.get(f"/api/projects/{project}/next/")
        found: Mapping[str, Any] | None = reply.json() if reply.is_success else None
        return found


def said(value: Any) -> list[Mapping[str, Any]]:
    """Return what an annotation consists of: a choice, or a number."""
    kind, content = ("choices", [value]) if isinstance(value, str) else ("number", value)
    return [{"from_name": "label", "to_name": "row", "type": kind, "value": {kind: content}}]


@contextmanager
def studio_bed(folder: Path) -> Iterator[StudioBed]:
    """Start a server in `folder`, with one user, and end it."""
    port, token, log = free_port("127.0.0.1"), secrets.token_hex(20), folder / "studio.log"
    environment = {
        **{name: value for name, value in os.environ.items() if name in ("PATH", "LANG")},
        "HOME": str(folder),
        "LABEL_STUDIO_BASE_DATA_DIR": str(folder / "data"),
        "DJANGO_DB": "sqlite",
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "SSRF_PROTECTION_ENABLED": "false",  # it is to call a gateway on loopback
    }
    command = [str(STUDIO), "start", "--no-browser", "--data-dir", str(folder / "data")]
    command += ["--port", str(port), "--internal-host", "127.0.0.1", "--log-level", "ERROR"]
    command += ["--username", "ann@example.org", "--password", secrets.token_hex(12)]
    command += ["--user-token", token, "--enable-legacy-api-token"]
    with log.open("wb") as opened:
        program = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=opened, stderr=opened, start_new_session=True
        )
    bed = StudioBed(f"http://127.0.0.1:{port}", token, log)
    try:
        _wait(bed, program)
        bed.token = bed.ask("POST", "/api/token/")["token"]
        yield bed
    finally:
        bed.client.close()
        os.killpg(program.pid, signal.SIGKILL)
        program.wait()


def _wait(bed: StudioBed, program: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and program.poll() is None:
        try:
            if bed.client.get("/api/current-user/whoami").is_success:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise AssertionError(f"Label Studio does not answer:\n{bed.log.read_text()[-3000:]}")
