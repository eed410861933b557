"""Versions that break a limit without labels: found once for each routing, and gone back from if there is a way."""

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from anew.adapters.file_traffic import FileTraffic
from anew.adapters.process_table import process_started
from anew.adapters.signing import Signer
from anew.domain.facts import GuardrailTripped, QuarantineReleased, RolledBack, RolloutHeld, Stage, TrafficShifted
from anew.ports.traffic import VersionHealth, WorkerStatus
from anew.registry import Standing
from anew.rollout import WATCHED, Probation, Rollout, RolloutState
from tests.guarded_loop import LIMITS, GuardedLoop

T0 = datetime(2026, 6, 1, tzinfo=UTC)
GOOD = VersionHealth(version="v2", asked=1000, recent_asked=250)
TRIPPED = replace(GOOD, failed={"error": 6}, recent_failed=6, tripped="6 of its last 250 rows failed (in all: error 6)")
CHAMPION = RolloutState(champion=("v2", "d2"), fallback=("v1", "d1"), shifts="s", epoch=2, applied=2)
PROBATION = Probation(challenger=("v3", "d3"), stage=Stage.SHADOW, share=0.0, since=T0, progress=T0)


def status(champion: VersionHealth | None = None, challenger: VersionHealth | None = None) -> WorkerStatus:
    return WorkerStatus(
        model="m",
        worker="7",
        pid=os.getpid(),
        started=process_started(os.getpid()) or 0,
        port=1,
        at=T0,
        epoch=1,
        champion=champion,
        challenger=challenger,
    )


def broken(state: RolloutState, *workers: WorkerStatus) -> GuardrailTripped | None:
    return LIMITS.broken(state, workers, "m", T0)


def test_a_champion_that_tripped_is_found_by_its_last_rows_and_under_its_routing() -> None:
    found = broken(CHAMPION, status(GOOD), status(TRIPPED))
    assert found is not None
    assert (found.version, found.guardrail, found.cause) == ("v2", "error_rate", "s")
    assert found.reason == "worker 7: 6 of its last 250 rows failed (in all: error 6)"
    (evidence,) = found.evidence
    assert (evidence.value, evidence.n, evidence.reference) == (6 / 250, 250, 0.02)


@pytest.mark.parametrize(
    "health",
    [
        None,
        GOOD,
        replace(TRIPPED, version="v1"),
        replace(GOOD, failed={"error": 900}),  # nobody could answer these rows: the worker did not trip
        replace(TRIPPED, recent_asked=0, recent_failed=0),  # nothing measured
        replace(GOOD, asked=1000, latency=(0,) * 70 + (1000,)),
    ],
    ids=["unknown", "good", "another", "excused", "unmeasured", "slow"],
)
def test_other_champions_are_left_alone(health: VersionHealth | None) -> None:
    assert broken(CHAMPION, status(health)) is None


def test_a_champion_without_a_fallback_is_not_judged() -> None:
    assert broken(replace(CHAMPION, fallback=("", "")), status(TRIPPED)) is None


def test_every_arm_of_a_trial_is_judged() -> None:
    rivals = (replace(PROBATION, challenger=("v4", "d4")), replace(PROBATION, challenger=("v5", "d5")))
    state = replace(CHAMPION, probation=PROBATION, rivals=rivals)
    bad = replace(TRIPPED, version="v5")
    told = replace(status(GOOD, replace(GOOD, version="v3")), rivals=(replace(GOOD, version="v4"), bad))
    found = broken(state, told)
    assert found is not None
    assert found.version == "v5"
    assert broken(replace(state, rivals=rivals[:1]), told) is None, "it is off traffic already"


@pytest.mark.parametrize(
    ("health", "guardrail"),
    [
        (VersionHealth(version="v3", asked=100, failed={"deadline": 3, "error": 2}), "error_rate"),
        (replace(TRIPPED, version="v3"), "error_rate"),
        (VersionHealth(version="v3", asked=200, latency=(0,) * 70 + (200,)), "p99_ms"),
        (VersionHealth(version="v3", asked=100, failed={"deadline": 4}), ""),
        (VersionHealth(version="v3", asked=500, failed={"deadline": 10}), ""),
        (VersionHealth(version="v3", asked=5, latency=(0,) * 70 + (5,)), "p99_ms"),
        (VersionHealth(version="v3", asked=4, latency=(0,) * 70 + (4,)), ""),
        (VersionHealth(version="v3", asked=199, latency=(193, *(0,) * 69, 6)), ""),
        (VersionHealth(version="v3", asked=2000, latency=(1970, *(0,) * 69, 30)), ""),
        (VersionHealth(version="v3", asked=2000, latency=(1955, *(0,) * 69, 45)), "p99_ms"),
        (VersionHealth(version="v3", asked=200, latency=(0,) * 54 + (200,)), ""),
        (VersionHealth(version="v3", asked=200, latency=(0,) * 55 + (200,)), "p99_ms"),
    ],
    ids=[
        "all rows",
        "last rows",
        "slow",
        "too few errors",
        "not above the share",
        "slow from the first on",
        "too few slow ones",
        "slow by chance",
        "by chance among many",
        "slow among many",
        "in the step of the limit",
        "in the step above it",
    ],
)
def test_a_challenger_is_judged_by_all_its_rows_and_by_the_last(health: VersionHealth, guardrail: str) -> None:
    found = broken(replace(CHAMPION, probation=PROBATION), status(GOOD, health))
    assert ("" if found is None else found.guardrail) == guardrail
    assert broken(CHAMPION, status(GOOD, health)) is None  # it is on probation no more


