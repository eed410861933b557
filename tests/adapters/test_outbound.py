"""What anew sends goes where the policy says, and nowhere that an answer, a scheme or the environment would lead."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from anew.adapters.outbound import Outbound
from anew.domain.errors import UnavailableError


class Listener:
    """Counts who connects."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(0.05)
        self.port = self._socket.getsockname()[1]
        self.connections = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                taken, _ = self._socket.accept()
            except TimeoutError:
                continue
            self.connections += 1
            taken.close()

    def close(self) -> None:
        """Stop."""
        self._stop.set()
        self._thread.join()
        self._socket.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.close()


@contextmanager
def receiver(status: int, location: str) -> Iterator[str]:
    """Serve one status with a place to go on to; give its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(status)
            self.send_header("location", location)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/hook"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.fault("H7")
@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "[::ffff:127.0.0.1]"])
def test_no_redirect_is_followed(listener: Listener, status: int, host: str) -> None:
    with receiver(status, f"http://{host}:{listener.port}/") as url, pytest.raises(UnavailableError, match=str(status)):
        Outbound(url).post(b"{}", {})
    assert listener.connections == 0


@pytest.mark.fault("H7")
@pytest.mark.parametrize("scheme", ["file", "gopher", "ftp", "dict", "unix", "jar"])
def test_no_other_scheme_is_spoken(listener: Listener, scheme: str) -> None:
    with pytest.raises(UnavailableError):
        Outbound(f"{scheme}://127.0.0.1:{listener.port}/etc/passwd").post(b"{}", {})
    assert listener.connections == 0


@pytest.mark.fault("H7")
def test_the_environment_sends_nothing_elsewhere(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{listener.port}")
    with receiver(204, "") as url:
        Outbound(url).post(b"{}", {})
    assert listener.connections == 0


@pytest.mark.fault("H7")
def test_control_the_listener_sees_who_does_connect(listener: Listener) -> None:
    with pytest.raises(UnavailableError):
        Outbound(f"http://127.0.0.1:{listener.port}/").post(b"{}", {})
    assert listener.connections == 1


def test_a_message_of_failure_holds_no_secret_of_the_address() -> None:
    with pytest.raises(UnavailableError) as refused:
        Outbound("http://ann:hunter2@127.0.0.1:1/token-of-mine").post(b"{}", {})
    assert "hunter2" not in str(refused.value)
    assert "token-of-mine" not in str(refused.value)
