"""A gateway on two hosts that know a bucket and a key: one arm for a key; cut off, each serves on and loses nothing."""

import http.client
import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from anew.adapters.delta_lake import DeltaLake
from anew.adapters.file_traffic import FileTraffic
from anew.adapters.pipeline_module import load_pipeline
from anew.adapters.segment_reader import SegmentReader
from anew.adapters.signing import Signer
from anew.app.accepted import accept
from anew.app.kept import kept_artifacts
from anew.app.record_place import SQLITE, put_down
from anew.app.replica_loop import replicas
from anew.app.settings import Settings, load
from anew.app.training_job import training_kit
from anew.domain.facts.rollout import Stage, TrafficShifted
from anew.domain.interval import Interval
from anew.loop.drain import Drainer
from anew.loop.training import Recipe, fit
from tests.app.small_project import YAML, write_project
from tests.s3_server import S3Server
from tests.system.gateway_bed import wait
from tests.system.network import Host, network

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]

MODEL, PORT = "fraud", 8080
Pair = tuple[str, str]
_ALL = Interval(start=datetime(2020, 1, 1, tzinfo=UTC), end=datetime(2120, 1, 1, tzinfo=UTC))


@dataclass
class Project:
    """A project whose loop is this test's hands."""

    settings: Settings
    signer: Signer
    traffic: FileTraffic
    epoch: int = 0

    def version(self, name: str, sign: int) -> Pair:
        """Train and store a version; the one of sign 1 says what the one of sign -1 denies."""
        rng, begin = np.random.default_rng(1), datetime(2026, 1, 1, tzinfo=UTC)
        x = rng.normal(size=(400, 2))
        at = [begin + timedelta(minutes=i) for i in range(len(x))]
        truth = (sign * x[:, 0] > 0).astype(np.int64)
        rows = pl.DataFrame({"x": x[:, 0], "z": x[:, 1], "_at": at, "_label": truth})
        settings = self.settings
        pipeline = load_pipeline(settings.pipeline)
        fitted = fit(rows, Recipe(columns=settings.columns, seed=1), pipeline, training_kit())
        draft = settings.root / f"draft-{name}"
        draft.mkdir()
        for file, data in fitted.candidate.files.items():
            (draft / file).write_bytes(data)
        return name, kept_artifacts(settings.state, self.signer).put(draft)

    def shift(self, champion: Pair, challenger: Pair = ("", ""), share: float = 0.0, fallback: Pair = ("", "")) -> int:
        """Publish the next routing and return its epoch."""
        self.epoch += 1
        self.traffic.publish(
            TrafficShifted(
                model=MODEL,
                at=datetime.now(UTC),
                epoch=self.epoch,
                stage=Stage.CANARY if share else Stage.STEADY,
                share=share,
                champion=champion,
                challenger=challenger,
                fallback=fallback,
            )
        )
        return self.epoch


