"""Swaps under load, refused swaps, and starting without a control plane: real processes.

A hundred swaps as it stands; `make soak` makes them a thousand.
"""

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from anew.domain.observation import Prediction
from tests.system.gateway_bed import Bed, Load, bed, mixed, resident, wait

pytestmark = pytest.mark.system

SWAPS = int(os.environ.get("ANEW_SOAK_SWAPS", "100"))


@pytest.mark.fault("S1")
@pytest.mark.fault("S9")
@pytest.mark.timeout(max(120, SWAPS))
def test_many_swaps_under_load_fail_nothing_and_mix_nothing(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    with bed(tmp_path) as ours:
        versions = [ours.version(f"v{i}") for i in range(1, 12)]
        ours.shift(versions[0])
        port = ours.begin()
        ours.applied(1)
        load = Load(port).start(clients=4)
        for i in range(SWAPS):
            epoch = ours.shift(versions[(i + 1) % 11], fallback=versions[i % 11])
            ours.applied(epoch)
        load.stop()
        assert load.failures == []
        assert {status for status, _ in load.replies} == {200}
        assert mixed(load.replies) == 0
        assert len({body["version"] for _, body in load.replies}) == 11
        assert len({body["epoch"] for _, body in load.replies}) > 0.9 * SWAPS
        kept = {one.id: one for one in ours.kept() if isinstance(one, Prediction)}
        for _, body in load.replies:
            (entry,) = body["predictions"]
            one = kept[entry["id"]]
            assert (one.version, one.answer.output, one.epoch) == (entry["version"], entry["output"], body["epoch"])
        record_property("figure", f"{len(load.replies)} answers over {SWAPS} swaps: 0 failed, 0 mixed")


@pytest.mark.fault("S1")
def test_control_a_server_with_two_fields_mixes_them() -> None:
    class TwoFields:
        version, answer = 0, 0

    server, stop, replies = TwoFields(), threading.Event(), list[tuple[int, int]]()

    def ask() -> None:
        while not stop.is_set():
            version = server.version
            time.sleep(0)  # as a request waits somewhere between its two reads
            replies.append((version, server.answer))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for i in range(1, 2000):
        server.version = i
        time.sleep(0)
        server.answer = i
    stop.set()
    for thread in threads:
        thread.join()
    assert any(version != answer for version, answer in replies)


@pytest.mark.fault("S6")
@pytest.mark.parametrize(
    "loader",
    ["anew.testing.fake_predictor:FakeLoader", "tests.system.gateway_bed:HoardingLoader"],
    ids=["freed", "control: hoarded"],
)
def test_swaps_under_load_fail_nothing_and_leave_no_memory_behind(tmp_path: Path, loader: str) -> None:
    with bed(tmp_path, loader=loader, poll_s=0.01, queue_ms=50) as ours:
        versions = [ours.version(f"v{i}", weight=4 << 20) for i in range(1, 7)]  # more than are kept warm
        ours.shift(versions[0])
        port = ours.begin()
        ours.applied(1)
        load, settled = Load(port).start(clients=4, pause_s=0.002), 0
        for i in range(100):
            ours.applied(ours.shift(versions[(i + 1) % 6], fallback=versions[i % 6]))
            if i == 20:
                settled = resident(ours.processes["0"].pid)
        load.stop()
        assert load.failures == []
        assert {status for status, _ in load.replies} == {200}
        assert mixed(load.replies) == 0
        grown = resident(ours.processes["0"].pid) / settled
        assert (grown <= 1.1) is loader.endswith("FakeLoader"), grown


@pytest.mark.fault("S3")
def test_control_a_version_that_loads_is_not_refused(tmp_path: Path) -> None:
    with bed(tmp_path) as ours:
        good, better = ours.version("v1"), ours.version("v2")
        ours.shift(good)
        client = ours.client(ours.begin())
        ours.applied(1)
        ours.shift(better, fallback=good)
        ours.applied(2)
        status = ours.status()
        assert (status.refused, status.problem) == (0, "")
        assert {client.predict(customer=str(i))[1]["version"] for i in range(20)} == {"v2"}


@pytest.mark.fault("S3")
@pytest.mark.parametrize("load", ["raise", "crash"])
def test_a_version_that_does_not_load_is_refused_and_the_old_one_stays(tmp_path: Path, load: str) -> None:
    with bed(tmp_path) as ours:
        good, bad = ours.version("v1"), ours.version("v2", load=load)
        ours.shift(good)
        client = ours.client(ours.begin())
        ours.applied(1)
        if load == "raise":  # as champion; a crash there would be the worker's, so versions first load as challengers
            ours.shift(bad, fallback=good)
        else:
            ours.shift(good, bad, share=0.5)
        wait(lambda: ours.status().refused == 2, ours.log)
        assert ours.status().epoch == 1
        assert "v2" in ours.status().problem
        for i in range(20):
            status, body = client.predict(customer=str(i))
            assert (status, body["version"], body["epoch"]) == (200, "v1", 1)
            assert body["predictions"][0]["version"] == "v1"
        assert client.call("GET", "/ready")[1]["status"] == "degraded"
        ours.shift(good)
        ours.applied(3)
        wait(lambda: ours.status().refused == 0, ours.log)


def test_going_back_does_not_wait_for_a_version_that_hangs_while_loading(tmp_path: Path) -> None:
    with bed(tmp_path) as ours:
        one, two, hanging = ours.version("v1"), ours.version("v2"), ours.version("v3", load="hang")
        ours.shift(one)
        client = ours.client(ours.begin())
        ours.shift(two, fallback=one)
        ours.applied(2)
        ours.store.gone.add(one[1])  # what is warm needs no store
        ours.shift(hanging, fallback=two)
        ours.shift(two, hanging, share=0.5)
        ours.shift(one)
        ours.applied(5)
        assert client.predict()[1]["version"] == "v1"


@pytest.mark.fault("S4")
def test_a_worker_without_control_plane_serves_what_was_published_last(tmp_path: Path) -> None:
    with bed(tmp_path) as ours:
        client = ours.client(ours.begin("0"))
        assert client.call("GET", "/ready")[0] == 503
        status, body = client.predict()
        assert (status, body["error"]["code"]) == (503, "no_model")
        ours.shift(ours.version("v7"))
        ours.applied(1)
        ours.traffic.beat()
        wait(lambda: client.call("GET", "/ready")[1]["status"] == "ready", ours.log)
        ours.processes["0"].kill()
        ours.processes["0"].wait()
        (tmp_path / ".anew" / "run" / "control").unlink()
        client = ours.client(ours.begin("0"))
        ours.applied(1)
        assert client.predict()[1]["version"] == "v7"
        status, body = client.call("GET", "/ready")
        assert (status, body["status"]) == (200, "degraded")
        assert "control plane" in body["problems"][0]


@pytest.mark.fault("S4")
def test_control_a_worker_that_finds_no_routing_serves_nothing(tmp_path: Path) -> None:
    with bed(tmp_path) as ours:
        ours.shift(ours.version("v7"))
        client = ours.client(ours.begin("0"))
        ours.applied(1)
        assert client.predict()[1]["version"] == "v7"
        ours.processes["0"].kill()
        ours.processes["0"].wait()
        (tmp_path / ".anew" / "routing" / "fraud.json").unlink()
        client = ours.client(ours.begin("0"))
        status, body = client.predict()
        assert (status, body["error"]["code"]) == (503, "no_model")
        assert client.call("GET", "/ready")[0] == 503


def test_altered_routing_is_not_followed(tmp_path: Path) -> None:
    with bed(tmp_path) as ours:
        ours.shift(ours.version("v1"))
        client = ours.client(ours.begin())
        ours.applied(1)
        path = tmp_path / ".anew" / "routing" / "fraud.json"
        forged = json.loads(path.read_bytes())
        forged["routing"] |= {"epoch": 9, "champion": list(ours.version("v666"))}
        path.write_text(json.dumps(forged))
        wait(lambda: "cannot be read" in str(client.call("GET", "/ready")[1]), ours.log)
        assert client.predict()[1]["version"] == "v1"


def test_workers_share_a_port_and_each_has_its_journal(tmp_path: Path) -> None:
    with bed(tmp_path) as ours:
        ours.shift(ours.version("v1"))
        port = ours.begin("0")
        assert ours.begin("1", port) == port
        ours.applied(1)
        clients = [ours.client(port) for _ in range(40)]
        ids = {client.predict()[1]["predictions"][0]["id"] for client in clients}
        for client in clients:
            client.close()
        assert len(ids) == 40
        assert {one.id for one in ours.kept()} == ids
        counts = Counter(status.worker for status in ours.traffic.workers("fraud"))
        assert counts == {"0": 1, "1": 1}


def _stop(ours: Bed) -> int:
    ours.processes["0"].terminate()
    return int(ours.processes["0"].wait(20))


@pytest.mark.parametrize("challenger", [False, True])
def test_sigterm_ends_cleanly_with_everything_kept(tmp_path: Path, challenger: bool) -> None:
    with bed(tmp_path) as ours:
        two = ours.version("v2") if challenger else ("", "")
        ours.shift(ours.version("v1"), two)
        load_end: Callable[[], None]
        port = ours.begin()
        ours.applied(1)
        load = Load(port).start(clients=3)
        load_end = load.stop
        wait(lambda: len(load.replies) > 200, ours.log)
        assert _stop(ours) == 0
        load_end()
        ids = [body["predictions"][0]["id"] for status, body in load.replies if status == 200]
        kept = Counter(one.id for one in ours.kept())
        assert all(kept[id] == 1 for id in ids)
