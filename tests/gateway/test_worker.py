"""One worker without a server: ready or not, the fallback warm in time, and what it reports."""

import asyncio
import json
import os
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from anew.adapters.file_traffic import FileTraffic
from anew.adapters.process_table import process_started
from anew.adapters.signing import Signer
from anew.adapters.system_clock import SystemClock
from anew.domain.facts.rollout import Stage, TrafficShifted
from anew.gateway import swap
from anew.gateway.app import GatewayApp
from anew.gateway.settings import GatewaySettings
from anew.gateway.worker import GatewayWorker, Identity
from anew.loop.guardrail import Guardrails
from anew.ports.traffic import WorkerStatus
from anew.rollout import RolloutState
from anew.testing.fake_journal import FakeJournal
from anew.testing.fake_predictor import FAKE_COLUMNS, FakeLoader, FakePredictor, FakeStore
from anew.testing.journal_thread import JournalThread
from tests.gateway.test_app import ROW, call

SETTINGS = GatewaySettings(model="m", columns=FAKE_COLUMNS, poll_s=0.005, report_s=60.0)


@dataclass
class Bench:
    """A worker, and the control plane's hands."""

    folder: Path
    store: FakeStore = field(init=False)
    traffic: FileTraffic = field(init=False)
    epoch: int = 0
    report_s: float = 60.0

    def __post_init__(self) -> None:
        signer = Signer.load_or_create(self.folder / "keys")
        self.traffic = FileTraffic(self.folder, signer.verifier, signer)
        self.store = FakeStore(self.folder / "models")

    def version(self, name: str, **fields: Any) -> tuple[str, str]:
        """Store a fake version that answers the number in its name."""
        return name, self.store.make(**({"value": float(name[1:])} | fields))

    def shift(
        self, champion: tuple[str, str], fallback: tuple[str, str] = ("", ""), challenger: tuple[str, str] = ("", "")
    ) -> None:
        """Publish the next routing."""
        self.epoch += 1
        order = TrafficShifted(
            model="m",
            at=datetime.now(UTC),
            epoch=self.epoch,
            stage=Stage.CANARY if challenger[0] else Stage.STEADY,
            share=0.5 if challenger[0] else 0.0,
            champion=champion,
            challenger=challenger,
            fallback=fallback,
        )
        self.traffic.publish(order)

    def run(self, story: Callable[[GatewayWorker], Awaitable[None]]) -> None:
        """Tell `story` of a worker that was just started."""

        async def told() -> None:
            worker = GatewayWorker(
                settings=replace(SETTINGS, report_s=self.report_s),
                identity=Identity(worker="0", pid=os.getpid(), started=process_started(os.getpid()) or 0, port=1),
                traffic=self.traffic,
                store=self.store,
                loader=FakeLoader(),
                journal=JournalThread(FakeJournal()),
                launch=lambda *_: ["false"],  # a challenger that ends before it has loaded
                clock=SystemClock(),
            )
            await worker.start()
            try:
                await asyncio.wait_for(story(worker), 20)
            finally:
                await worker.stop()

        asyncio.run(told())


async def until(condition: Callable[[], bool]) -> None:
    """Poll; the story's deadline ends it."""
    while not condition():
        await asyncio.sleep(0.005)


async def predict(worker: GatewayWorker) -> tuple[int, Any]:
    return await call(GatewayApp([worker.endpoint]), "/predict", json.dumps({"row": ROW}).encode())


def epoch(worker: GatewayWorker) -> int:
    return 0 if worker.switch.route is None else worker.switch.route.epoch