def test_latency_is_judged_over_all_workers() -> None:
    state = replace(CHAMPION, probation=PROBATION)
    few = status(GOOD, VersionHealth(version="v3", asked=3, latency=(0,) * 70 + (3,)))
    assert broken(state, few) is None
    found = broken(state, few, replace(few, worker="8"))
    assert found is not None
    assert found.reason == "6 of 6 answers took longer than 1000 ms; one in a hundred may"
    assert [(each.n, each.reference) for each in found.evidence] == [(6, 1000.0)]


def test_a_champion_that_took_all_traffic_at_once_is_held_to_the_latency_at_first() -> None:
    slow = [status(replace(GOOD, latency=(0,) * 70 + (20,)))]
    switched, state = replace(LIMITS, switched=True), replace(CHAMPION, promoted=T0)
    found = switched.broken(state, slow, "m", T0)
    assert found is not None
    assert (found.version, found.guardrail) == ("v2", "p99_ms")
    assert LIMITS.broken(state, slow, "m", T0) is None, "it was a challenger before"
    assert switched.broken(replace(state, fallback=("", "")), slow, "m", T0) is None
    assert switched.broken(state, slow, "m", T0 + WATCHED) is None, "then it is the machine rather"


def test_a_champion_that_was_gone_back_to_is_no_new_one() -> None:
    state = replace(CHAMPION, promoted=T0)
    assert state.newcomer(T0) == "v2"
    back = RolledBack(model="m", at=T0, version="v2", to="v1", evidence=(), reason="")
    after = replace(Rollout().apply(state, back), fallback=("v0", "d0"))  # gateways may have kept one
    assert (after.champion[0], after.newcomer(T0)) == ("v1", "")


@pytest.mark.fault("P8")
def test_control_a_limit_that_was_dropped_on_its_way_trips_for_nobody() -> None:
    """What a guardrail on an unknown name would come to if it were taken: hence it is an error."""
    slow = replace(GOOD, version="v3", asked=1000, latency=(0,) * 70 + (1000,))
    state = replace(CHAMPION, probation=PROBATION)
    assert broken(state, status(GOOD, slow)) is not None
    assert replace(LIMITS, p99_ms=None).broken(state, [status(GOOD, slow)], "m", T0) is None


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[GuardedLoop]:
    """v2 serves, v1 is its fallback, and one worker answers by that."""
    signer = Signer.load_or_create(tmp_path / "keys")
    made = GuardedLoop("m", FileTraffic(tmp_path, signer.verifier, signer), tmp_path)
    made.traffic.report(status())
    made.approve(("v1", "d1"))
    settle(made)
    yield made


def settle(plane: GuardedLoop, champion: VersionHealth | None = None) -> None:
    """Let the worker apply whatever is asked for."""
    for _ in range(6):
        plane.turn()
        (worker,) = plane.traffic.workers("m")
        plane.traffic.report(replace(worker, epoch=plane.rollout.epoch, champion=champion))
    assert plane.rollout.in_force


def promoted(plane: GuardedLoop) -> GuardedLoop:
    plane.approve(("v2", "d2"))
    settle(plane)
    plane.promote()
    settle(plane, GOOD)
    assert (plane.rollout.champion[0], plane.rollout.fallback[0]) == ("v2", "v1")
    return plane


def test_a_failing_champion_goes_back_to_its_fallback_once_and_is_quarantined(plane: GuardedLoop) -> None:
    promoted(plane)
    assert plane.trips() == []
    settle(plane, TRIPPED)
    settle(plane, TRIPPED)  # a worker that has not noticed yet
    assert plane.trips() == ["v2"]
    assert plane.back() == [("v2", "v1")]
    shift = plane.facts(TrafficShifted)[-1]
    assert (shift.stage, shift.champion, shift.fallback) == (Stage.STEADY, ("v1", "d1"), ("", ""))
    assert [each.version for each in plane.registry.standing(Standing.QUARANTINED)] == ["v2"]
    settle(plane, replace(TRIPPED, version="v1"))  # there is nothing to go back to any more
    assert plane.trips() == ["v2"]


def test_control_without_a_fallback_nothing_is_decided_and_nothing_recorded(plane: GuardedLoop) -> None:
    before = plane.log.head()
    for _ in range(3):
        settle(plane, replace(TRIPPED, version="v1"))
    assert plane.facts(GuardrailTripped) == []
    assert plane.facts(RolloutHeld) == []
    assert plane.rollout.champion[0] == "v1"
    assert plane.log.head() == before


def test_a_champion_that_fails_during_a_probation_ends_it_and_then_goes_back(plane: GuardedLoop) -> None:
    promoted(plane).approve(("v3", "d3"))
    settle(plane, GOOD)
    assert plane.rollout.probation is not None
    settle(plane, TRIPPED)
    settle(plane, TRIPPED)
    assert plane.trips() == ["v2", "v2"]
    assert plane.back() == [("v3", "v2"), ("v2", "v1")]
    assert plane.rollout.champion[0] == "v1"
    assert plane.rollout.probation is None


def test_a_released_version_that_breaks_the_same_limit_again_goes_back_again(plane: GuardedLoop) -> None:
    settle(promoted(plane), TRIPPED)
    assert plane.back() == [("v2", "v1")]
    plane.loop.submit(QuarantineReleased(model="m", at=T0, command="c", version="v2", by="ada", reason="repaired"))
    promoted(plane)
    settle(plane, TRIPPED)
    assert plane.trips() == ["v2", "v2"]
    assert plane.back() == [("v2", "v1"), ("v2", "v1")]
