"""Budgets of what runs take, and data that nothing new can be learned from."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from anew.domain.errors import InvariantError
from anew.domain.fact import Fact
from anew.domain.facts import (
    AlertRaised,
    ProjectChanged,
    RetrainCommanded,
    RetrainRequested,
    RetrainWithheld,
    TrainingEnded,
    WindowClosed,
    WindowScored,
)
from anew.domain.interval import Interval
from anew.domain.severity import Severity
from anew.trigger import Condition, Trigger, TriggerState
from anew.trigger.budget import Allowance, Run

T0 = datetime(2024, 1, 1, tzinfo=UTC)
H = timedelta(hours=1)
PSI = "psi>0.25"
HOURS = Allowance(of="compute hours", amount=5.0, period=240 * H)


def of_window(kind: type[WindowClosed] | type[WindowScored], hour: int, **more: object) -> Fact:
    at = T0 + (hour + 1) * H
    window = Interval(start=T0 + hour * H, end=at)
    return kind(model="m", at=at, version="v1", window=window, n=500, evidence=(), **more)  # type: ignore[arg-type]  # the rest is in `more`


def answer(stage: Trigger, state: TriggerState, hour: int, labelled: int | None = 500) -> tuple[Fact, TriggerState]:
    """Close, and maybe score, a window with drift; return what was decided."""
    facts = [of_window(WindowClosed, hour, rows="")]
    facts += [] if labelled is None else [of_window(WindowScored, hour, labelled=labelled, revision=0)]
    window = Interval(start=T0 + hour * H, end=T0 + (hour + 1) * H)
    facts.append(
        AlertRaised(
            model="m", at=window.end, detector=PSI, version="v1", window=window, severity=Severity.HIGH, evidence=(),
            message="drift",
        )
    )  # fmt: skip
    for fact in facts:
        state = stage.apply(state, fact)
    (decided,) = stage.decide(state, facts[-1])
    return decided, stage.apply(state, decided)


def ended(hour: int, compute_s: float, outcome: str = "refused") -> TrainingEnded:
    at = T0 + (hour + 1) * H
    return TrainingEnded(model="m", at=at, version="", outcome=outcome, detail="", compute_s=compute_s)


def stage_of(*allowances: Allowance, conditions: tuple[Condition, ...] = (Condition(detectors=(PSI,)),)) -> Trigger:
    return Trigger(conditions=conditions, allowances=allowances)


@pytest.mark.fault("A6")
@pytest.mark.parametrize("outcome", ["refused", "failed"])
def test_compute_is_spent_as_runs_end_and_comes_back_when_the_period_has_passed(outcome: str) -> None:
    stage, state = stage_of(HOURS), TriggerState()
    asked = []
    for hour in range(250):
        decided, state = answer(stage, state, hour)
        if isinstance(decided, RetrainRequested):
            asked.append(hour)
            state = stage.apply(state, ended(hour, 7200.0, outcome))
    assert asked == [0, 1, 240, 241]  # two hours each: after two of them a third does not fit into five
    decided, _ = answer(stage, state, 250)
    assert isinstance(decided, RetrainWithheld)
    assert decided.reason == "budget"
    assert decided.detail == "1 of 5 compute hours per 10d are left, and a run takes 2"
    assert dict(decided.considered)["compute hours left"] == "1 of 5 compute hours per 10d"


def test_money_counts_each_run_at_its_price_or_by_its_hours() -> None:
    fixed = Allowance(of="money", amount=10.0, period=240 * H, per_hour=0.0, per_run=4.0)
    by_hour = replace(fixed, per_hour=0.5, per_run=0.0)
    runs = [Run(at=T0, compute_s=3600.0), Run(at=T0 + H, compute_s=7200.0)]
    assert (fixed.left(runs, T0 + H), by_hour.left(runs, T0 + H)) == (2.0, 8.5)
    assert fixed.lacks(runs, T0 + H)
    assert not by_hour.lacks(runs, T0 + H)
    assert not fixed.lacks(runs, T0 + 240 * H)  # the first has left the period
    assert replace(fixed, amount=0.0).lacks([], T0)


def test_a_person_is_not_held_and_counts() -> None:
    stage = stage_of(replace(HOURS, amount=1.0))
    state = stage.apply(TriggerState(), ended(0, 3600.0))
    command = RetrainCommanded(model="m", at=T0 + H, command="c", by="ada", reason="why not")
    assert isinstance(stage.decide(state, command)[0], RetrainRequested)
    assert isinstance(answer(stage, state, 1)[0], RetrainWithheld)


@pytest.mark.parametrize("wrong", [{"amount": -1.0}, {"period": timedelta(0)}, {"per_run": -1.0}])
def test_a_budget_that_cannot_be_kept_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvariantError, match="none that can be kept"):
        replace(HOURS, **wrong)  # type: ignore[arg-type]  # that is the point


def test_without_a_budget_nothing_is_said_of_one() -> None:
    decided, _ = answer(stage_of(), TriggerState(), 0)
    assert [name for name, _ in cast("RetrainRequested", decided).considered if "left" in name] == []


def test_windows_without_a_label_teach_nothing_new() -> None:
    stage = stage_of()
    first, state = answer(stage, TriggerState(), 0)
    assert isinstance(first, RetrainRequested)
    state = stage.apply(state, ended(0, 1.0))
    none, state = answer(stage, state, 1, labelled=0)
    assert isinstance(none, RetrainWithheld)
    assert (none.reason, none.detail[:47]) == ("stale", "none of the 1 windows scored since the last req")
    some, _ = answer(stage, state, 2, labelled=3)
    assert isinstance(some, RetrainRequested)


@pytest.mark.parametrize("outcome", ["failed", "refused"])
def test_labels_that_a_failed_run_never_learned_from_are_still_new(outcome: str) -> None:
    stage = stage_of()
    _, state = answer(stage, TriggerState(), 0, labelled=5000)
    state = stage.apply(state, replace(ended(0, 1.0), outcome=outcome, version=state.version))
    again, _ = answer(stage, state, 1, labelled=0)
    assert isinstance(again, RetrainRequested if outcome == "failed" else RetrainWithheld)


def test_what_learns_from_other_code_or_corrected_rows_is_never_stale() -> None:
    stage = stage_of(conditions=(Condition(detectors=(PSI,), corrected=True),))
    _, state = answer(stage, TriggerState(), 0)
    state = stage.apply(state, ended(0, 1.0))
    assert isinstance(answer(stage, state, 1, labelled=0)[0], RetrainRequested)


def test_a_person_who_changed_the_code_since_the_last_request_gets_a_retrain_without_a_new_label() -> None:
    stage = stage_of()
    known = ProjectChanged(model="m", at=T0, code="a", settings="s")
    _, state = answer(stage, stage.apply(TriggerState(), known), 0)
    state = stage.apply(state, ended(0, 1.0))
    _, state = answer(stage, state, 1, labelled=0)
    command = RetrainCommanded(model="m", at=T0 + 2 * H, command="c", by="ada", reason="mended")
    assert isinstance(stage.decide(state, command)[0], RetrainWithheld)
    state = stage.apply(state, replace(known, code="b"))
    state = stage.apply(state, replace(known, code="b", settings="t"))  # whatever else changed after it
    (asked,) = stage.decide(state, command)
    assert isinstance(asked, RetrainRequested)
    state = stage.apply(state, asked)
    failed = stage.apply(state, replace(ended(2, 1.0), outcome="failed", version=state.version))
    _, failed = answer(stage, failed, 3, labelled=0)
    assert isinstance(stage.decide(failed, replace(command, at=T0 + 4 * H))[0], RetrainRequested), "nothing learned it"
    state = stage.apply(state, ended(2, 1.0))
    _, state = answer(stage, state, 3, labelled=0)
    assert isinstance(stage.decide(state, replace(command, at=T0 + 4 * H))[0], RetrainWithheld)
