"""Hosts on one machine: network namespaces, each on a cable of its own that can be pulled. It takes root, and `ip`."""

import ctypes
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

__all__ = ["Host", "Network", "network"]

T = TypeVar("T")
_NEW_NETWORK = 0x40000000


def _enter(name: str) -> None:
    """Let the calling thread, and it alone, be in a namespace."""
    descriptor = os.open(f"/run/netns/{name}", os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(descriptor, _NEW_NETWORK):
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(descriptor)


@dataclass
class Host:
    """A namespace with one cable to the switch; `address` is its own there."""

    name: str
    cable: str
    address: str
    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)
    thread: ThreadPoolExecutor = field(init=False)

    def __post_init__(self) -> None:
        self.thread = self.threads(1)

    def threads(self, count: int) -> ThreadPoolExecutor:
        """Return threads that are on this host."""
        return ThreadPoolExecutor(count, initializer=_enter, initargs=(self.name,))

    def do(self, what: Callable[[], T]) -> T:
        """Do it on this host."""
        return self.thread.submit(what).result()

    def start(self, command: Sequence[str], log: Path, **more: Any) -> "subprocess.Popen[bytes]":
        """Start a program on this host."""
        with log.open("ab") as file:
            words = ["ip", "netns", "exec", self.name, *command]
            self.processes.append(subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=file, stderr=file, **more))
        return self.processes[-1]

    def pull(self) -> None:
        """Pull the cable."""
        _ip("link", "set", self.cable, "down")

    def plug(self) -> None:
        """Plug it in again."""
        _ip("link", "set", self.cable, "up")


@dataclass
class Network:
    """A switch at `address`, which is this machine's own there, and the hosts on it."""

    address: str
    hosts: Sequence[Host]


@contextmanager
def network(count: int) -> Iterator[Network]:
    """Make a network of so many hosts; their programs are killed with it.

    Where that is not allowed the test fails, rather than pass for one that was run.
    """
    number = os.getpid()
    mark, net = f"an{number % 100_000:05d}", f"10.{200 + number // 250 % 50}.{number % 250}"
    hosts: list[Host] = []
    try:
        _ip("link", "add", mark, "type", "bridge")
        _ip("addr", "add", f"{net}.1/24", "dev", mark)
        _ip("link", "set", mark, "up")
        for i in range(count):
            name, cable = f"{mark}-{i}", f"{mark}v{i}"
            _ip("netns", "add", name)
            hosts.append(Host(name, cable, f"{net}.{i + 2}"))
            _ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", name)
            _ip("link", "set", cable, "master", mark, "up")
            for words in (("addr", "add", f"{net}.{i + 2}/24", "dev", "eth0"), ("link", "set", "eth0", "up")):
                _ip("-n", name, *words)
            _ip("-n", name, "link", "set", "lo", "up")
        yield Network(f"{net}.1", hosts)
    finally:
        for host in hosts:
            for process in host.processes:
                process.kill()
                process.wait()
            host.thread.shutdown()
            found = subprocess.run(["ip", "netns", "pids", host.name], capture_output=True, text=True, check=False)
            for pid in found.stdout.split():
                os.kill(int(pid), 9)
            subprocess.run(["ip", "netns", "del", host.name], check=False)
        subprocess.run(["ip", "link", "del", mark], check=False, capture_output=True)


def _ip(*words: str) -> None:
    try:
        subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as exc:
        said = getattr(exc, "stderr", "") or exc
        pytest.fail(f"no network namespaces here, so nothing is known of several hosts: ip {' '.join(words)}: {said}")
