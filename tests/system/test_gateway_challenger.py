"""Challengers that crash, hang and talk nonsense never reach a caller: real processes."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from anew.adapters.process_table import process_started
from anew.domain.observation import Prediction
from tests.system.gateway_bed import Bed, Client, bed, wait

pytestmark = pytest.mark.system


def canary(ours: Bed, **told: Any) -> Client:
    """Serve v1 with v2 as a challenger for everyone."""
    ours.shift(ours.version("v1"), ours.version("v2", **told), share=1.0)
    client = ours.client(ours.begin())
    ours.applied(1)
    return client


def ask(client: Client, count: int, amount: float = 1.0) -> Counter[tuple[float, str, str]]:
    """Return how often each (output, version, arm) came; every reply has to be 200."""
    seen: Counter[tuple[float, str, str]] = Counter()
    for i in range(count):
        status, body = client.predict(amount=amount, customer=str(i))
        assert status == 200
        (entry,) = body["predictions"]
        seen[entry["output"], entry["version"], entry["arm"]] += 1
    return seen


@pytest.mark.fault("P6")
@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [("crash", "crashed"), ("raise", "error"), ("nan", "nonsense"), ("short", "nonsense"), ("text", "nonsense")],
)
def test_a_broken_challenger_costs_the_caller_nothing(tmp_path: Path, behaviour: str, reason: str) -> None:
    with bed(tmp_path, deadline_ms=2000) as ours:
        client = canary(ours, behaviour=behaviour)
        assert ask(client, 40) == {(1.0, "v1", "fallback"): 40}
        wait(lambda: bool(_health(ours).tripped), ours.log)
        assert set(_health(ours).failed) == {reason}
        kept = [one for one in ours.kept() if isinstance(one, Prediction)]
        assert {one.shadow_problem for one in kept} == {reason, "tripped"}
        assert all(one.shadow_version == "v2" and one.shadow is None for one in kept)
        ours.shift(ours.version("v1"), ours.version("v2", behaviour=behaviour), share=1.0)
        ours.applied(2)
        asked = _health(ours).asked
        ask(client, 1)
        wait(lambda: _health(ours).asked > asked, ours.log)  # a newer epoch asks it again


@pytest.mark.fault("P6")
def test_a_hanging_challenger_is_cut_off_at_the_deadline_killed_and_tripped(tmp_path: Path) -> None:
    with bed(tmp_path, deadline_ms=50, misses_before_kill=3) as ours:
        client = canary(ours, behaviour="hang")
        assert ask(client, 12) == {(1.0, "v1", "fallback"): 12}
        wait(lambda: bool(_health(ours).tripped), ours.log)
        assert _health(ours).failed["deadline"] >= 3
        wait(lambda: "challenger_killed" in ours.log(), ours.log)


@pytest.mark.fault("P6")
def test_a_challenger_that_dies_on_some_inputs_is_started_again(tmp_path: Path) -> None:
    with bed(tmp_path, deadline_ms=2000, trip_failures=200) as ours:
        client = canary(ours, behaviour="crash_sometimes")
        assert ask(client, 5, amount=1.0) == {(2.0, "v2", "challenger"): 5}
        assert ask(client, 1, amount=100.0) == {(1.0, "v1", "fallback"): 1}
        wait(lambda: (2.0, "v2", "challenger") in ask(client, 1), ours.log)


def test_a_slow_shadow_delays_nobody_and_its_answer_joins_the_record(tmp_path: Path) -> None:
    with bed(tmp_path, deadline_ms=5000) as ours:
        ours.shift(ours.version("v1"), ours.version("v2", behaviour="slow", seconds=0.3))
        client = ours.client(ours.begin())
        ours.applied(1)
        assert ask(client, 4) == {(1.0, "v1", "champion"): 4}
        assert _health(ours).asked == 0  # all four were answered before the first shadow answer came
        wait(lambda: len(ours.kept()) == 4, ours.log)
        for one in ours.kept():
            assert isinstance(one, Prediction)
            assert (one.shadow_version, one.shadow_problem) == ("v2", "")
            assert one.shadow is not None
            assert one.shadow.output == 2.0
        assert client.call("GET", "/stats")[1]["counts"]["predictions"] == 4


def test_a_slow_canary_is_answered_by_the_champion_at_the_deadline(tmp_path: Path) -> None:
    with bed(tmp_path, deadline_ms=40, misses_before_kill=1000) as ours:
        client = canary(ours, behaviour="slow", seconds=0.2)
        assert ask(client, 4) == {(1.0, "v1", "fallback"): 4}
        kept = [one for one in ours.kept() if isinstance(one, Prediction)]
        assert [one.shadow_problem for one in kept] == ["deadline"] * 4


def test_keys_stick_to_their_arm_and_a_growing_share_only_adds_keys(tmp_path: Path) -> None:
    with bed(tmp_path, deadline_ms=5000) as ours:
        one, two = ours.version("v1"), ours.version("v2")
        ours.shift(one, two, share=0.2)
        client = ours.client(ours.begin())
        arms: list[set[int]] = []
        for epoch, share in enumerate((0.2, 0.2, 0.6, 1.0), 1):
            if epoch > 1:
                ours.shift(one, two, share=share)
            ours.applied(epoch)
            replies = [client.predict(customer=str(i))[1]["predictions"][0] for i in range(100)]
            arms.append({i for i, entry in enumerate(replies) if entry["arm"] == "challenger"})
        assert arms[0] == arms[1] < arms[2] < arms[3] == set(range(100))
        assert 8 <= len(arms[0]) <= 34  # binomial(100, 0.2), beyond 3 sd


def test_a_challenger_dies_with_its_gateway_even_while_it_hangs(tmp_path: Path) -> None:
    with bed(tmp_path, deadline_ms=30, misses_before_kill=1000, trip_failures=200) as ours:
        client = canary(ours, behaviour="hang")
        ask(client, 1)
        gateway = ours.processes["0"]
        (child,) = [int(pid) for pid in Path(f"/proc/{gateway.pid}/task/{gateway.pid}/children").read_text().split()]
        assert process_started(child) is not None
        gateway.kill()
        gateway.wait()
        wait(lambda: process_started(child) is None)


def _health(ours: Bed) -> Any:
    health = ours.status().challenger
    assert health is not None
    return health
