"""Real gateway processes for the system tests: their parts, and a client that keeps count."""

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from anew.adapters.connection_pass import way
from anew.adapters.file_traffic import FileTraffic
from anew.adapters.http_server import listen
from anew.adapters.journal_process import JournalProcess
from anew.adapters.segment_journal import SegmentReader
from anew.adapters.signing import Signer, Verifier
from anew.adapters.version_mark_file import VersionMarkFile
from anew.app.gateway_parts import GatewayParts
from anew.domain.facts.rollout import Stage, TrafficShifted
from anew.domain.observation import Observation
from anew.gateway.settings import GatewaySettings
from anew.ports.traffic import WorkerStatus
from anew.testing.fake_predictor import FAKE_COLUMNS, FakeLoader, FakePredictor, FakeStore

MODEL = "fraud"


class HoardingLoader:
    """Lets go of nothing that it ever loaded."""

    def __init__(self) -> None:
        self._hoard: list[FakePredictor] = []

    def load(self, folder: Path, *, version: str, digest: str) -> FakePredictor:
        """Load, and keep."""
        self._hoard.append(FakeLoader().load(folder, version=version, digest=digest))
        return self._hoard[-1]


def parts(project: Path, worker: str) -> GatewayParts:
    """Return the parts of a gateway worker, as its process asks for them."""
    told = json.loads((project / "told.json").read_text())
    state = project / ".anew"
    most_bytes, segment_bytes = told.pop("most_bytes", 1 << 28), told.pop("segment_bytes", 1 << 18)
    loader = told.pop("loader", "anew.testing.fake_predictor:FakeLoader")
    return GatewayParts(
        settings=GatewaySettings(model=MODEL, columns=FAKE_COLUMNS, **told),
        host="127.0.0.1",
        traffic=FileTraffic(state, Verifier.load(state / "keys")),
        store=FakeStore(state / "models"),
        journal=JournalProcess(state / "journal" / worker, most_bytes=most_bytes, segment_bytes=segment_bytes),
        loader=loader,
        mark=VersionMarkFile(state / "run" / "marks", worker),
    )


def children(pid: int) -> list[int]:
    """Return the processes that a worker has started: that of its journal, and one for each challenger."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@dataclass
class Client:
    """One keep-alive connection. A connection that the server closed before any reply is opened anew."""

    port: int
    connection: http.client.HTTPConnection | None = None

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Return status and decoded body."""
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            self.connection.request(method, path, data, {"content-type": "application/json"} if data else {})
            response = self.connection.getresponse()
            return response.status, json.loads(response.read())
        except BaseException:
            self.close()
            raise

    def predict(self, amount: float = 1.0, customer: str = "c", **more: Any) -> tuple[int, Any]:
        """Ask for one prediction."""
        row = {"amount": amount, "shop": "a:b", "count": 1, "customer": customer}
        return self.call("POST", "/predict", {"row": row} | more)

    def close(self) -> None:
        """Close the connection."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None


@dataclass
class Bed:
    """A project folder with a control plane's hands on it, and the worker processes serving it."""

    project: Path
    traffic: FileTraffic
    store: FakeStore
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    clients: list[Client] = field(default_factory=list)
    sockets: dict[str, socket.socket] = field(default_factory=dict)
    ways: dict[str, socket.socket] = field(default_factory=dict)
    epoch: int = 0

    def client(self, port: int) -> Client:
        """Return a client that is closed with the bed."""
        self.clients.append(Client(port))
        return self.clients[-1]

    def shift(
        self, champion: tuple[str, str], challenger: tuple[str, str] = ("", ""), share: float = 0.0, **changes: Any
    ) -> int:
        """Publish the next routing and return its epoch."""
        self.epoch += 1
        stage = Stage.STEADY if not challenger[0] else Stage.CANARY if share else Stage.SHADOW
        order = TrafficShifted(
            model=MODEL,
            at=datetime.now(UTC),
            epoch=self.epoch,
            stage=stage,
            share=share,
            champion=champion,
            challenger=challenger,
            **changes,
        )
        self.traffic.publish(order)
        return self.epoch

    def version(self, name: str, **told: Any) -> tuple[str, str]:
        """Store a fake version; its answer is the number in its name unless told otherwise."""
        return name, self.store.make(**({"value": float(name[1:])} | told))

    def share(self, workers: str) -> int:
        """Bind a socket for each of the workers, as `anew up` does, and return their port."""
        port = 0
        for worker in workers:
            self.sockets[worker] = listen("127.0.0.1", port)
            port = self.sockets[worker].getsockname()[1]
        return port

    def two_sets(self, *, joined: bool = True) -> int:
        """Start two sets of one worker each, named by their sides, on one socket; return its port."""
        self.sockets["blue"] = self.sockets["green"] = listen("127.0.0.1", 0)
        self.ways["blue"], self.ways["green"] = way()
        if not joined:
            self.ways["green"].close()
            self.ways["green"], nobody = way()
            nobody.close()
        port: int = self.sockets["blue"].getsockname()[1]
        for side in ("blue", "green"):
            self.begin(side, port)
        return port

    def begin(self, worker: str = "0", port: int = 0) -> int:
        """Start a worker; returns its port when it listens."""
        command = [sys.executable, "-m", "anew.app.gateway_worker", "--project", str(self.project), "--worker", worker]
        shared = {name: each.fileno() for name, each in self.sockets.items()}
        if worker in self.ways:
            command += ["--side", worker, "--peer", str(self.ways[worker].fileno())]
        if worker in shared:
            command += ["--listener", str(shared[worker])]
            others = {shared[name] for name in shared} - {shared[worker]}
            command += [word for each in sorted(others) for word in ("--beside", str(each))]
        with (self.project / f"log-{worker}").open("ab") as log:
            self.processes[worker] = subprocess.Popen(
                [*command, "--port", str(port), "--parts", "tests.system.gateway_bed:parts"],
                pass_fds=(*shared.values(), *(each.fileno() for each in self.ways.values())),
                env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
                stderr=log,
            )
        pid = self.processes[worker].pid
        wait(lambda: any(status.pid == pid for status in self.traffic.workers(MODEL)), self.log)
        found = next(status.port for status in self.traffic.workers(MODEL) if status.pid == pid)
        wait(lambda: _listens(found), self.log)
        return found

    def status(self, worker: str = "0") -> WorkerStatus:
        """Return the worker's last report."""
        return next(status for status in self.traffic.workers(MODEL) if status.worker == worker)

    def applied(self, epoch: int) -> None:
        """Wait until all living workers answer by `epoch`."""
        wait(lambda: self.traffic.applied(MODEL)[1] >= epoch, self.log)

    def kept(self) -> list[Observation]:
        """Return what all journals hold."""
        reader, found = SegmentReader(self.project / ".anew" / "journal"), list[Observation]()
        for journal in reader.journals():
            after = 0
            while (batch := reader.read(journal, after=after, most=1000)).position > after:
                found += batch.observations
                after = batch.position
        return found

    def log(self) -> str:
        """Return what the workers said."""
        return "".join(path.read_text() for path in sorted(self.project.glob("log-*")))[-4000:]


