"""A proxy before an S3 server that does to some requests what networks and stores do."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import httpx

__all__ = ["S3Proxy"]

_ERROR = "<?xml version='1.0'?><Error><Code>{}</Code><Message>planted</Message></Error>"

_OUR_OWN = {"connection", "content-length", "transfer-encoding", "content-encoding", "server", "date"}


class S3Proxy:
    """Forwards to `target`; the next requests of a method fail as `fail` says, `failed` counts them.

    Faults are ``slow_down`` (503), ``expired`` (400 ExpiredToken as 403), ``no_answer`` (the request is lost),
    ``lost_answer`` (the request is carried out, the answer lost) and ``reset_body`` (half of the answer comes).
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self.failed = 0
        self.forget_conditions = False
        self._method, self._fault, self._left = "", "", 0
        self._lock = threading.Lock()
        self._client = httpx.Client(timeout=30)
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        """Serve."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._client.close()

    def fail(self, method: str, fault: str, *, times: int) -> None:
        """Let the next `times` requests of a method fail."""
        with self._lock:
            self._method, self._fault, self._left = method, fault, times

    def fault(self, method: str) -> str:
        """Return the fault for a request; empty for none."""
        with self._lock:
            if method != self._method or not self._left:
                return ""
            self._left -= 1
            self.failed += 1
            return self._fault

    def forward(self, method: str, path: str, headers: dict[str, str], body: bytes) -> httpx.Response:
        """Let the server answer."""
        if self.forget_conditions:
            headers = {name: value for name, value in headers.items() if name.lower() != "if-none-match"}
        return self._client.request(method, f"{self.target}{path}", headers=headers, content=body)


class _Handler(BaseHTTPRequestHandler):
    proxy: S3Proxy
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        fault = self.proxy.fault(self.command)
        if fault in ("slow_down", "expired"):
            code, name = (503, "SlowDown") if fault == "slow_down" else (403, "ExpiredToken")
            self._send(code, {"content-type": "application/xml"}, _ERROR.format(name).encode())
            return
        if fault == "no_answer":
            self._break()
            return
        found = self.proxy.forward(self.command, self.path, dict(self.headers.items()), body)
        if fault == "lost_answer":
            self._break()
            return
        kept = {name: value for name, value in found.headers.items() if name.lower() not in _OUR_OWN}
        if self.command == "HEAD":
            kept["content-length"] = found.headers.get("content-length", "0")
        if fault == "reset_body":
            self._send(found.status_code, kept | {"content-length": str(len(found.content) + 50)}, found.content[:20])
            self._break()
            return
        self._send(found.status_code, kept, found.content)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _answer  # noqa: N815 - the library's names

    def _send(self, code: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        if "content-length" not in headers:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _break(self) -> None:
        self.close_connection = True
        self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Say nothing."""