@dataclass
class Replica:
    """A gateway on a host, with what is needed to start it again."""

    host: Host
    folder: Path
    url: str
    endpoint: str
    count: int
    acknowledged: list[str] = field(default_factory=list)

    def start(self) -> None:
        """Start it."""
        words = [*("--from", self.url, "--key", "env:ANEW_KEY"), *("--workers", str(self.count), "--port", str(PORT))]
        command = [sys.executable, "-m", "anew.cli", "gateway", str(self.folder), *words]
        log = self.folder.with_name(f"{self.folder.name}.log")
        self.host.start(command, log, env={**os.environ, "AWS_ENDPOINT_URL": self.endpoint})

    def end(self) -> None:
        """Tell it to end, and wait until it has."""
        self.host.processes[-1].send_signal(signal.SIGTERM)
        assert self.host.processes[-1].wait(60) == 0, self.log()

    def ask(self, key: str, x: float = 1.5) -> dict[str, Any]:
        """Ask for one prediction, on its host, and once more where the connection failed."""
        return self.host.do(lambda: self.asked(key, x))

    def asked(self, key: str, x: float = 1.5) -> dict[str, Any]:
        """Ask from a thread that is on its host."""
        id = f"{self.folder.name}-{key}-{time.monotonic_ns()}"
        body = json.dumps({"row": {"x": x, "z": 0.1, "who": key}, "ids": [id]})
        for last in (False, True):
            connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=10)
            try:
                connection.request("POST", "/predict", body, {"content-type": "application/json"})
                response = connection.getresponse()
                said = json.loads(response.read())
            except (OSError, http.client.HTTPException):
                if last:
                    raise
                continue
            finally:
                connection.close()
            assert response.status == 200, said
            (entry,) = said["predictions"]
            self.acknowledged.append(entry["id"])
            return {"epoch": said["epoch"], **entry}
        raise AssertionError("the last attempt returns or raises")

    def answers(self, epoch: int) -> bool:
        """Does it answer by this routing?"""
        try:
            return bool(self.ask("k")["epoch"] >= epoch)
        except (OSError, AssertionError):
            return False

    def log(self) -> str:
        """Return what it said."""
        logs = [self.folder.with_name(f"{self.folder.name}.log"), *self.folder.glob(".anew/logs/*")]
        return "".join(each.read_text() for each in logs)[-6000:]

    def workers(self) -> list[int]:
        """Return the pids of its workers that live."""
        found = FileTraffic(self.folder / ".anew", self.verifier).workers(MODEL)
        return [each.pid for each in found]

    @property
    def verifier(self) -> Any:
        """The key that it was given."""
        return Signer.load_or_create(self.folder.parent / "project" / ".anew" / "keys").verifier


@contextmanager
def hosts(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Project, list[Replica], Callable[[], Counter[str]]]]:
    """Make a project, two hosts with replicas that are not started, and what returns the ids that are stored."""
    with ExitStack() as stack:
        net = stack.enter_context(network(2))
        server = S3Server(net.address)
        stack.callback(server.close)
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        url = server.bucket()
        stores = f"stores: {{artifacts: '{url}/kept', replicas: '{url}/fraud'}}\nserving: {{workers: 0}}\n"
        yaml = YAML.replace("model: small", f"model: {MODEL}").replace("columns:\n", "columns:\n  key: who\n")
        settings = load(write_project(folder / "project", yaml + stores))
        signer = Signer.load_or_create(settings.state / "keys")
        put_down(settings.state, SQLITE, MODEL, artifacts=settings.policy.stores.artifacts)
        accept(settings)
        traffic = FileTraffic(settings.state, verifier=signer.verifier, signer=signer)
        monkeypatch.setenv("ANEW_KEY", (settings.state / "keys" / "signing.pub").read_text())
        made = [
            Replica(host, folder / f"host{i}", f"{url}/fraud", f"http://{net.address}:{server.port}", i + 1)
            for i, host in enumerate(net.hosts)
        ]
        stack.enter_context(replicas(settings, signer))
        lake = DeltaLake(settings.state / "lake", settings.columns, MODEL, settings.state / "lake.db")
        stack.callback(lake.close)
        drainer = Drainer(SegmentReader(settings.state / "journal"), lake)

        def stored() -> Counter[str]:
            drainer.drain_once()
            return Counter(lake.predictions(_ALL).get_column("_id").to_list())

        yield Project(settings, signer, traffic), made, stored


@dataclass
class Callers:
    """Threads on a replica's host that ask without pause and count what failed."""

    replica: Replica
    count: int = 2
    failures: list[str] = field(default_factory=list)
    replies: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def asking(self) -> Iterator["Callers"]:
        """Ask while it is entered."""
        with self.replica.host.threads(self.count) as pool:
            asked = [pool.submit(self._ask, i) for i in range(self.count)]
            try:
                yield self
            finally:
                self.stopped.set()
                for each in asked:
                    each.result()

    def _ask(self, number: int) -> None:
        count = 0
        while not self.stopped.wait(0.01):
            count += 1
            began = time.monotonic()
            try:
                self.replies.append((began, self.replica.asked(f"{number}-{count}")))
            except (OSError, http.client.HTTPException, AssertionError) as exc:
                self.failures.append(repr(exc))


