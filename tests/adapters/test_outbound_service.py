"""A JSON service asked over HTTP: bounded, no redirects, and no secret in what is said of it."""

import http.server
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from anew.adapters.label_studio import LabelStudio, label_config
from anew.adapters.outbound import OutboundService, RefusedStatusError
from anew.domain.column import Column, ColumnKind, Columns, Task
from anew.domain.errors import SettingsError, UnavailableError

REPLIES: dict[str, tuple[int, bytes]] = {
    "/good": (200, b'{"a": 1}'),
    "/empty": (204, b""),
    "/away": (302, b""),
    "/broken": (200, b"<html>"),
    "/big": (200, b'"' + b"a" * 5000 + b'"'),
    "/refused": (403, b'{"detail": "s3cret"}'),
    "/api/projects/": (200, b'[{"title": "anew m"}]'),
    "/api/projects/7/": (200, b'{"id": 7, "parsed_label_config": {"label": {"type": "Choices", "labels": ["0"]}}}'),
    "/api/projects/8/": (
        200,
        b'{"id": 8, "parsed_label_config": {"label": {"type": "Number", "to_name": ["row"]}}}',
    ),
}


@pytest.fixture
def base() -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        """Answers as the path says."""

        def do_GET(self) -> None:
            """Answer."""
            status, body = REPLIES.get(self.path.partition("?")[0], (404, b""))
            self.send_response(status)
            if status == 302:
                self.send_header("location", "/good")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's own name
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def ask(base: str, path: str) -> Any:
    service = OutboundService(base, most_bytes=1000)
    try:
        return service.ask("GET", path, {"authorization": "Token s3cret"}, None, {"query": "s3cret"})
    finally:
        service.close()


def test_an_answer_is_read_and_none_is_none(base: str) -> None:
    assert ask(base, "/good") == {"a": 1}
    assert ask(base, "/empty") is None


@pytest.mark.parametrize("path", ["/away", "/broken", "/big", "/refused", "/nowhere"])
def test_what_is_no_answer_is_unavailable_and_names_no_secret(base: str, path: str) -> None:
    with pytest.raises(UnavailableError) as refused:
        ask(base, path)
    assert "s3cret" not in str(refused.value)
    assert isinstance(refused.value, RefusedStatusError) == (path in ("/away", "/refused", "/nowhere"))


def test_nobody_there_is_said() -> None:
    with pytest.raises(UnavailableError, match="does not answer"):
        ask("http://127.0.0.1:9", "/good")


def columns(**given: Any) -> Columns:
    return Columns(time="at", target="y", features=(Column(name="x", kind=ColumnKind.NUMBER),), **given)


def test_a_server_that_answers_something_else_is_no_answer(base: str) -> None:
    with pytest.raises(UnavailableError, match="something else"):
        LabelStudio(OutboundService(base), "t", "m", columns(task=Task.REGRESSION)).prepare()


def test_a_project_must_offer_what_may_be_said(base: str) -> None:
    service, both = OutboundService(base), columns(task=Task.BINARY, classes=(0, 1))
    for project in (7, 8):
        with pytest.raises(SettingsError, match=f"project {project} of Label Studio has no <Choices"):
            LabelStudio(service, "t", "m", both, project=project).prepare()
    LabelStudio(service, "t", "m", columns(task=Task.REGRESSION), project=8).prepare()


def test_names_cannot_break_the_configuration() -> None:
    text = label_config(columns(task=Task.BINARY, classes=('a"/><script>', "b<&")))
    assert "<script>" not in text
    assert "&lt;&amp;" in text
