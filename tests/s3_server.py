"""A server that speaks S3, moto's, in a process of its own on loopback."""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from anew.adapters.s3_bucket import S3Bucket
from anew.app.workers import free_port

__all__ = ["S3Server", "s3", "s3_server"]

_NUMBERS = itertools.count(1)
_PROGRAM = """
import sys
from moto.server import ThreadedMotoServer
for address in sys.argv[2:]:
    ThreadedMotoServer(ip_address=address, port=int(sys.argv[1]), verbose=False).start()
sys.stdin.read()
"""


class S3Server:
    """Started when it is made; ends with the test, since it reads our end of a pipe.

    It listens on loopback and on the `others`, addresses of this machine in networks that tests make.
    """

    def __init__(self, *others: str) -> None:
        self.port = free_port("127.0.0.1")
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(self.port), "127.0.0.1", *others],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        while True:
            try:
                httpx.get(self.endpoint, timeout=2)
            except httpx.TransportError:
                assert time.monotonic() < deadline
                assert self._process.poll() is None
                time.sleep(0.05)
            else:
                break

    @property
    def environment(self) -> dict[str, str]:
        """What a program has to know."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
        }

    def bucket(self) -> str:
        """Make a bucket and return its URL."""
        name = f"anew-test-{os.getpid()}-{next(_NUMBERS)}"
        assert httpx.put(f"{self.endpoint}/{name}", timeout=20).status_code == 200
        return f"s3://{name}"

    def folder(self) -> S3Bucket:
        """Make a bucket and return a folder in it, for a process that knows the environment."""
        return S3Bucket(f"{self.bucket()}/some/folder")

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Let it take connections and answer nothing within the block."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it."""
        self._process.communicate(timeout=30)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """Start a server for all tests of this process that ask for one."""
    server = S3Server()
    yield server
    server.close()


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """Let this process, and those that it starts, find the server."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return s3_server
