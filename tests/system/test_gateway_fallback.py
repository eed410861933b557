"""A champion that begins to fail on live rows after its promotion: real workers, and the loop that guards them."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from anew.domain.observation import Prediction
from anew.registry import Standing
from tests.guarded_loop import GuardedLoop
from tests.system.gateway_bed import MODEL, Bed, Client, bed, wait

pytestmark = pytest.mark.system


@contextmanager
def guarded(ours: Bed) -> Iterator[GuardedLoop]:
    """Guard the workers of a bed as the control plane does."""
    plane, stop = GuardedLoop(MODEL, ours.traffic, ours.project / ".anew"), threading.Event()
    problems: list[BaseException] = []

    def turn() -> None:
        try:
            while not stop.wait(0.05):
                plane.turn()
        except BaseException as exc:  # noqa: BLE001 - it is raised by the test
            problems.append(exc)

    thread = threading.Thread(target=turn)
    thread.start()
    try:
        yield plane
    finally:
        stop.set()
        thread.join()
    assert problems == []


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
