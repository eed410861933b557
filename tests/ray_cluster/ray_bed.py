"""A Ray cluster of this machine, started on loopback and ended with all that it started."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

__all__ = ["RayBed", "ray_bed"]

_HOST = "127.0.0.2"
"""Loopback; Ray takes 127.0.0.1 for a wish to be reached, and puts another address of the machine in its place."""


class RayBed:
    """One head with two CPUs, and as many further nodes as are asked for; the tests kill what they like of it."""

    def __init__(self) -> None:
        # Ray's sockets lie in it, whose paths have at most 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="ray-"))
        with socket.create_server((_HOST, 0)) as server:
            self.port = server.getsockname()[1]
        self.address = f"{_HOST}:{self.port}"
        # Some of its ports are open to other machines whatever it is told; nobody gets in without the token.
        self.environment = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        self._nodes: list[subprocess.Popen[bytes]] = []

    def start(self, *, cpus: int = 2) -> None:
        """Start the head."""
        self._node("--head", f"--port={self.port}", "--include-dashboard=false", cpus=cpus)

    def add(self, *, cpus: int = 1) -> "subprocess.Popen[bytes]":
        """Start a further node."""
        return self._node(f"--address={self.address}", cpus=cpus)

    def kill(self, node: int = 0) -> None:
        """Kill a node with all that it runs, as when its machine went down."""
        if self._nodes[node].returncode is not None:
            return
        for pid in _below(self._nodes[node].pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._nodes[node].communicate()

    def workers(self, name: str) -> list[int]:
        """Return the processes that Ray calls by this name, of whichever node."""
        return [pid for node in self._nodes for pid in _below(node.pid) if name in _title(pid)]

    def stop(self) -> None:
        """End everything."""
        for node in range(len(self._nodes)):
            self.kill(node)
        self._nodes.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _node(self, *told: str, cpus: int) -> "subprocess.Popen[bytes]":
        ray = str(Path(sys.executable).with_name("ray"))
        # Ports are taken as they come: the defaults of several nodes on one machine collide.
        ports = ("--min-worker-port=0", "--max-worker-port=0")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        told = (*told, f"--num-cpus={cpus}", "--num-gpus=0", "--object-store-memory=100000000", "--disable-usage-stats")
        node = subprocess.Popen(
            [ray, "start", "--block", f"--node-ip-address={_HOST}", *ports, *told, f"--temp-dir={self.folder}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=kept | {"RAY_health_check_period_ms": "500", "RAY_health_check_timeout_ms": "2000"} | self.environment,
            process_group=0,
        )
        self._nodes.append(node)
        _wait_for_word(node, b"Ray runtime started")
        return node


@contextmanager
def ray_bed() -> Iterator[RayBed]:
    """Start a cluster that this process and its children get into, and end it."""
    bed = RayBed()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in bed.environment.items():
            patch.setenv(name, value)
        try:
            bed.start()
            yield bed
        finally:
            bed.stop()


def _wait_for_word(node: "subprocess.Popen[bytes]", word: bytes) -> None:
    assert node.stdout is not None
    said, deadline = b"", time.monotonic() + 60
    for line in node.stdout:
        said += line
        if word in line:
            return
        assert time.monotonic() < deadline, said.decode()
    raise AssertionError(said.decode())


def _below(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    found = [pid]
    for each in found:
        for children in Path("/proc").glob(f"{each}/task/*/children"):
            with suppress(OSError):
                found += map(int, children.read_text("ascii").split())
    return found


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
