"""Two complete sets of workers that take turns: real processes, connections that outlive every switch."""

import json
import signal
import socket
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from anew.adapters.file_traffic import FileTraffic
from anew.adapters.signing import Verifier
from anew.app import silence
from anew.app.accepted import accept
from anew.app.settings import load
from anew.app.workers import GatewayProcesses, free_port
from anew.domain.observation import Prediction
from tests.system.gateway_bed import Bed, Load, bed, wait
from tests.system.test_shared_gateway import served_project

pytestmark = pytest.mark.system


def switched(ours: Bed, port: int, turns: int) -> tuple[Load, dict[int, str]]:
    """Go to the other set and back under load; return what callers got, and the champion of each epoch."""
    one, two = ours.version("v1"), ours.version("v2")
    champions = {ours.shift(one): "v1"}
    ours.applied(1)
    load = Load(port).start(clients=4)
    champions[ours.shift(one, two)] = "v1"
    ours.applied(2)
    for turn in range(turns):
        champion, fallback = (two, one) if turn % 2 == 0 else (one, two)
        epoch = ours.shift(champion, fallback=fallback)
        champions[epoch] = champion[0]
        ours.applied(epoch)
        until = len(load.replies) + 40
        wait(lambda until=until: len(load.replies) >= until or bool(load.failures), ours.log)  # type: ignore[misc]  # bound at once
    load.stop()
    return load, champions


def stale(replies: list[tuple[int, Any]], champions: dict[int, str]) -> int:
    """Count replies by another version than the champion of the epoch that they name."""
    return sum(one["version"] != champions[body["epoch"]] for _, body in replies for one in body["predictions"])


@pytest.mark.fault("S1")
@pytest.mark.fault("S9")
def test_traffic_goes_to_the_other_set_and_back_at_once_and_no_caller_notices(tmp_path: Path) -> None:
    with bed(tmp_path) as ours:
        load, champions = switched(ours, ours.two_sets(), turns=12)
        assert load.failures == []
        assert {status for status, _ in load.replies} == {200}
        assert stale(load.replies, champions) == 0
        assert len({body["epoch"] for _, body in load.replies}) == 14
        kept = [one for one in ours.kept() if isinstance(one, Prediction)]
        assert len(kept) == len(load.replies)
        # each set answers by its own version alone: neither ever loads the other's to answer
        counts = {side: ours.status(side).champion for side in ("blue", "green")}
        assert {side: None if each is None else each.version for side, each in counts.items()} == {
            "blue": "v1", "green": "v2",
        }  # fmt: skip
        assert all(each is not None and each.asked > 40 for each in counts.values())


def test_control_without_a_way_between_them_callers_are_cut_off(tmp_path: Path) -> None:
    with bed(tmp_path) as ours:
        load, _ = switched(ours, ours.two_sets(joined=False), turns=2)
        assert load.failures


@pytest.mark.fault("S9")
def test_a_request_in_the_middle_of_which_the_turn_changes_is_answered_by_whose_turn_it_is(tmp_path: Path) -> None:
    body = b'{"row": {"amount": 1.0, "shop": "a:b", "count": 1, "customer": "c"}}'
    head = b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    asked = head + b"content-length: %d\r\n\r\n" % len(body) + body
    with bed(tmp_path) as ours:
        port = ours.two_sets()
        one, two = ours.version("v1"), ours.version("v2")
        for order in ((one,), (one, two)):
            ours.shift(*order)
            ours.applied(ours.epoch)
        cuts = (1, 40, len(asked) - len(body), len(asked) - 1)
        callers = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in cuts]
        for caller, cut in zip(callers, cuts, strict=True):
            caller.sendall(asked[:cut])
        ours.client(port).predict()  # what was sent before has been read
        ours.shift(two, fallback=one)
        ours.applied(3)
        for caller, cut in zip(callers, cuts, strict=True):
            with caller:
                caller.sendall(asked[cut:])
                said = caller.recv(4096).partition(b"\r\n\r\n")[2]
            assert (json.loads(said)["epoch"], json.loads(said)["predictions"][0]["version"]) == (3, "v2")


@pytest.mark.fault("P13")
def test_a_set_that_has_not_loaded_the_version_takes_no_turn(tmp_path: Path) -> None:
    with bed(tmp_path) as ours:
        port = ours.two_sets()
        one, bad = ours.version("v1"), ours.version("v2", load="raise")
        ours.shift(one)
        ours.applied(1)
        ours.shift(one, bad)
        wait(lambda: ours.status("green").refused == 2, ours.log)
        assert ours.traffic.applied("fraud")[1] < 2
        assert ours.client(port).predict()[1]["version"] == "v1"


@pytest.mark.fault("P14")
@pytest.mark.parametrize("why", ["dead", "loading"])
def test_going_back_waits_for_no_set_that_has_not_loaded_the_version(tmp_path: Path, why: str) -> None:
    with bed(tmp_path) as ours:
        port = ours.two_sets()
        one, two = ours.version("v1"), ours.version("v2")
        for order in ((one,), (one, two)):
            ours.shift(*order)
            ours.applied(ours.epoch)
        ours.applied(ours.shift(two, fallback=one))
        wait(lambda: ours.client(port).predict()[1]["predictions"][0]["version"] == "v2", ours.log)
        ours.processes["blue"].kill()  # it holds v1, at rest
        ours.processes["blue"].wait()
        if why == "loading":
            (ours.store.root / one[1] / "fake.json").write_text('{"value": 1.0, "load": "hang"}')
            ours.begin("blue", port)
        load = Load(port).start(clients=4)
        ours.shift(one)
        wait(lambda: any(body["epoch"] == 4 for _, body in load.replies) or bool(load.failures), ours.log)
        until = len(load.replies) + 40
        wait(lambda: len(load.replies) >= until or bool(load.failures), ours.log)
        load.stop()
        assert load.failures == []
        assert {(body["epoch"], body["version"]) for _, body in load.replies} <= {(3, "v2"), (4, "v1")}
        green = ours.status("green").champion
        assert green is not None
        assert green.version == "v1", "it had it warm"


