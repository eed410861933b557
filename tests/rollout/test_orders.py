"""Orders to the gateways: what they come to, and how the record is made one with what serves since."""

from dataclasses import replace

import pytest

from anew.domain.errors import PolicyError
from anew.domain.facts import (
    Order,
    QuarantineReleased,
    RolledBack,
    RolloutHeld,
    Stage,
    TrafficApplied,
    TrafficOrdered,
    TrafficShifted,
)
from anew.domain.order import ordered
from anew.rollout import Rollout
from tests.rollout.telling import T0, ByMean, H, Story, approved, kinds, look, ordering, routing, tick, tripped

EPOCHS = 1_000


def test_a_rollback_goes_to_the_fallback_of_the_routing_and_outranks_every_epoch_of_the_loop() -> None:
    story = Story().champion().promoted("v2", "v1")
    made = ordering(story.shifts[-1], Order.ROLLBACK)
    assert (made.version, made.champion, made.fallback) == ("v2", ("v1", "d-v1"), ("", ""))
    assert made.epoch == EPOCHS
    assert ordering(replace(story.shifts[-1], epoch=EPOCHS + 7), Order.ROLLBACK).epoch == 2 * EPOCHS
    decided = story.hear(made)
    assert kinds(decided) == ["RolledBack", "TrafficShifted"]
    assert routing(story) == ("v1", "", "", 0.0)
    assert story.shifts[-1].epoch == EPOCHS + 1
    assert ("v2", "d-v2") in story.state.quarantined


@pytest.mark.fault("P4")
@pytest.mark.parametrize("published", [EPOCHS - 1, EPOCHS, 3 * EPOCHS - 1])
def test_an_order_is_heard_of_also_where_the_loop_has_decided_the_next_round_epoch_meanwhile(published: int) -> None:
    """What the loop decides after a routing has the epoch after that one's: no order may have the same."""
    story = Story().champion().promoted("v2", "v1")
    last = replace(story.shifts[-1], epoch=published)
    story.state = replace(story.state, epoch=published)
    story.hear(approved("v3", champion="v2"))
    assert story.state.epoch == published + 1
    made = ordering(last, Order.ROLLBACK)
    assert made.epoch - published >= EPOCHS // 2
    assert made.epoch % EPOCHS == 0


@pytest.mark.parametrize("action", [Order.ABORT, Order.ROLLBACK])
def test_while_a_challenger_is_on_probation_it_is_that_which_goes(action: Order) -> None:
    story = Story().champion().promoted("v2", "v1").challenger("v3", "v2")
    made = ordering(story.shifts[-1], action)
    assert (made.version, made.champion, made.fallback, made.stage) == (
        "v3",
        ("v2", "d-v2"),
        ("v1", "d-v1"),
        Stage.STEADY,
    )
    assert kinds(story.hear(made)) == ["RolledBack", "TrafficShifted"]
    assert routing(story) == ("v2", "", "v1", 0.0)
    assert kinds(story.hear(approved("v3", champion="v2"))) == ["RolledBack"], "it is not tried again"
    story.hear(QuarantineReleased(model="m", at=T0, command="c", version="v3", by="ada", reason="mended"))
    assert kinds(story.hear(approved("v3", champion="v2"))) == ["RolloutStarted", "TrafficShifted"]


@pytest.mark.parametrize("action", [Order.HOLD, Order.RESUME, Order.ABORT])
def test_without_a_rollout_there_is_nothing_to_steer(action: Order) -> None:
    story = Story().champion().promoted("v2", "v1")
    with pytest.raises(PolicyError, match="no rollout is under way"):
        ordering(story.shifts[-1], action)


def test_without_a_fallback_there_is_no_way_back() -> None:
    with pytest.raises(PolicyError, match="v1 has no fallback"):
        ordering(Story().champion().shifts[-1], Order.ROLLBACK)


