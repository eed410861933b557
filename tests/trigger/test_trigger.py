"""Persistence, cooldown, budget, commands, and when the trigger is busy."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.domain.fact import Fact
from anew.domain.facts import (
    AlertRaised,
    Arm,
    RetrainCommanded,
    RetrainRefused,
    RetrainRequested,
    RetrainWithheld,
    RolledBack,
    RolloutStarted,
    Stage,
    TrafficShifted,
    TrainingEnded,
    TrainingPlanned,
    VersionPromoted,
    WindowClosed,
    WindowScored,
)
from anew.domain.interval import Interval
from anew.domain.severity import Severity
from anew.trigger import Condition, Trigger, TriggerState
from anew.trigger.budget import Budget
from anew.trigger.cooldown import Cooldown

T0 = datetime(2024, 1, 1, tzinfo=UTC)
H = timedelta(hours=1)
PSI = "psi>0.25"


def window(hour: int, *, measured: bool = True, detector: str = PSI, version: str = "v1") -> WindowClosed:
    evidence = (Evidence.of(detector, 0.4 if measured else None, 500),)
    return WindowClosed(
        model="m",
        at=T0 + (hour + 1) * H,
        version=version,
        window=Interval(start=T0 + hour * H, end=T0 + (hour + 1) * H),
        n=500,
        rows="",
        evidence=evidence,
    )


def scored(hour: int, revision: int, at: int) -> WindowScored:
    return WindowScored(
        model="m",
        at=T0 + at * H,
        version="v1",
        window=Interval(start=T0 + hour * H, end=T0 + (hour + 1) * H),
        n=500,
        labelled=400,
        revision=revision,
        evidence=(Evidence.of(PSI, 0.4, 500),),
    )


def alert(hour: int, *, detector: str = PSI, version: str = "v1", at: int | None = None) -> AlertRaised:
    return AlertRaised(
        model="m",
        at=T0 + (hour + 1 if at is None else at) * H,
        detector=detector,
        version=version,
        window=Interval(start=T0 + hour * H, end=T0 + (hour + 1) * H),
        severity=Severity.HIGH,
        evidence=(),
        message="drift",
    )


def command(hour: int, name: str = "c") -> RetrainCommanded:
    return RetrainCommanded(model="m", at=T0 + hour * H, command=name, by="ada", reason="why not")


def requested(hour: int) -> RetrainRequested:
    return RetrainRequested(model="m", at=T0 + hour * H, reason="", triggers=(PSI,), severity=Severity.LOW)


def promoted(version: str, hour: int = 0) -> VersionPromoted:
    at = T0 + hour * H
    return VersionPromoted(model="m", at=at, version=version, digest="d", previous="", evidence=(), reason="")


def back(version: str, to: str, hour: int = 0) -> RolledBack:
    return RolledBack(model="m", at=T0 + hour * H, version=version, to=to, evidence=(), reason="")


def planned(version: str) -> TrainingPlanned:
    return TrainingPlanned(
        model="m",
        at=T0,
        version=version,
        champion="v1",
        span=Interval(start=T0, end=T0),
        holdout_share=0.1,
        seed=1,
        code="",
        settings="",
    )


def ended(version: str, outcome: str) -> TrainingEnded:
    return TrainingEnded(model="m", at=T0, version=version, outcome=outcome, detail="", compute_s=0.0)


def heard(
    trigger: Trigger, facts: Iterable[Fact], state: TriggerState | None = None
) -> tuple[TriggerState, list[Fact]]:
    """Fold and decide depth first, as the engine does; return the state and all decisions."""
    state = state or trigger.initial()
    decided: list[Fact] = []
    for fact in facts:
        state = trigger.apply(state, fact)
        for decision in trigger.decide(state, fact):
            state = trigger.apply(state, decision)
            decided.append(decision)
    return state, decided


def trigger(**given: object) -> Trigger:
    return Trigger(conditions=(Condition(detectors=(PSI,)), Condition(detectors=("slo",))), **given)  # type: ignore[arg-type]  # fields of Trigger


@pytest.mark.parametrize(
    ("story", "fires"),
    [
        ("a", [False]),
        ("aa", [False, False]),
        ("aaa", [False, False, True]),
        ("aaqa", [False, False, False]),
        ("aaqaaa", [False, False, False, False, True]),
        ("aaua", [False, False, True]),
        ("auauua", [False, False, True]),
        ("qaaa", [False, False, True]),
    ],
)
def test_three_measured_windows_in_a_row_are_needed(story: str, fires: list[bool]) -> None:
    """`a` alerts, `q` is quiet, `u` measured nothing: it neither breaks nor lengthens the run."""
    stage = Trigger(conditions=(Condition(detectors=(PSI,), windows=3),))
    state, found = stage.initial(), []
    for hour, kind in enumerate(story):
        state, _ = heard(stage, [window(hour, measured=kind != "u")], state)
        if kind == "a":
            state, decided = heard(stage, [alert(hour)], state)
            found.append(bool(decided))
    assert found == fires


def test_each_detector_has_its_own_run() -> None:
    stage = Trigger(conditions=(Condition(detectors=(PSI,), windows=2), Condition(detectors=("slo",), windows=2)))
    facts = [window(0), alert(0), window(1, detector="slo"), alert(1, detector="slo")]
    assert heard(stage, facts)[1] == []


def test_a_repeated_revision_does_not_lengthen_the_run() -> None:
    stage = Trigger(conditions=(Condition(detectors=(PSI,), windows=2),))
    assert heard(stage, [scored(0, 1, 1), alert(0), scored(0, 2, 2), alert(0, at=2)])[1] == []


def test_an_unlisted_detector_never_triggers() -> None:
    assert heard(trigger(), [window(0), alert(0, detector="other")])[1] == []


def test_alerts_on_another_version_than_the_champion_do_not_trigger() -> None:
    assert heard(trigger(), [promoted("v1"), window(0, version="v0"), alert(0, version="v0")])[1] == []


def test_a_run_ends_with_the_champion_that_it_was_seen_on() -> None:
    stage = Trigger(conditions=(Condition(detectors=(PSI,), windows=2),))
    before = [promoted("v2"), window(0, version="v2"), alert(0, version="v2")]
    _, decided = heard(stage, [*before, back("v2", "v1"), window(1), alert(1)])
    assert decided == []


def test_a_rolled_back_challenger_does_not_end_the_champions_run() -> None:
    stage = Trigger(conditions=(Condition(detectors=(PSI,), windows=2),))
    _, decided = heard(stage, [promoted("v1"), window(0), alert(0), back("v2", "v1"), window(1), alert(1)])
    assert [each.kind for each in decided] == ["RetrainRequested"]


def test_one_decision_per_window() -> None:
    _, decided = heard(trigger(), [window(0), alert(0), alert(0, detector="slo")])
    assert [each.kind for each in decided] == ["RetrainRequested"]


def test_silence_is_not_a_decision() -> None:
    _, decided = heard(trigger(), [window(0), alert(0), window(1), alert(1)])
    assert isinstance(decided[1], RetrainWithheld)
    assert decided[1].reason == "busy"
    assert dict(decided[1].considered)["under way"] == "requested"


@pytest.mark.parametrize(("hour", "reason"), [(2, "cooldown"), (3, "cooldown"), (4, "")])
def test_cooldown_ends_exactly_after_its_length(hour: int, reason: str) -> None:
    stage = trigger(cooldown=Cooldown(length=4 * H))
    state, _ = heard(stage, [requested(1), RetrainRefused(model="m", at=T0, by="policy", reason="")])
    _, decided = heard(stage, [window(hour), alert(hour)], state)
    (found,) = decided
    assert found.kind == ("RetrainWithheld" if reason else "RetrainRequested")
    assert getattr(found, "reason") == reason or not reason  # noqa: B009  two classes of facts


def test_commands_are_not_held_by_cooldown_or_budget_but_count() -> None:
    budget = Budget(retrains=1, period=100 * H)
    stage = trigger(cooldown=Cooldown(length=4 * H), budget=budget)
    free = RetrainRefused(model="m", at=T0, by="policy", reason="")
    state, decided = heard(stage, [command(1, "a"), free, command(2, "b"), free])
    assert [each.kind for each in decided] == ["RetrainRequested", "RetrainRequested"]
    assert budget.left(state.requests, T0 + 3 * H) == 0
    assert heard(stage, [window(2), alert(2)], state)[1][0].kind == "RetrainWithheld"


@pytest.mark.parametrize("length", [0 * H, 4 * H])
def test_a_command_is_not_held_by_a_request_that_is_dated_later(length: timedelta) -> None:
    """The first request comes just after the newest row, and event time stands there while nobody serves."""
    stage = trigger(cooldown=Cooldown(length=length))
    state, _ = heard(stage, [requested(3), RetrainRefused(model="m", at=T0, by="policy", reason="")])
    _, decided = heard(stage, [command(2, "a")], state)
    assert [each.kind for each in decided] == ["RetrainRequested"]


def test_a_command_while_busy_is_withheld() -> None:
    _, decided = heard(trigger(), [command(1, "a"), command(2, "b")])
    assert [each.kind for each in decided] == ["RetrainRequested", "RetrainWithheld"]


def test_a_command_while_a_trial_has_no_place_left_is_told_that() -> None:
    arms = (Arm(version="v2", digest="d2", share=0.2), Arm(version="v3", digest="d3", low=0.2, share=0.3))
    routing = TrafficShifted(
        model="m", at=T0, epoch=1, stage=Stage.AB, share=0.2, champion=("v1", "d1"), challenger=("v2", "d2"),
        arms=arms, trial="v2",
    )  # fmt: skip
    _, (withheld,) = heard(Trigger(arms=2), [promoted("v1"), routing, command(1, "a")])
    assert isinstance(withheld, RetrainWithheld)
    assert (withheld.reason, withheld.detail) == ("busy", "no place is left in the trial (v2 v3)")
    _, decided = heard(Trigger(arms=3), [promoted("v1"), routing, command(1, "a"), command(2, "b")])
    assert isinstance(decided[1], RetrainWithheld)
    assert decided[1].detail == "a retrain is under way (requested)"


@pytest.mark.parametrize(("hour", "left"), [(9, 0), (10, 1), (11, 1), (12, 2)])
def test_budget_counts_the_period_that_ends_now(hour: int, left: int) -> None:
    budget = Budget(retrains=2, period=10 * H)
    assert budget.left([T0, T0 + 2 * H], T0 + hour * H) == left


def test_requests_that_come_out_of_order_still_count() -> None:
    """A late score asks in the past of the last request: no period around it may hold more than the budget."""
    assert Budget(retrains=2, period=10 * H).left([T0 + 5 * H, T0 + 6 * H], T0 + 4 * H) == 0
    state, _ = heard(trigger(), [requested(9), requested(3)])
    assert state.last == T0 + 9 * H


@pytest.mark.parametrize(
    "make",
    [
        lambda: Budget(retrains=-1, period=H),
        lambda: Budget(retrains=1, period=0 * H),
        lambda: Cooldown(length=-H),
    ],
)
def test_settings_that_cannot_be_are_refused(make: object) -> None:
    with pytest.raises(InvariantError):
        make()  # type: ignore[operator]  # a lambda of the table


@pytest.mark.parametrize(
    ("facts", "busy"),
    [
        ([planned("v2")], True),
        ([planned("v2"), ended("v2", "refused")], False),
        ([planned("v2"), ended("v2", "failed")], False),
        ([planned("v2"), ended("v2", "accepted")], True),
        ([planned("v2"), ended("v2", "accepted"), promoted("v2")], False),
        ([planned("v2"), ended("v2", "accepted"), back("v2", "v1")], False),
        ([planned("v2"), ended("v1", "failed")], True),
        ([planned("v2"), back("v1", "v0")], True),
        ([RetrainRefused(model="m", at=T0, by="policy", reason="")], False),
    ],
)
def test_busy_from_the_request_until_the_end(facts: list[Fact], busy: bool) -> None:
    state, _ = heard(trigger(), [command(0), *facts])
    assert state.running is busy


def test_an_overridden_candidate_on_probation_keeps_the_trigger_busy() -> None:
    """A refused candidate that a person lets through after all: a second one would only collide with it."""
    started = RolloutStarted(model="m", at=T0, version="v2", digest="d", champion="v1")
    state, _ = heard(trigger(), [command(0), planned("v2"), ended("v2", "refused"), started])
    assert state.running
    assert state.version == "v2"
    assert not heard(trigger(), [back("v2", "v1")], state)[0].running
