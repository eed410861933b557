"""A challenger that is going nowhere gives way to a later candidate, and to nothing else."""

from datetime import timedelta

import pytest

from anew.domain.facts import (
    Order,
    RetrainRequested,
    RolloutStalled,
    RolloutSuperseded,
    Stage,
    TrafficShifted,
    TrainingPlanned,
)
from anew.domain.interval import Interval
from anew.domain.severity import Severity
from anew.registry import Registry, Standing
from anew.rollout import Rollout
from anew.trigger import Trigger
from tests.rollout.telling import T0, ByMean, H, Story, approved, kinds, look, ordering, routing, tick


def story() -> Story:
    """Return a story whose rollouts may stand still for 3 hours and last for 40."""
    stage = Rollout(shadow=ByMean(), canary=ByMean(), steps=(0.1, 0.5), expire=40 * H, patience=3 * H)
    return Story(stage).champion().challenger()


def stalled() -> Story:
    found = story()
    assert kinds(found.hear(tick(4))) == ["RolloutStalled"]
    return found


def test_one_that_takes_no_step_is_said_to_stall_once_with_what_was_seen() -> None:
    found = story()
    assert found.hear(look("v2", Stage.SHADOW, 2, 0.0), tick(3)) == []
    (said,) = found.hear(tick(4))
    assert isinstance(said, RolloutStalled)
    assert said.reason == "shadow, no step for 4h: seen"
    assert found.hear(tick(5), tick(6)) == []
    assert routing(found)[:2] == ("v1", "v2"), "it goes on"


def test_a_later_candidate_takes_its_place_and_nothing_is_held_against_it() -> None:
    found = stalled()
    decided = found.hear(approved("v3", champion="v1", hour=5))
    assert kinds(decided) == ["RolloutSuperseded", "RolloutStarted", "TrafficShifted"]
    assert isinstance(decided[0], RolloutSuperseded)
    assert (decided[0].version, decided[0].by) == ("v2", "v3")
    assert routing(found) == ("v1", "v3", "", 0.0)
    assert not found.state.quarantined
    assert found.state.probation is not None
    assert found.state.probation.challenger[0] == "v3"
    assert found.state.probation.paired_down is None


def test_one_that_goes_on_after_all_is_not_pushed_aside() -> None:
    found = stalled()
    found.hear(look("v2", Stage.SHADOW, 5, 1.0))
    found.applied()
    assert kinds(found.hear(approved("v3", champion="v1", hour=5))) == ["RolloutSuperseded"]
    assert routing(found) == ("v1", "v2", "", 0.1)


def test_one_that_a_person_holds_is_not_pushed_aside() -> None:
    found = stalled()
    found.hear(ordering(found.shifts[-1], Order.HOLD))
    (turned_away,) = found.hear(approved("v3", champion="v1", hour=5))
    assert isinstance(turned_away, RolloutSuperseded)
    assert turned_away.reason == "v2 is on probation already, and held by a person"
    held = story()
    held.hear(ordering(held.shifts[-1], Order.HOLD))
    assert held.hear(tick(9)) == []


def test_its_own_bytes_do_not_take_its_place() -> None:
    assert kinds(stalled().hear(approved("v3", champion="v1", digest="d-v2", hour=5))) == ["RolloutSuperseded"]


def test_each_that_gave_way_doubles_the_patience_with_the_next_and_a_decision_ends_that() -> None:
    found = stalled()
    found.hear(approved("v3", champion="v1", hour=5))
    found.applied()
    assert found.hear(tick(11)) == []
    assert kinds(found.hear(tick(12))) == ["RolloutStalled"]
    found.hear(approved("v4", champion="v1", hour=12))
    found.applied()
    assert found.hear(tick(24)) == []
    assert kinds(found.hear(tick(25))) == ["RolloutStalled"]
    found.hear(look("v4", Stage.SHADOW, 26, -1.0))
    assert found.state.passed_over == 0


def test_the_registry_retires_what_gave_way() -> None:
    registry = Registry()
    state = registry.initial()
    gone = RolloutSuperseded(model="m", at=T0, version="v2", by="v3", reason="no step")
    state = registry.apply(state, gone)
    assert state.versions["v2"].standing is Standing.RETIRED


def planned(version: str) -> TrainingPlanned:
    return TrainingPlanned(
        model="m",
        at=T0,
        version=version,
        champion="v1",
        span=Interval(start=T0, end=T0 + H),
        holdout_share=0.1,
        seed=1,
        code="",
        settings="",
    )


@pytest.mark.parametrize("on", [False, True])
def test_the_trigger_may_ask_again_once_a_rollout_has_stalled_until_that_goes_on(on: bool) -> None:
    trigger = Trigger()
    state = trigger.initial()
    asked = RetrainRequested(model="m", at=T0, reason="drift", triggers=("psi",), severity=Severity.HIGH, considered=())
    said = RolloutStalled(model="m", at=T0 + H, version="v2", evidence=(), reason="no step")
    state = trigger.apply(trigger.apply(state, asked), planned("v2"))
    assert state.running
    state = trigger.apply(state, said)
    assert not state.running
    if on:
        step = TrafficShifted(
            model="m",
            at=T0 + timedelta(hours=2),
            epoch=3,
            stage=Stage.CANARY,
            share=0.1,
            champion=("v1", "d1"),
            challenger=("v2", "d2"),
        )
        state = trigger.apply(state, step)
    assert (state.running, state.version) == ((True, "v2") if on else (False, ""))
    state = trigger.apply(trigger.apply(trigger.apply(state, asked), planned("v3")), said)
    assert (state.running, state.version) == (True, "v3"), "an older rollout that stalls frees nothing"
