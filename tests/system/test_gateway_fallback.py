"""A champion that begins to fail on live rows after its promotion: real workers, and the loop that guards them."""

import http.client
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from anew.app.workers import GatewayProcesses, free_port
from anew.domain.observation import Prediction
from anew.registry import Standing
from tests.guarded_loop import GuardedLoop
from tests.system.gateway_bed import MODEL, Bed, Client, Load, bed, wait

pytestmark = pytest.mark.system


@contextmanager
def turning(turn: Callable[[], object]) -> Iterator[None]:
    """Turn again and again beside the block, as a control plane does."""
    stop, problems = threading.Event(), list[BaseException]()

    def turns() -> None:
        try:
            while not stop.wait(0.05):
                turn()
        except BaseException as exc:  # noqa: BLE001 - it is raised by the test
            problems.append(exc)

    thread = threading.Thread(target=turns)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert problems == []


@contextmanager
def guarded(ours: Bed) -> Iterator[GuardedLoop]:
    """Guard the workers of a bed as the control plane does."""
    plane = GuardedLoop(MODEL, ours.traffic, ours.project / ".anew")
    with turning(plane.turn):
        yield plane


def ask(client: Client, count: int, amount: float) -> Counter[tuple[int, str, str]]:
    """Return how often each (status, version, arm) came."""
    seen: Counter[tuple[int, str, str]] = Counter()
    for i in range(count):
        status, body = client.predict(amount=amount, customer=str(i))
        entry = body["predictions"][0] if status == 200 else {"version": "", "arm": ""}
        if status == 200:
            assert entry["output"] == float(entry["version"][1:])
        seen[status, entry["version"], entry["arm"]] += 1
    return seen


def test_a_champion_that_begins_to_fail_costs_no_caller_anything_and_goes_back(tmp_path: Path) -> None:
    with bed(tmp_path) as ours, guarded(ours) as plane:
        clients = [ours.client(ours.begin("0")), ours.client(ours.begin("1"))]
        plane.approve(ours.version("v1"))
        wait(lambda: plane.rollout.in_force, ours.log)
        plane.approve(ours.version("v2", behaviour="raise_sometimes"))
        wait(lambda: plane.rollout.in_force, ours.log)
        plane.promote()
        wait(lambda: plane.rollout.in_force, ours.log)
        assert ask(clients[0], 200, amount=1.0) == {(200, "v2", "champion"): 200}  # a good past
        seen: Counter[tuple[int, str, str]] = Counter()

        def gone_back() -> bool:
            for client in clients:
                seen.update(ask(client, 5, amount=100.0))
            return plane.rollout.champion[0] == "v1" and plane.rollout.in_force

        wait(gone_back, ours.log, seconds=5.0)
        assert set(seen) <= {(200, "v1", "fallback"), (200, "v1", "champion")}
        assert seen[200, "v1", "fallback"] >= 5
        assert ask(clients[1], 5, amount=100.0) == {(200, "v1", "champion"): 5}
        assert plane.trips() == ["v2"]
        assert plane.back() == [("v2", "v1")]
        assert [each.version for each in plane.registry.standing(Standing.QUARANTINED)] == ["v2"]
        kept = [one for one in ours.kept() if isinstance(one, Prediction) and one.arm == "fallback"]
        assert len(kept) == seen[200, "v1", "fallback"]
        assert {one.shadow_problem for one in kept} <= {"champion error", "champion tripped"}
        assert {(one.version, one.shadow_version) for one in kept} == {("v1", "v2")}


def test_control_without_a_fallback_the_caller_is_told_that_it_failed(tmp_path: Path) -> None:
    with bed(tmp_path) as ours, guarded(ours) as plane:
        client = ours.client(ours.begin())
        plane.approve(ours.version("v2", behaviour="raise_sometimes"))
        wait(lambda: plane.rollout.in_force, ours.log)
        assert ask(client, 20, amount=100.0) == {(500, "", ""): 20}
        assert ask(client, 5, amount=1.0) == {(200, "v2", "champion"): 5}
        wait(lambda: ours.status().counts.get("champion_failed") == 20, ours.log)
        assert plane.rollout.champion[0] == "v2"
        assert plane.trips() == []
        assert plane.back() == []