def test_a_held_rollout_takes_no_step_and_goes_on_where_it_was() -> None:
    story = Story().champion().challenger()
    story.hear(look("v2", Stage.SHADOW, 1, 1.0))
    story.applied()
    story.hear(look("v2", Stage.CANARY, 2, 0.0))
    seen = story.state.probation
    assert kinds(story.hear(ordering(story.shifts[-1], Order.HOLD))) == ["RolloutHeld", "TrafficShifted"]
    assert routing(story) == ("v1", "v2", "", 0.1)
    story.applied()
    assert story.state.probation is not None
    assert seen is not None
    assert story.state.probation.challenger_loss == seen.challenger_loss, "what was seen of the step still counts"
    for hour in (3, 4, 5):
        assert story.hear(look("v2", Stage.CANARY, hour, 1.0)) == []
    assert kinds(story.hear(ordering(story.shifts[-1], Order.RESUME, "on"))) == ["RolloutResumed", "TrafficShifted"]
    story.applied()
    assert kinds(story.hear(look("v2", Stage.CANARY, 6, 1.0))) == ["TrafficShifted"]
    assert routing(story)[3] == 0.5


def test_harm_a_guardrail_and_time_end_a_held_rollout_all_the_same() -> None:
    def held() -> Story:
        story = Story().champion().challenger()
        story.hear(ordering(story.shifts[-1], Order.HOLD))
        return story

    assert kinds(held().hear(look("v2", Stage.SHADOW, 1, -1.0))) == ["RolledBack", "TrafficShifted"]
    assert kinds(held().hear(tripped("v2"))) == ["RolledBack", "TrafficShifted"]
    assert kinds(held().hear(tick(11))) == ["RolledBack", "TrafficShifted"]


def test_a_held_blue_green_switch_waits() -> None:
    story = Story(Rollout(blue_green=True)).champion()
    story.hear(approved("v2", champion="v1"))
    story.hear(ordering(story.shifts[-1], Order.HOLD))
    assert story.applied() == []
    story.hear(ordering(story.shifts[-1], Order.RESUME, "on"))
    assert kinds(story.applied()) == ["VersionPromoted", "TrafficShifted"]


def test_what_an_older_shift_comes_to_after_an_order_changes_nothing() -> None:
    """Its publication was outranked: that is no failure of the version it was for."""
    story = Story().champion().promoted("v2", "v1")
    old = story.shifts[-1]
    story.hear(ordering(old, Order.ROLLBACK))
    decided = story.hear(TrafficApplied(model="m", at=T0, cause=old.id, epoch=old.epoch, workers=1))
    assert decided == []
    assert not story.state.in_force
    story.applied()
    assert story.state.in_force


def met_by_a_promotion(action: Order, digest: str = "d-v2") -> tuple[Story, TrafficOrdered]:
    """Return a story and an order: the loop promoted v2 in the moment in which a person steered its canary.

    The gateways never answered by that: v1 serves there, and v0 is its fallback.
    """
    story = Story().champion("v0").promoted("v1", "v0").challenger("v2", "v1", digest)
    for stage, hour in ((Stage.SHADOW, 4), (Stage.CANARY, 5)):
        story.hear(look("v2", stage, hour, 1.0))
        story.applied()
    order = ordering(story.shifts[-1], action)
    assert "VersionPromoted" in kinds(story.hear(look("v2", Stage.CANARY, 6, 1.0)))
    return story, order


@pytest.mark.fault("P4")
@pytest.mark.parametrize("action", [Order.HOLD, Order.ABORT, Order.ROLLBACK])
def test_an_order_that_met_a_promotion_takes_back_what_was_promoted(action: Order) -> None:
    story, order = met_by_a_promotion(action)
    decided = story.hear(order)
    assert kinds(decided) == ["RolledBack", "TrafficShifted"]
    assert isinstance(decided[0], RolledBack)
    assert (decided[0].version, decided[0].to) == ("v2", "v1")
    assert ("release v2 to try it again" in decided[0].reason) == (action is Order.HOLD), "a hold says no word of going"
    assert routing(story) == ("v1", "", "v0", 0.0)
    assert (story.state.champion, story.state.fallback) == (("v1", "d-v1"), ("v0", "d-v0"))
    assert kinds(story.hear(tripped("v1"))) == ["RolledBack", "TrafficShifted"], "there is a way back as before"
    assert routing(story) == ("v0", "", "", 0.0)


def test_a_resume_that_met_a_promotion_leaves_it_what_it_is() -> None:
    story, order = met_by_a_promotion(Order.RESUME)
    assert kinds(story.hear(order)) == ["RolloutHeld", "TrafficShifted"]
    assert routing(story) == ("v2", "", "v1", 0.0)


