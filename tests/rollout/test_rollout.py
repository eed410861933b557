"""The way to traffic: steps, rollback, expiry, and shifts that failed."""

from collections.abc import Sequence

import pytest

from anew.domain.errors import InvariantError
from anew.domain.fact import Fact
from anew.domain.facts import (
    CandidateTrained,
    EffectFailed,
    RolledBack,
    RolloutHeld,
    RolloutStarted,
    Stage,
    VersionPromoted,
)
from anew.rollout import Judge, Outcome, Probation, Rollout, RolloutState, Ruling
from anew.rollout.ab import AB
from anew.rollout.canary import Canary
from anew.rollout.shadow import Shadow
from tests.rollout.telling import T0, ByMean, Story, approved, commanded, counts, kinds, look, routing, tick, tripped


def test_a_first_champion_is_promoted_at_once() -> None:
    story = Story()
    decided = story.hear(approved("v1", champion=""))
    assert kinds(decided) == ["RolloutStarted", "VersionPromoted", "TrafficShifted"]
    assert routing(story) == ("v1", "", "", 0.0)
    assert story.state.probation is None


def test_a_challenger_goes_through_shadow_and_every_step() -> None:
    story = Story().champion()
    shares, promoted = [], []
    assert kinds(story.hear(approved("v2", champion="v1"))) == ["RolloutStarted", "TrafficShifted"]
    for hour in range(1, 4):
        shares.append((story.shifts[-1].stage, story.shifts[-1].share))
        story.applied()
        assert story.state.probation is not None
        promoted = story.hear(look("v2", story.state.probation.stage, hour, 1.0))
    assert shares == [(Stage.SHADOW, 0.0), (Stage.CANARY, 0.1), (Stage.CANARY, 0.5)]
    assert kinds(promoted) == ["VersionPromoted", "TrafficShifted"]
    assert isinstance(promoted[0], VersionPromoted)
    assert promoted[0].previous == "v1"
    assert routing(story) == ("v2", "", "v1", 0.0)
    assert [shift.epoch for shift in story.shifts] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("gain", [0.0, 0.4, -0.4])
def test_a_look_that_decides_nothing_holds(gain: float) -> None:
    story = Story().champion().challenger()
    assert story.hear(look("v2", Stage.SHADOW, 1, gain)) == []


class Trusting:
    """Takes silence for consent."""

    def rule(self, probation: Probation) -> Ruling:  # noqa: ARG002  that is what is wrong with it
        """Go on."""
        return Ruling(outcome=Outcome.ADVANCE, reason="nobody complained")


@pytest.mark.fault("P7")
def test_control_a_judge_that_takes_silence_for_consent_promotes_without_a_label() -> None:
    story = Story(Rollout(shadow=Trusting(), canary=Trusting(), steps=())).champion().challenger()
    assert "VersionPromoted" in kinds(story.hear(look("v2", Stage.SHADOW, 1, 0.0, n=0)))


@pytest.mark.fault("P7")
@pytest.mark.parametrize("stage", [Shadow(), Canary(), AB()])
def test_no_judge_goes_on_without_a_label(stage: Judge) -> None:
    story = Story().champion().challenger()
    assert story.state.probation is not None
    assert stage.rule(story.state.probation).outcome is Outcome.HOLD


@pytest.mark.fault("P7")
def test_no_labels_hold_for_ever_and_then_expire() -> None:
    story = Story().champion().challenger()
    for hour in range(1, 11):
        assert story.hear(look("v2", Stage.SHADOW, hour, 0.0, n=0), tick(hour)) == []
    decided = story.hear(tick(11))
    assert kinds(decided) == ["RolledBack", "TrafficShifted"]
    assert routing(story) == ("v1", "", "", 0.0)


def test_labels_put_the_expiry_off() -> None:
    story = Story().champion().challenger()
    assert story.hear(look("v2", Stage.SHADOW, 8, 0.0), tick(18)) == []
    assert kinds(story.hear(tick(19))) == ["RolledBack", "TrafficShifted"]