@contextmanager
def bed(project: Path, **told: Any) -> Iterator[Bed]:
    """Make a bed; its processes are ended with it."""
    state = project / ".anew"
    (project / "told.json").write_text(json.dumps(told))
    signer = Signer.load_or_create(state / "keys")
    made = Bed(project, FileTraffic(state, signer.verifier, signer), FakeStore(state / "models"))
    try:
        yield made
    finally:
        for client in made.clients:
            client.close()
        for process in made.processes.values():
            process.kill()
            process.wait()
        for each in (*made.sockets.values(), *made.ways.values()):
            each.close()


@dataclass
class Load:
    """Clients that ask without pause from several threads and write down every reply and every failure."""

    port: int
    replies: list[tuple[int, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)

    def start(self, clients: int = 4, pause_s: float = 0.0) -> "Load":
        """Begin."""
        self.threads = [threading.Thread(target=self._ask, args=(i, pause_s)) for i in range(clients)]
        for thread in self.threads:
            thread.start()
        return self

    def stop(self) -> None:
        """End and wait for the last replies."""
        self.stopped.set()
        for thread in self.threads:
            thread.join()

    def _ask(self, number: int, pause_s: float) -> None:
        client, count = Client(self.port), 0
        while not self.stopped.wait(pause_s):
            count += 1
            try:
                self.replies.append(client.predict(amount=float(count), customer=f"{number}-{count}"))
            except (OSError, http.client.HTTPException) as exc:
                self.failures.append(repr(exc))
        client.close()


def wait(condition: Callable[[], bool], log: Callable[[], str] = str, seconds: float = 30.0) -> None:
    """Poll until `condition` holds; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain\n{log()}"
        time.sleep(0.02)


def mixed(replies: Sequence[tuple[int, Any]]) -> int:
    """Return how many replies name a version that did not make their output."""
    return sum(entry["output"] != float(entry["version"][1:]) for _, body in replies for entry in body["predictions"])


def resident(pid: int) -> int:
    """Return how many pages of memory a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1])


def _listens(port: int) -> bool:
    client = Client(port)
    try:
        return client.call("GET", "/live")[0] == 200
    except OSError:
        return False
    finally:
        client.close()