def test_a_hold_of_nobody_leaves_a_promotion_what_it_is() -> None:
    """As it is given where an older routing is restored, from before the rollout."""
    story, order = met_by_a_promotion(Order.HOLD)
    of_nobody = replace(order, version="v1", stage=Stage.STEADY, share=0.0, challenger=("", ""))
    assert kinds(story.hear(of_nobody)) == ["RolloutHeld", "TrafficShifted"]
    assert routing(story) == ("v2", "", "v1", 0.0)


@pytest.mark.fault("P4")
def test_a_fallback_with_the_bytes_of_what_is_taken_back_is_none_any_more() -> None:
    story, order = met_by_a_promotion(Order.HOLD, digest="d-v0")
    story.hear(order)
    assert routing(story) == ("v1", "", "", 0.0)
    assert story.state.fallback == ("", "")


@pytest.mark.fault("P4")
def test_what_began_beside_a_promotion_that_an_order_takes_back_ends_with_it() -> None:
    story, order = met_by_a_promotion(Order.HOLD)
    story.hear(approved("v3", champion="v2", digest="d-v0"))
    decided = story.hear(order)
    assert [each.version for each in decided if isinstance(each, RolledBack)] == ["v3", "v2"]
    assert routing(story) == ("v1", "", "", 0.0), "the fallback has the bytes of v3, which went"


@pytest.mark.fault("P4")
@pytest.mark.parametrize("action", [Order.HOLD, Order.ABORT, Order.ROLLBACK])
def test_an_order_about_a_trial_takes_back_whichever_arm_it_finds_promoted(action: Order) -> None:
    story = Story(Rollout(arms=(0.2, 0.2), ab=ByMean())).champion()
    story.challenger("v2", "v1").challenger("v3", "v1")
    order = ordering(story.shifts[-1], action)
    assert order.version == "v2"
    assert "VersionPromoted" in kinds(story.hear(look("v3", Stage.AB, 1, 1.0)))
    assert story.state.champion[0] == "v3"
    decided = story.hear(order)
    assert [each.version for each in decided if isinstance(each, RolledBack)] == ["v3"]
    assert routing(story) == ("v1", "", "", 0.0)


def test_an_order_that_came_too_late_says_so_and_serves_what_is_on_record() -> None:
    story = Story().champion().challenger()
    order = ordering(story.shifts[-1], Order.ABORT)
    story.hear(tripped("v2"))
    decided = story.hear(order)
    assert kinds(decided) == ["RolloutHeld", "TrafficShifted"]
    assert isinstance(decided[0], RolloutHeld)
    assert "too late for v2" in decided[0].reason
    assert routing(story) == ("v1", "", "", 0.0)
    assert story.shifts[-1].epoch == EPOCHS + 1


def test_going_back_from_the_champion_ends_what_is_on_probation_beside_it() -> None:
    """Ordered while the routing with the challenger was not out yet."""
    story = Story().champion().promoted("v2", "v1")
    order = ordering(story.shifts[-1], Order.ROLLBACK)
    story.hear(approved("v3", champion="v2"))
    decided = story.hear(order)
    assert kinds(decided) == ["RolledBack", "RolledBack", "TrafficShifted"]
    assert len({fact.caused_by(order.id).id for fact in decided}) == 3, "the record takes no two facts of one id"
    assert routing(story) == ("v1", "", "", 0.0)


def test_an_order_names_its_command_and_a_repeat_of_it_is_the_same_fact() -> None:
    shift = Story().champion().promoted("v2", "v1").shifts[-1]
    one, two = (ordered(shift, Order.ROLLBACK, command="c", by="ada", reason="r") for _ in range(2))
    assert one == two
    assert one.id
    assert one.id != ordered(shift, Order.ROLLBACK, command="d", by="ada", reason="r").id


def test_orders_are_folded_without_anything_before_them() -> None:
    shift = TrafficShifted(
        model="m", at=T0, epoch=3, stage=Stage.STEADY, share=0.0, champion=("v2", "d"), fallback=("v1", "e")
    )
    stage = Rollout(shadow=ByMean(), canary=ByMean(), expire=10 * H)
    state = stage.apply(stage.initial(), ordering(shift, Order.ROLLBACK))
    assert state.epoch == EPOCHS