def test_labels_do_not_put_it_off_for_ever() -> None:
    story = Story().champion().challenger()
    for hour in range(5, 41, 5):
        assert story.hear(look("v2", Stage.SHADOW, hour, 0.0), tick(hour)) == []
    decided = story.hear(tick(41))
    assert kinds(decided) == ["RolledBack", "TrafficShifted"]
    assert isinstance(decided[0], RolledBack)
    assert "no decision" in decided[0].reason


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_harm_goes_back_from_every_step(steps: int) -> None:
    story = Story().champion().challenger()
    stages = (Stage.SHADOW, Stage.CANARY, Stage.CANARY)
    for hour in range(1, steps + 1):
        story.hear(look("v2", stages[hour - 1], hour, 1.0))
        story.applied()
    decided = story.hear(look("v2", stages[steps], 9, -1.0, n=1000))
    assert kinds(decided) == ["RolledBack", "TrafficShifted"]
    assert isinstance(decided[0], RolledBack)
    assert (decided[0].version, decided[0].to) == ("v2", "v1")
    assert routing(story) == ("v1", "", "", 0.0)


@pytest.mark.parametrize("end", [tripped("v2"), commanded()], ids=["guardrail", "command"])
def test_a_challenger_goes_back_without_labels(end: Fact) -> None:
    story = Story().champion().challenger()
    assert kinds(story.hear(end)) == ["RolledBack", "TrafficShifted"]
    assert story.state.probation is None


@pytest.mark.parametrize(
    "other", [look("v9", Stage.SHADOW, 1, -1.0), tripped("v9"), tripped("v1")], ids=["look", "guardrail", "champion"]
)
def test_evidence_about_another_version_changes_nothing(other: Fact) -> None:
    story = Story().champion().challenger()
    assert story.hear(other) == []


def test_a_guardrail_that_comes_just_after_the_promotion_still_goes_back() -> None:
    story = Story().champion().promoted()
    decided = story.hear(tripped("v2"))
    assert kinds(decided) == ["RolledBack", "TrafficShifted"]
    assert routing(story) == ("v1", "", "", 0.0)
    assert story.hear(tripped("v1")) == []


def test_an_advance_waits_until_its_step_is_in_force() -> None:
    """What was seen before every gateway shifts is no evidence about the step."""
    story = Story().champion()
    story.hear(approved("v2", champion="v1"))
    assert story.hear(look("v2", Stage.SHADOW, 1, 1.0)) == []
    story.applied()
    assert kinds(story.hear(look("v2", Stage.SHADOW, 2, 1.0))) == ["TrafficShifted"]
    assert story.hear(look("v2", Stage.CANARY, 3, 1.0)) == []
    assert story.state.probation is not None
    assert story.state.probation.challenger_loss is None
    story.applied()
    assert kinds(story.hear(look("v2", Stage.CANARY, 4, 1.0))) == ["TrafficShifted"]


def test_harm_does_not_wait_until_the_step_is_in_force() -> None:
    story = Story().champion()
    story.hear(approved("v2", champion="v1"))
    assert kinds(story.hear(look("v2", Stage.SHADOW, 1, -1.0))) == ["RolledBack", "TrafficShifted"]


def test_looks_that_overlap_count_once() -> None:
    story = Story().champion().challenger()
    story.hear(look("v2", Stage.SHADOW, 5, 0.0), look("v2", Stage.SHADOW, 6, -1.0, n=1000, start=4))
    assert story.state.probation is not None
    assert story.state.probation.paired_down == counts(-1.0, 0.0, 10)


def test_a_command_takes_the_champion_back_to_its_fallback() -> None:
    story = Story().champion().promoted("v2", "v1")
    decided = story.hear(commanded())
    assert kinds(decided) == ["RolledBack", "TrafficShifted"]
    assert routing(story) == ("v1", "", "", 0.0)
    held = story.hear(commanded("again"))
    assert kinds(held) == ["RolloutHeld"]
    assert isinstance(held[0], RolloutHeld)
    assert "no fallback" in held[0].reason