def both(replicas: list[Replica], epoch: int) -> None:
    """Wait until each answers by this routing."""
    for each in replicas:
        wait(lambda: each.answers(epoch), each.log, 120)  # noqa: B023  it is called at once


@pytest.mark.fault("S2")
@pytest.mark.fault("O6")
def test_two_hosts_serve_by_one_record_and_one_cut_off_serves_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    with hosts(tmp_path, monkeypatch) as (project, (one, two), stored):
        v1, v2 = project.version("v1", 1), project.version("v2", -1)
        project.shift(v1)
        for each in (one, two):
            each.start()
        both([one, two], 1)

        canary = project.shift(v1, v2, share=0.5)
        both([one, two], canary)
        wait(lambda: project.traffic.applied(MODEL) == (3, canary), one.log, 60)  # as the loop hears it
        keys = [f"c{i}" for i in range(60)]
        wait(lambda: {one.ask(key)["version"] for key in keys} == {"v1", "v2"}, one.log)
        wait(lambda: {two.ask(key)["version"] for key in keys} == {"v1", "v2"}, two.log)
        assert [one.ask(key)["version"] for key in keys] == [two.ask(key)["version"] for key in keys]

        swapped: dict[int, float] = {}
        with Callers(one).asking() as here, Callers(two).asking() as there:
            for i in range(6):
                pair = (v2, v1) if i % 2 == 0 else (v1, v2)
                swapped[project.shift(pair[0], fallback=pair[1])] = time.monotonic()
                both([one, two], project.epoch)
                if i == 2:
                    os.kill(two.workers()[0], signal.SIGKILL)
        for callers in (here, there):
            assert callers.failures == []
            for began, said in callers.replies:
                assert (said["output"] == 1) == (said["version"] == "v1")
                newer = swapped.get(said["epoch"] + 1)
                assert newer is None or began < newer + 2, "a version that was replaced answers for two seconds at most"
        late = [_late(callers.replies, swapped) for callers in (here, there)]

        one.host.pull()
        with Callers(one).asking() as cut:
            alone = project.shift(v2, fallback=v1)
            wait(lambda: two.answers(alone) and len(cut.replies) > 20, two.log)
        one.end()
        one.start()  # it begins with what is in its folder
        both([one], alone - 1)
        assert {one.ask(key)["epoch"] for key in keys} == {alone - 1}
        wait(lambda: project.traffic.applied(MODEL) == (2, alone), two.log)  # nobody waits for who is not heard
        assert cut.failures == []
        assert not set(stored()) >= set(one.acknowledged), "what was answered behind the cut cannot be here yet"
        one.host.plug()
        both([one, two], alone)
        acknowledged = set(one.acknowledged + two.acknowledged)
        assert len(acknowledged) == len(one.acknowledged) + len(two.acknowledged)
        wait(lambda: set(stored()) >= acknowledged, one.log, 60)
        kept = stored()
        assert set(kept.values()) == {1}
        assert len(kept) - len(acknowledged) <= 8  # was on disk, and its worker was killed before it could say so
        record_property(
            "figure",
            f"{len(acknowledged)} answers of two hosts over 6 swaps, a kill and a cut: 0 failed, each stored once; "
            f"hosts answered by a new routing after {min(late):.2f} to {max(late):.2f} s",
        )


def _late(replies: list[tuple[float, dict[str, Any]]], swapped: dict[int, float]) -> float:
    """Return the longest time from an order to the first answer by it, in seconds."""
    first = {epoch: min((b for b, said in replies if said["epoch"] == epoch), default=None) for epoch in swapped}
    return max(found - swapped[epoch] for epoch, found in first.items() if found is not None)
