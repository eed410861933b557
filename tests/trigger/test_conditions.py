"""Combinations, severity, hysteresis, schedules, changes, new data, broken data: when the trigger asks."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.domain.fact import Fact
from anew.domain.facts import (
    AlertRaised,
    IncidentRaised,
    ProjectChanged,
    RetrainRefused,
    RetrainRequested,
    RetrainWithheld,
    RowsChecked,
    Ticked,
    VersionPromoted,
    WindowClosed,
    WindowScored,
)
from anew.domain.interval import Interval
from anew.domain.severity import Severity
from anew.trigger import Changes, Condition, NewData, Trigger, TriggerState
from anew.trigger.budget import Budget
from anew.trigger.cooldown import Cooldown
from anew.trigger.every import Every

T0 = datetime(2024, 1, 1, tzinfo=UTC)
H = timedelta(hours=1)
D = timedelta(days=1)


def span(hour: float, length: float = 1) -> Interval:
    return Interval(start=T0 + hour * H, end=T0 + (hour + length) * H)


def closed(hour: int, *detectors: str) -> WindowClosed:
    evidence = tuple(Evidence.of(each, 1.0, 500) for each in detectors)
    return WindowClosed(
        model="m", at=T0 + (hour + 1) * H, version="v1", window=span(hour), n=500, rows="", evidence=evidence
    )


def alert(hour: int, detector: str, severity: Severity = Severity.MEDIUM) -> AlertRaised:
    return AlertRaised(
        model="m",
        at=T0 + (hour + 1) * H,
        detector=detector,
        version="v1",
        window=span(hour),
        severity=severity,
        evidence=(),
        message=f"{detector} at {hour}",
    )


def promoted(hour: int = 0) -> VersionPromoted:
    at = T0 + hour * H
    return VersionPromoted(model="m", at=at, version="v1", digest="d", previous="", evidence=(), reason="")


def tick(at: datetime) -> Ticked:
    return Ticked(model="m", at=at, wall=at)


def refused(hour: int = 0) -> RetrainRefused:
    return RetrainRefused(model="m", at=T0 + hour * H, by="test", reason="")


def heard(
    trigger: Trigger, facts: Iterable[Fact], state: TriggerState | None = None
) -> tuple[TriggerState, list[Fact]]:
    """Fold and decide depth first; every request is refused at once, so that the trigger is free again."""
    state = state or trigger.initial()
    decided: list[Fact] = []
    for fact in facts:
        state = trigger.apply(state, fact)
        for decision in trigger.decide(state, fact):
            state = trigger.apply(state, decision)
            decided.append(decision)
            if isinstance(decision, RetrainRequested):
                state = trigger.apply(state, refused())
    return state, decided


def story(trigger: Trigger, text: str) -> list[int]:
    """Return the windows at which a retrain was asked for; each word of `text` names the detectors that alert in it.

    ``-`` is a window in which none alerts.
    """
    found, state = [], trigger.initial()
    for hour, word in enumerate(text.split()):
        names = [] if word == "-" else list(word)
        state, decided = heard(trigger, [closed(hour, "a", "b", "c"), *(alert(hour, name) for name in names)], state)
        found += [hour for each in decided if isinstance(each, RetrainRequested)]
    return found


@pytest.mark.parametrize(
    ("needs", "text", "asked"),
    [
        (1, "a - b", [0, 2]),
        (2, "a b ab - ba", [2, 4]),
        (3, "ab abc a c", [1]),
        (2, "a a b b", []),
    ],
)
def test_any_all_and_n_of_m(needs: int, text: str, asked: list[int]) -> None:
    trigger = Trigger(conditions=(Condition(detectors=("a", "b", "c"), needs=needs),))
    assert story(trigger, text) == asked


def test_each_detector_of_a_combination_has_to_last() -> None:
    trigger = Trigger(conditions=(Condition(detectors=("a", "b"), needs=2, windows=2),))
    assert story(trigger, "ab a ab b ab ab") == [5]


def test_combinations_are_named_as_people_say_them() -> None:
    assert Condition(detectors=("a",)).name == "a"
    assert Condition(detectors=("a", "b")).name == "any(a, b)"
    assert Condition(detectors=("a", "b"), needs=2).name == "all(a, b)"
    assert Condition(detectors=("a", "b", "c"), needs=2).name == "2 of (a, b, c)"


def test_an_alert_below_the_severity_does_not_ask() -> None:
    trigger = Trigger(conditions=(Condition(detectors=("a",), severity=Severity.HIGH),))
    assert heard(trigger, [closed(0, "a"), alert(0, "a", Severity.MEDIUM)])[1] == []
    assert len(heard(trigger, [closed(0, "a"), alert(0, "a", Severity.HIGH)])[1]) == 1


@pytest.mark.parametrize(
    ("rearm", "text", "asked"),
    [
        (0, "a a - a", [0, 1, 3]),
        (1, "a a - a", [0, 3]),
        (2, "a a - a - - a", [0, 6]),
        (2, "a - - a a", [0, 3]),
    ],
)
def test_hysteresis_asks_again_only_after_quiet_windows(rearm: int, text: str, asked: list[int]) -> None:
    assert story(Trigger(conditions=(Condition(detectors=("a",), rearm=rearm),)), text) == asked


def test_hysteresis_counts_the_quiet_before_the_run_that_persistence_needs() -> None:
    trigger = Trigger(conditions=(Condition(detectors=("a",), windows=2, rearm=2),))
    assert story(trigger, "a a a - a a - - a a") == [1, 9]


def test_a_promotion_arms_again() -> None:
    trigger = Trigger(conditions=(Condition(detectors=("a",), rearm=5),))
    facts = [closed(0, "a"), alert(0, "a"), promoted(1), closed(1, "a"), alert(1, "a")]
    assert len(heard(trigger, facts)[1]) == 2


def test_a_condition_may_go_past_the_cooldown_but_not_the_budget() -> None:
    hard = Condition(detectors=("a",), past_cooldown=True)
    trigger = Trigger(
        conditions=(hard, Condition(detectors=("b",))),
        cooldown=Cooldown(length=10 * H),
        budget=Budget(retrains=2, period=100 * H),
    )
    facts = [closed(0, "a"), alert(0, "a"), closed(1, "b"), alert(1, "b"), closed(2, "a"), alert(2, "a")]
    state, decided = heard(trigger, facts)
    assert [getattr(each, "reason", "") for each in decided] == ["a at 0", "cooldown", "a at 2"]
    _, decided = heard(trigger, [closed(3, "a"), alert(3, "a")], state)
    assert isinstance(decided[0], RetrainWithheld)
    assert decided[0].reason == "budget"


def test_what_cannot_wait_asks_in_the_middle_of_a_window_once() -> None:
    trigger = Trigger(conditions=(Condition(detectors=("rule",), corrected=True),), cooldown=Cooldown(length=5 * H))
    early = RowsChecked(
        model="m", at=T0 + H / 2, version="v1", window=span(0, 0.5), n=9, evidence=(Evidence.of("rule", 1.0, 9),)
    )
    at_once = AlertRaised(
        model="m",
        at=T0 + H / 2,
        detector="rule",
        version="v1",
        window=span(0, 0.5),
        severity=Severity.HIGH,
        evidence=(),
        message="broken",
    )
    _, decided = heard(trigger, [early, at_once, closed(0, "rule"), alert(0, "rule")])
    assert isinstance(decided[0], RetrainRequested)
    assert decided[0].corrected
    assert [each.kind for each in decided] == ["RetrainRequested", "RetrainWithheld"]


# Broken data.


def incident(hour: int) -> IncidentRaised:
    return IncidentRaised(
        model="m", at=T0 + (hour + 1) * H, detector="quality", version="v1", window=span(hour), evidence=(), message=""
    )


@pytest.mark.fault("V9")
def test_an_alert_about_broken_data_never_asks() -> None:
    trigger = Trigger(conditions=(Condition(detectors=("a",)),))
    state, decided = heard(trigger, [closed(0, "a"), incident(0), alert(0, "a")])
    assert isinstance(decided[0], RetrainWithheld)
    assert decided[0].reason == "incident"
    _, decided = heard(trigger, [closed(1, "a"), alert(1, "a")], state)
    assert isinstance(decided[0], RetrainRequested)  # the negative control: the next window is whole


# Schedules.


def walk(schedule: Every, start: datetime, steps: int, step: timedelta) -> list[datetime]:
    trigger, found = Trigger(schedules=(schedule,)), []
    state, _ = heard(
        trigger, [VersionPromoted(model="m", at=start, version="v1", digest="d", previous="", evidence=(), reason="")]
    )
    for number in range(1, steps + 1):
        state, decided = heard(trigger, [tick(start + number * step)], state)
        found += [each.intended for each in decided if isinstance(each, RetrainRequested) and each.intended]
    return found


@pytest.mark.fault("L8")
def test_every_interval_is_answered_exactly_once() -> None:
    assert walk(Every(length=D), T0 + 5 * H, 50, timedelta(hours=7)) == [T0 + k * D for k in range(1, 15)]


def test_what_was_missed_is_made_up_for_once() -> None:
    assert walk(Every(length=D), T0 + 5 * H, 3, 10 * D) == [T0 + k * 10 * D for k in (1, 2, 3)]


def test_no_schedule_before_there_is_a_champion() -> None:
    assert heard(Trigger(schedules=(Every(length=D),)), [tick(T0 + 9 * D)])[1] == []


@pytest.mark.fault("L8")
def test_a_restart_does_not_repeat_an_intended_time() -> None:
    trigger = Trigger(schedules=(Every(length=D),))
    facts: list[Fact] = [promoted(), tick(T0 + D)]
    _, decided = heard(trigger, facts)
    state = trigger.initial()
    for fact in (*facts, *decided, refused()):  # what a restart folds
        state = trigger.apply(state, fact)
    assert heard(trigger, [tick(T0 + D + H)], state)[1] == []
    assert len(heard(trigger, [tick(T0 + 2 * D)], state)[1]) == 1


def test_a_withheld_schedule_is_answered_too() -> None:
    trigger = Trigger(schedules=(Every(length=D),), cooldown=Cooldown(length=36 * H))
    state, decided = heard(trigger, [promoted(), tick(T0 + D), tick(T0 + 2 * D), tick(T0 + 2 * D + H)])
    assert [each.kind for each in decided] == ["RetrainRequested", "RetrainWithheld"]
    assert [getattr(each, "intended", None) for each in decided] == [T0 + D, T0 + 2 * D]
    assert state.scheduled["every 24h"] == T0 + 2 * D


def test_two_schedules_at_one_time_are_one_request() -> None:
    trigger = Trigger(schedules=(Every(length=D), Every(length=2 * D)))
    _, decided = heard(trigger, [promoted(), tick(T0 + 2 * D)])
    assert [getattr(each, "triggers", ()) for each in decided] == [("every 24h", "every 48h")]


def test_an_interval_below_a_minute_is_refused() -> None:
    with pytest.raises(InvariantError, match="a minute is the least"):
        Every(length=timedelta(seconds=59))


# Changes and new data.


def revision(code: str, settings: str, hour: int = 1) -> ProjectChanged:
    return ProjectChanged(model="m", at=T0 + hour * H, settings=settings, code=code)


@pytest.mark.parametrize(
    ("changes", "then", "asks"),
    [
        (Changes(code=True), ("c2", "s1"), True),
        (Changes(code=True), ("c1", "s2"), False),
        (Changes(policy=True), ("c1", "s2"), True),
        (Changes(code=True, policy=True), ("c1", "s1"), False),
        (Changes(), ("c2", "s2"), False),
    ],
)
def test_a_change_asks_where_the_policy_wants_it(changes: Changes, then: tuple[str, str], asks: bool) -> None:
    facts = [revision("c1", "s1", 0), promoted(), revision(*then)]
    assert bool(heard(Trigger(changes=changes), facts)[1]) is asks


def scored(hour: int, labelled: int, revision: int = 0) -> WindowScored:
    return WindowScored(
        model="m",
        at=T0 + hour * H,
        version="v1",
        window=span(hour),
        n=labelled,
        labelled=labelled,
        revision=revision,
        evidence=(),
    )


def test_new_data_asks_once_enough_has_come_and_counts_from_there() -> None:
    trigger = Trigger(new_data=NewData(rows=100))
    facts = [scored(0, 60), scored(0, 70, revision=1), scored(1, 39), scored(2, 1), scored(3, 99), scored(4, 1)]
    found = [(hour, heard(trigger, facts[: hour + 1])[1]) for hour in range(len(facts))]
    assert [len(decided) for _, decided in found] == [0, 0, 0, 1, 1, 2]


@pytest.mark.parametrize("given", [{"needs": 0}, {"needs": 3}, {"windows": 0}, {"rearm": -1}])
def test_a_condition_that_could_never_hold_is_refused(given: dict[str, int]) -> None:
    with pytest.raises(InvariantError):
        Condition(detectors=("a", "b"), **given)  # type: ignore[arg-type]  # numbers all


def test_a_past_window_that_is_scored_again_asks_nothing_and_the_newest_asks_once() -> None:
    """Labels that come late may change a window of the past; newer windows have spoken since."""
    trigger = Trigger(conditions=(Condition(detectors=("a",)),))

    def again(hour: int, number: int, found: bool) -> list[Fact]:
        evidence = (Evidence.of("a", 1.0, 9),)
        fact = WindowScored(
            model="m", at=T0 + 9 * H, version="v1", window=span(hour), n=9, labelled=9, revision=number,
            evidence=evidence,
        )  # fmt: skip
        return [fact, alert(hour, "a")] if found else [fact]

    ended = [refused()]
    first = [*again(0, 0, False), *again(1, 0, True)]
    assert [each.kind for each in heard(trigger, first)[1]] == ["RetrainRequested"]
    assert len(heard(trigger, [*first, *ended, *again(0, 1, True)])[1]) == 1
    assert len(heard(trigger, [*first, *ended, *again(1, 1, True)])[1]) == 1
    assert len(heard(trigger, [*first, *ended, *again(2, 0, True)])[1]) == 2