def test_it_is_ready_when_a_champion_answers_and_says_when_nobody_leads_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path)

    async def story(worker: GatewayWorker) -> None:
        status, body = await call(GatewayApp([worker.endpoint]), "/ready", method="GET")
        assert (status, body["status"]) == (503, "no_model")
        bench.shift(bench.version("v1", load="raise"))
        await until(lambda: bench.traffic.workers("m")[0].refused == 1)
        assert (await call(GatewayApp([worker.endpoint]), "/ready", method="GET"))[0] == 503
        assert (await predict(worker))[0] == 503
        bench.shift(bench.version("v1"))
        await until(lambda: epoch(worker) == 2)
        status, body = await call(GatewayApp([worker.endpoint]), "/ready", method="GET")
        assert (status, body["status"], body["version"]) == (200, "degraded", "v1")
        assert body["problems"] == ["the control plane is not heard; the last published routing is served"]
        bench.traffic.beat()
        status, body = await call(GatewayApp([worker.endpoint]), "/ready", method="GET")
        assert (status, body["status"], body["problems"]) == (200, "ready", [])
        worker.drain()
        assert (await call(GatewayApp([worker.endpoint]), "/ready", method="GET"))[0] == 503

    bench.run(story)


def test_a_new_champion_answers_though_its_challenger_does_not_load(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    first, second, third = (bench.version(name) for name in ("v1", "v2", "v3"))

    async def story(worker: GatewayWorker) -> None:
        for champion, in_force in ((first, 0), (second, 3)):
            bench.shift(champion, challenger=third)
            await until(lambda: bench.traffic.workers("m")[0].refused == bench.epoch)
            status, body = await predict(worker)
            assert (status, body["version"], epoch(worker)) == (200, champion[0], in_force)
            said = bench.traffic.workers("m")[0].challenger
            assert said is not None
            assert (said.version, said.failed, bool(said.tripped)) == ("v3", {"load": 1}, True)
            bench.shift(champion)
            bench.shift(champion)
            await until(lambda: epoch(worker) == bench.epoch)
            assert bench.traffic.workers("m")[0].challenger is None

    bench.run(story)


def test_a_restarted_worker_has_its_fallback_warm_without_waiting_for_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    hanging, good = bench.version("v1", load="hang"), bench.version("v0")
    bad = bench.version("v2", behaviour="raise")

    async def story(worker: GatewayWorker) -> None:
        bench.shift(bad, hanging)
        await until(lambda: epoch(worker) == 1)  # the fallback hangs while it loads, and nobody waits for it
        assert (await predict(worker))[0] == 500
        bench.shift(bad, good)
        await until(lambda: worker.switch.route is not None and worker.switch.route.fallback is not None)
        bench.traffic.beat()
        for _ in range(6):
            status, body = await predict(worker)
            assert (status, body["predictions"][0]["version"]) == (200, "v0")
        await until(lambda: bool((health := bench.traffic.workers("m")[0].champion) and health.tripped))  # at once
        body = (await call(GatewayApp([worker.endpoint]), "/ready", method="GET"))[1]
        assert body["problems"] == [
            "v0 answers in place of v2: 5 of its last 5 rows failed (in all: error 6)",
        ]
        assert (await call(GatewayApp([worker.endpoint]), "/stats", method="GET"))[1]["champion"]["tripped"]
        bench.shift(bad, good)
        await until(lambda: epoch(worker) == 3)
        health = bench.traffic.workers("m")[0].champion
        assert health is not None
        assert (health.version, health.asked, health.tripped) == ("v2", 6, "")  # a newer epoch asks again
        bench.shift(good)
        await until(lambda: epoch(worker) == 4)
        health = bench.traffic.workers("m")[0].champion
        assert health is not None
        assert (health.version, health.asked) == ("v0", 0)

    bench.run(story)


def test_a_fallback_that_cannot_be_loaded_now_is_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(tmp_path)
    one, two = bench.version("v1"), bench.version("v2")
    bench.store.gone.add(one[1])
    bench.shift(two, one)

    async def story(worker: GatewayWorker) -> None:
        await until(lambda: "fallback_not_warm" in caplog.text)
        assert worker.switch.route is not None
        assert worker.switch.route.fallback is None
        bench.store.gone.clear()
        await until(lambda: worker.switch.route is not None and worker.switch.route.fallback is not None)
        assert (await predict(worker))[1]["predictions"][0]["version"] == "v2"

    bench.run(story)


@pytest.mark.fault("P5")
def test_where_the_champion_does_not_load_its_fallback_stands_in_and_the_control_plane_hears_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swap, "_FIRST_PAUSE_S", 0.05)
    bench = Bench(tmp_path)
    good, bad = bench.version("v1"), bench.version("v2", load="raise")
    bench.shift(bad, good)  # before the worker begins: it never had another route

    async def story(worker: GatewayWorker) -> None:
        await until(lambda: worker.switch.route is not None)
        status, body = await predict(worker)
        assert (status, body["version"], epoch(worker)) == (200, "v1", 0)
        assert (await call(GatewayApp([worker.endpoint]), "/ready", method="GET"))[1]["status"] == "degraded"
        await until(lambda: bool((said := bench.traffic.workers("m")[0].champion) and said.version == "v2"))
        said = bench.traffic.workers("m")[0].champion
        assert said is not None
        assert "it cannot be served" in said.tripped
        found = Guardrails(error_rate=0.02, at_least_errors=5, p99_ms=1000.0).broken(
            RolloutState(champion=bad, fallback=good, shifts="s"), bench.traffic.workers("m"), "m", datetime.now(UTC)
        )
        assert found is not None
        assert (found.version, found.guardrail) == ("v2", "error_rate")
        bench.shift(good)
        await until(lambda: epoch(worker) == 2)
        said = bench.traffic.workers("m")[0].champion
        assert said is not None
        assert (said.version, said.tripped) == ("v1", "")

    bench.run(story)