@pytest.mark.fault("P4")
@pytest.mark.parametrize(
    ("order", "champion", "recorded"),
    [
        (["look", "command"], "v1", ["VersionPromoted", "TrafficShifted", "RolledBack", "TrafficShifted"]),
        (["command", "look"], "v1", ["RolledBack", "TrafficShifted"]),
    ],
)
def test_promote_and_rollback_at_once_have_one_order(order: Sequence[str], champion: str, recorded: list[str]) -> None:
    story = Story().champion().challenger()
    for stage, hour in ((Stage.SHADOW, 1), (Stage.CANARY, 2)):
        story.hear(look("v2", stage, hour, 1.0))
        story.applied()
    last: dict[str, Fact] = {"look": look("v2", Stage.CANARY, 3, 1.0), "command": commanded()}
    decided = [each for name in order for each in story.hear(last[name])]
    assert kinds(decided) == recorded
    assert routing(story) == (champion, "", "", 0.0)
    assert [shift.epoch for shift in story.shifts] == list(range(1, len(story.shifts) + 1))
    assert any(version == "v2" for version, _ in story.state.quarantined)


def test_a_shift_that_fails_takes_the_challenger_back() -> None:
    story = Story().champion()
    story.hear(approved("v2", champion="v1"))
    assert kinds(story.failed()) == ["RolledBack", "TrafficShifted"]


def test_a_way_back_that_failed_is_asked_for_again_at_the_next_tick() -> None:
    story = Story().champion().challenger()
    story.hear(tripped("v2"))
    assert story.failed() == []
    assert kinds(story.hear(tick(1))) == ["TrafficShifted"]
    assert routing(story) == ("v1", "", "", 0.0)
    assert story.failed() == []
    assert kinds(story.hear(tick(2))) == ["TrafficShifted"]
    story.applied()
    assert story.hear(tick(3)) == []


def test_a_promotion_that_cannot_be_published_goes_to_the_fallback() -> None:
    story = Story().champion().challenger()
    for stage, hour in ((Stage.SHADOW, 1), (Stage.CANARY, 2)):
        story.hear(look("v2", stage, hour, 1.0))
        story.applied()
    story.hear(look("v2", Stage.CANARY, 3, 1.0))
    assert kinds(story.failed()) == ["RolledBack", "TrafficShifted"]
    assert routing(story) == ("v1", "", "", 0.0)


def test_a_first_champion_that_cannot_be_published_is_asked_for_again() -> None:
    story = Story()
    story.hear(approved("v1", champion=""))
    assert kinds(story.failed()) == ["RolloutHeld"]
    assert kinds(story.hear(tick(1))) == ["TrafficShifted"]


def test_an_older_shift_that_fails_late_changes_nothing() -> None:
    story = Story().champion()
    story.hear(approved("v2", champion="v1"))
    late = EffectFailed(
        model="m", at=T0, cause=story.shifts[0].id, effect="shift", version="", reason="error", detail=""
    )
    assert story.hear(late) == []


def test_straight_from_shadow_without_steps() -> None:
    story = Story(Rollout(shadow=ByMean(), canary=ByMean(), steps=())).champion().challenger()
    assert kinds(story.hear(look("v2", Stage.SHADOW, 1, 1.0))) == ["VersionPromoted", "TrafficShifted"]


@pytest.mark.parametrize("steps", [(0.5, 0.1), (0.1, 0.1), (0.0,), (1.0,)])
def test_steps_that_are_none_are_refused(steps: tuple[float, ...]) -> None:
    with pytest.raises(InvariantError):
        Rollout(steps=steps)


def test_apply_never_needs_what_it_has_not_heard() -> None:
    """Folding knows no thresholds and no order: any fact may come first."""
    trained = CandidateTrained(
        model="m", at=T0, version="v1", champion="", digest="d", snapshot="", rows=1, compute_s=0.0
    )
    started = RolloutStarted(model="m", at=T0, version="v1", digest="d", champion="")
    for fact in (trained, started, look("v1", Stage.SHADOW, 1, 0.0), tripped("v1"), tick(1), commanded()):
        assert isinstance(Rollout().apply(RolloutState(), fact), RolloutState)
