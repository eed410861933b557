"""A freeze keeps a challenger where it is; harm is taken back all the same."""

from datetime import timedelta

from anew.domain.facts import FreezeBegan, FreezeEnded, RolloutHeld, Stage
from anew.rollout import Rollout
from tests.rollout.telling import T0, Story, approved, kinds, look, routing, tripped

BEGAN = FreezeBegan(model="m", at=T0, window="weekend", until=T0 + timedelta(days=2))
ENDED = FreezeEnded(model="m", at=T0, window="weekend")


def test_no_step_is_taken_in_a_freeze_and_the_first_look_after_it_takes_it() -> None:
    story = Story().champion().challenger()
    (held,) = story.hear(BEGAN)
    assert isinstance(held, RolloutHeld)
    assert "freeze weekend, until 2024-01-03 00:00 UTC" in held.reason
    assert story.hear(look("v2", Stage.SHADOW, 1, 1.0)) == []
    assert kinds(story.hear(ENDED)) == ["RolloutResumed"]
    assert kinds(story.hear(look("v2", Stage.SHADOW, 2, 1.0))) == ["TrafficShifted"]


def test_without_a_freeze_the_same_look_takes_the_step() -> None:
    story = Story().champion().challenger()
    assert kinds(story.hear(look("v2", Stage.SHADOW, 1, 1.0))) == ["TrafficShifted"]


def test_harm_is_taken_back_in_a_freeze() -> None:
    story = Story().champion().challenger()
    story.hear(BEGAN)
    assert kinds(story.hear(look("v2", Stage.SHADOW, 1, -1.0))) == ["RolledBack", "TrafficShifted"]
    story = Story().champion().challenger()
    story.hear(BEGAN)
    assert kinds(story.hear(tripped("v2"))) == ["RolledBack", "TrafficShifted"]
    assert routing(story)[0] == "v1"


def test_blue_green_switches_when_the_freeze_has_ended() -> None:
    for frozen in (True, False):
        story = Story(stage=Rollout(blue_green=True)).champion()
        story.hear(approved("v2", champion="v1"), *[BEGAN] * frozen)
        assert ("VersionPromoted" in kinds(story.applied())) is not frozen
        assert routing(story)[0] == ("v1" if frozen else "v2")
        assert ("VersionPromoted" in kinds(story.hear(ENDED))) is frozen