def test_a_worker_whose_champion_loads_for_long_is_not_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path, report_s=0.01)
    bench.shift(bench.version("v1"))
    loaded, said, in_time = threading.Event(), list[datetime](), list[bool]()
    load, report = FakeLoader.load, FileTraffic.report

    def slow(*arguments: Any, **named: Any) -> Any:
        in_time.append(loaded.wait(5))
        return load(*arguments, **named)

    def heard(traffic: FileTraffic, status: WorkerStatus) -> None:
        said.append(status.at)
        if len(said) == 4:
            loaded.set()
        report(traffic, status)

    async def story(worker: GatewayWorker) -> None:
        await until(lambda: worker.switch.route is not None)

    monkeypatch.setattr(FakeLoader, "load", slow)
    monkeypatch.setattr(FileTraffic, "report", heard)
    bench.run(story)
    assert in_time[0], "it reported while it loaded"


def test_where_neither_loads_nobody_is_served(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.shift(bench.version("v2", load="raise"), bench.version("v1", load="raise"))

    async def story(worker: GatewayWorker) -> None:
        await until(lambda: "nor does the fallback v1" in bench.traffic.workers("m")[0].problem)
        assert (await predict(worker))[0] == 503

    bench.run(story)


class Noted:
    """A version that tells where it ended."""

    def __init__(self, found: FakePredictor, ended: list[bool]) -> None:
        self.version, self.digest, self.columns, self.answer = found.version, found.digest, found.columns, found.answer
        self._ended = ended

    def __del__(self) -> None:
        """Tell whether it was on the loop."""
        self._ended.append(threading.current_thread() is threading.main_thread())


@dataclass
class NotingLoader:
    """Notes whether what it loaded ended on the loop."""

    ended: list[bool] = field(default_factory=list)

    def load(self, folder: Path, *, version: str, digest: str) -> Noted:
        """Load, and note."""
        return Noted(FakeLoader().load(folder, version=version, digest=digest), self.ended)


def test_versions_are_let_go_of_beside_the_loop(tmp_path: Path) -> None:
    bench, noting = Bench(tmp_path), NotingLoader()

    async def story(worker: GatewayWorker) -> None:
        worker._swapper.loader = noting
        for i in range(1, 5):
            bench.shift(bench.version(f"v{i}"))
            await until(lambda i=i: epoch(worker) == i)  # type: ignore[misc] # a default binds the number
            assert (await predict(worker))[1]["version"] == f"v{i}"
        await until(lambda: len(noting.ended) >= 2)

    bench.run(story)
    assert noting.ended[:2] == [False, False]
    gone = noting.load(tmp_path / "models" / bench.version("v9")[1], version="v9", digest="d")
    del gone  # control: here it ends where the loop was
    assert noting.ended[-1]
