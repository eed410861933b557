"""Challengers that crash, hang and talk nonsense never reach a caller: real processes."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from anew.adapters.process_table import process_started
from anew.domain.facts import Arm, Stage, TrafficShifted
from anew.domain.observation import Prediction
from anew.rollout import position
from tests.system.gateway_bed import MODEL, Bed, Client, bed, children, wait

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
        assert status == 200, body
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
def test_control_a_challenger_that_is_well_answers_everyone(tmp_path: Path) -> None:
    """So it is asked, and nothing but its failure has the champion answer."""
    with bed(tmp_path, deadline_ms=2000) as ours:
        assert ask(canary(ours), 40) == {(2.0, "v2", "challenger"): 40}
        assert not _health(ours).tripped


@pytest.mark.fault("P6")
@pytest.mark.parametrize("behaviour", ["raise", "nan", "short", "text"])
def test_control_the_same_failures_reach_the_caller_of_a_version_that_nobody_stands_in_for(
    tmp_path: Path, behaviour: str
) -> None:
    with bed(tmp_path, deadline_ms=2000) as ours:
        ours.shift(ours.version("v2", behaviour=behaviour))
        client = ours.client(ours.begin())
        ours.applied(1)
        assert {client.predict(amount=1.0, customer=str(i))[0] for i in range(5)} == {500}


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
        wait(lambda: _health(ours).cpu_s > 0, ours.log)
        before = _health(ours).cpu_s
        assert ask(client, 1, amount=100.0) == {(1.0, "v1", "fallback"): 1}
        wait(lambda: (2.0, "v2", "challenger") in ask(client, 1), ours.log)
        wait(lambda: _health(ours).cpu_s > before, ours.log)  # what the first process took still counts


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
        started = children(gateway.pid)
        assert len(started) == 2, "the challenger's process and the journal's"
        assert None not in map(process_started, started)
        gateway.kill()
        gateway.wait()
        wait(lambda: {process_started(child) for child in started} == {None})


def _health(ours: Bed) -> Any:
    health = ours.status().challenger
    assert health is not None
    return health


def _trial(ours: Bed, *versions: tuple[str, str]) -> int:
    """Publish a trial of `versions`, a quarter of the keys each, beside v1."""
    placed = [Arm(version=name, digest=digest, low=0.25 * i, share=0.25) for i, (name, digest) in enumerate(versions)]
    ours.epoch += 1
    ours.traffic.publish(
        TrafficShifted(
            model=MODEL,
            at=datetime.now(UTC),
            epoch=ours.epoch,
            stage=Stage.AB,
            share=0.25,
            champion=ours.version("v1"),
            challenger=placed[0].pair,
            arms=tuple(placed),
            trial="v2",
        )
    )
    return ours.epoch


def test_arms_side_by_side_answer_their_own_keys_and_a_broken_one_costs_nobody_an_answer(tmp_path: Path) -> None:
    with bed(tmp_path, deadline_ms=2000) as ours:
        second, third, broken = ours.version("v2"), ours.version("v3"), ours.version("v4", behaviour="crash")
        _trial(ours, second, third, broken)
        client = ours.client(ours.begin())
        ours.applied(1)
        rows = [{"amount": 1.0, "shop": "a", "count": 1, "customer": str(i)} for i in range(200)]

        def asked() -> dict[str, tuple[str, str]]:
            status, body = client.call("POST", "/predict", {"rows": rows})
            assert status == 200
            said = body["predictions"]
            assert {float(each["version"][1:]) == each["output"] for each in said} == {True}
            return {str(row["customer"]): (each["version"], each["arm"]) for row, each in zip(rows, said, strict=True)}

        first = asked()
        place = {key: int(4 * position(MODEL, "v2", key)) for key in first}
        arms = [("v2", "challenger"), ("v3", "challenger"), ("v1", "fallback"), ("v1", "champion")]
        assert {key: arms[place[key]] for key in first} == first
        wait(lambda: any(each.tripped for each in ours.status().challengers), ours.log)
        assert [each.version for each in ours.status().challengers if each.tripped] == ["v4"]
        assert asked() == first
        _trial(ours, second, third)
        ours.applied(2)
        left = asked()
        assert {key: left[key] for key in first if place[key] < 2} == {k: first[k] for k in first if place[k] < 2}
        assert {left[key] for key in first if place[key] == 2} == {("v1", "champion")}
        wait(lambda: all(each.asked >= 2 * len(rows) // 5 for each in ours.status().challengers), ours.log)
        assert [each.version for each in ours.status().challengers] == ["v2", "v3"], "and their counts go on"
        kept = [one for one in ours.kept() if isinstance(one, Prediction)]
        told = Counter([*first.values()] * 2) + Counter(left.values())
        assert Counter((one.version, one.arm) for one in kept) == told
        beside = {one.shadow_version for one in kept if one.arm == "challenger"}
        assert beside == {"v1"}, "what the champion would have said is kept beside"