@contextmanager
def kept_alive(ours: Bed) -> Iterator[int]:
    """Have workers started again, as `anew up` does; yields their port."""
    made = GatewayProcesses(
        projects=(ours.project,), log=ours.project / "logs", host="127.0.0.1", port=free_port("127.0.0.1"), count=2,
        living=lambda: ours.traffic.workers(MODEL), parts="tests.system.gateway_bed:parts",
    )  # fmt: skip
    made.start()
    try:
        with turning(made.keep):
            yield made.port
    finally:
        made.stop()


def asked(ours: Bed, port: int, amount: float) -> str:
    """Return the version that answers; empty where the connection breaks or nobody does."""
    try:
        status, body = ours.client(port).predict(amount=amount)
    except (OSError, http.client.HTTPException):
        return ""
    return str(body["version"]) if status == 200 else ""


def promoted(ours: Bed, plane: GuardedLoop, **told: str) -> None:
    """Have v1 serve, and then v2 in its place."""
    for version in (ours.version("v1"), ours.version("v2", **told)):
        plane.approve(version)
        wait(lambda: plane.rollout.in_force, ours.log)
    plane.promote()
    wait(lambda: plane.rollout.in_force, ours.log)


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers find the parts of a bed."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


@pytest.mark.usefixtures("importable")
@pytest.mark.fault("P5")
def test_a_champion_that_ends_the_processes_that_serve_it_goes_back(tmp_path: Path) -> None:
    with bed(tmp_path) as ours, guarded(ours) as plane, kept_alive(ours) as port:
        promoted(ours, plane, behaviour="crash_sometimes")
        wait(lambda: asked(ours, port, 1.0) == "v2", ours.log)
        wait(lambda: asked(ours, port, 100.0) == "v1" == plane.rollout.champion[0], ours.log, seconds=60.0)
        assert plane.trips() == ["v2"]
        assert plane.back() == [("v2", "v1")]
        assert [each.version for each in plane.registry.standing(Standing.QUARANTINED)] == ["v2"]


@pytest.mark.usefixtures("importable")
@pytest.mark.fault("P5")
def test_a_fallback_that_was_being_loaded_when_the_champion_ended_the_process_stands_in(tmp_path: Path) -> None:
    with bed(tmp_path) as ours:
        good, bad = ours.version("v1", load="slow", seconds=0.5), ours.version("v2", behaviour="crash_sometimes")
        ours.shift(bad, fallback=good)
        with kept_alive(ours) as port:  # rows that end it come from the beginning on
            wait(lambda: asked(ours, port, 100.0) == "v1", ours.log, seconds=60.0)


@pytest.mark.usefixtures("importable")
@pytest.mark.fault("P5")
def test_control_workers_that_are_killed_from_outside_take_no_champion_back(tmp_path: Path) -> None:
    with bed(tmp_path) as ours, guarded(ours) as plane, kept_alive(ours) as port:
        promoted(ours, plane, behaviour="slow", seconds="0.2")
        load = Load(port).start(4)
        for _ in range(4):
            before = {each.pid for each in ours.traffic.workers(MODEL)}
            os.kill(min(before), signal.SIGKILL)

            def again(before: set[int] = before) -> bool:
                return len({each.pid for each in ours.traffic.workers(MODEL)} - before) == 1

            wait(again, ours.log)
        load.stop()

        def both_serve() -> bool:
            said = [each.champion for each in ours.traffic.workers(MODEL) if each.epoch and each.champion]
            return [(each.version, each.tripped) for each in said] == [("v2", ""), ("v2", "")]

        wait(both_serve, ours.log)
        assert plane.trips() == []


@pytest.mark.usefixtures("importable")
@pytest.mark.fault("P5")
def test_a_champion_that_ends_every_process_while_it_is_loaded_is_not_loaded_again_and_again(tmp_path: Path) -> None:
    with bed(tmp_path) as ours, kept_alive(ours) as port:
        good, bad = ours.version("v1"), ours.version("v2", load="crash")
        ours.shift(good)
        wait(lambda: asked(ours, port, 1.0) == "v1", ours.log)
        ours.shift(bad, fallback=good)

        def stands_in() -> bool:
            said = [each.champion for each in ours.traffic.workers(MODEL) if each.champion and each.champion.tripped]
            return [each.version for each in said] == ["v2", "v2"] and asked(ours, port, 1.0) == "v1"

        wait(stands_in, ours.log, seconds=60.0)
