"""An MLflow server that fails, and then one that takes requests and never answers: the loop does not notice."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest

from anew.app.mirror_status import mirror_status
from anew.domain.facts import VersionPromoted
from tests.system.loop_project import QUIET, loop_project, wait

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


class Broken(ThreadingHTTPServer):
    """Answers every request with 500, or once `hangs` is set with nothing until `over`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hangs, self.over = Event(), Event()
        self.failed = self.held = 0


class _Handler(BaseHTTPRequestHandler):
    server: Broken

    def _answer(self) -> None:
        if self.server.hangs.is_set():
            self.server.held += 1
            self.server.over.wait()
            self.server.held -= 1
            return
        self.server.failed += 1
        body = json.dumps({"error_code": "INTERNAL_ERROR", "message": "out of order"}).encode()
        self.send_response(500)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815 - the library's names

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Broken]:
    made = Broken()
    serving = Thread(target=made.serve_forever, daemon=True)
    serving.start()
    yield made
    made.over.set()
    made.shutdown()
    made.server_close()
    serving.join()


@pytest.mark.fault("R1")
def test_a_server_that_fails_and_one_that_hangs_delay_nothing(
    server: Broken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "280")  # it would wait longer than this test may last
    registry = f"{{cooldown: 3h}}\nstores: {{registry: 'http://127.0.0.1:{server.server_port}'}}"
    with loop_project(tmp_path / "project", QUIET | {"policy": registry, "canary": "[]"}) as ours:
        ours.up()
        assert ours.serves() == "v1"
        wait(lambda: "500" in (mirror_status(ours.state) or {}).get("detail", ""), ours.log)
        assert server.failed
        said = mirror_status(ours.state)
        assert said is not None
        assert said["state"] == "unavailable"

        server.hangs.set()
        wait(lambda: server.held, ours.log)
        assert ours.anew("retrain")["taken"] is True
        ours.drive(lambda: ours.facts(VersionPromoted, version="v2"))
        assert wait(lambda: ours.serves() == "v2", ours.log)
        assert server.held == 1, "control: all the while the mirror has waited for one answer"
        assert mirror_status(ours.state) == said
        ours.settle()
        assert ours.stored() == ours.expected()
        assert ours.down() == 0
        wait(lambda: not ours.processes(), ours.log)