def test_a_worker_that_starts_again_belongs_to_the_set_that_it_left(tmp_path: Path) -> None:
    with bed(tmp_path) as ours:
        port = ours.two_sets()
        one, two = ours.version("v1"), ours.version("v2")
        for order in ((one, two), (two,)):
            ours.shift(*order)
            ours.applied(ours.epoch)
        for side in ("green", "blue"):
            ours.processes[side].kill()
            ours.processes[side].wait()
            ours.begin(side, port)
        ours.applied(2)
        status, body = ours.client(port).predict()
        assert (status, body["version"], body["predictions"][0]["version"]) == (200, "v2", "v2")
        green = ours.status("green").champion
        assert green is not None
        wait(lambda: (ours.status("green").champion or green).asked == 1, ours.log)


def gateway(project: Path, port: int, sets: int) -> GatewayProcesses:
    """Return what keeps the project's workers, as `anew up` does."""
    traffic = FileTraffic(project / ".anew", Verifier.load(project / ".anew" / "keys"))
    return GatewayProcesses(
        projects=(project,), log=project / ".anew" / "logs", host="127.0.0.1", port=port, count=1, sets=sets,
        living=lambda: traffic.workers("small"),
    )  # fmt: skip


def answered_by(port: int) -> str:
    """Return the name of the worker that answers, empty when nobody does."""
    try:
        name: str = httpx.get(f"http://127.0.0.1:{port}/stats", timeout=5).json()["worker"]
    except httpx.TransportError:
        return ""
    return name


def test_one_set_becomes_two_and_a_control_plane_that_comes_anew_makes_their_ways_anew(tmp_path: Path) -> None:
    project = served_project(tmp_path / "p", "small", workers=1)
    accept(load(project))
    port = free_port("127.0.0.1")
    first, second = gateway(project, port, 1), gateway(project, port, 2)
    try:
        first.start()
        wait(lambda: answered_by(port) == "0")
        first.renew(1, 2)
        wait(lambda: any("replaced" in said for said in first.keep()), seconds=60)
        assert [each.name for each in first._workers] == ["0a", "green0a"]
        wait(lambda: answered_by(port) == "0a")  # blue, which alone answers
        assert {answered_by(port) for _ in range(20)} == {"0a"}
        first._let_go(0)  # as when it is killed; its workers go on
        assert second.start()
        second.renew(1, 2)
        wait(lambda: any("replaced" in said for said in second.keep()), seconds=60)
        assert [each.name for each in second._workers] == ["0", "green0"]
        wait(lambda: answered_by(port) == "0")
        second._workers[0].signal(signal.SIGKILL)
        wait(lambda: not second.keep() and answered_by(port) == "0", seconds=60)
    finally:
        second.stop()
        first.stop()


@pytest.mark.parametrize("room", [True, False], ids=["", "control: no report can be written for a while"])
def test_a_worker_that_hangs_is_killed_and_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, room: bool
) -> None:
    monkeypatch.setattr(silence, "MOST_SILENT_S", 6.0)
    project = served_project(tmp_path / "p", "small", workers=1)
    accept(load(project))
    port = free_port("127.0.0.1")
    ours = gateway(project, port, 1)
    said: list[str] = []
    probe, until = GatewayProcesses._can_be_written, time.monotonic()
    monkeypatch.setattr(GatewayProcesses, "_can_be_written", lambda it: time.monotonic() > until and probe(it))
    try:
        ours.start()
        wait(lambda: answered_by(port) == "0")
        (hung,) = ours._workers
        said += ours.keep()
        hung.signal(signal.SIGSTOP)
        until = time.monotonic() + (0.0 if room else 9.0)
        end = time.monotonic() + 11.0
        while time.monotonic() < end and hung.code() is None:
            said += ours.keep()
            time.sleep(0.1)
        assert (hung.code() is not None) == room
        assert sum("has said nothing for" in each for each in said) == room
        if room:
            wait(lambda: not ours.keep() and answered_by(port) == "0", seconds=60)
            assert ours._workers[0].pid != hung.pid
    finally:
        hung.signal(signal.SIGCONT)
        ours.stop()


def test_workers_that_end_again_and_again_are_told_as_what_the_version_may_do(tmp_path: Path) -> None:
    project = served_project(tmp_path / "p", "small", workers=1)
    accept(load(project))
    port = free_port("127.0.0.1")
    ours = gateway(project, port, 1)
    said: list[str] = []
    try:
        ours.start()
        for ends in range(1, 4):
            wait(lambda: answered_by(port) == "0", seconds=60)
            ours._workers[0].signal(signal.SIGKILL)
            while sum("ended with" in each for each in said) < ends:
                said += ours.keep()
                time.sleep(0.05)
            assert any("the loop goes back to that" in each for each in said) == (ends == 3)
            wait(lambda: not ours.keep() and ours._workers[0].again_at is None, seconds=60)
    finally:
        ours.stop()
