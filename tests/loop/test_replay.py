"""A replay runs the real deciders over a stream: the same each time, never ahead of its labels, losing what it says."""

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from random import Random

import polars as pl
import pytest

from anew.domain.errors import NotFoundError, TrainingError
from anew.domain.facts import (
    Arm,
    CandidateRefused,
    GateJudged,
    RolloutObserved,
    SnapshotTaken,
    TrafficShifted,
    VersionPromoted,
    WindowClosed,
    WindowScored,
)
from anew.loop.replay import ReplayReport
from anew.rollout import answered_by
from tests.loop.replayed import BREACH, Case, Majority, stream_of

CHANCE = Random(11)
STEADY = [int(CHANCE.random() < 0.1) for _ in range(1500)]
"""Labels of one world: mostly 0."""
CHANGED = [*STEADY[:700], *(1 - label for label in STEADY[700:])]
"""Labels of a world that turns over at row 700."""


def plain(report: ReplayReport) -> dict[str, object]:
    return {name: value for name, value in report.data.items() if name != "timings"}


def promotions(report: ReplayReport) -> list[VersionPromoted]:
    return [fact for fact in report.facts if isinstance(fact, VersionPromoted)]


@pytest.mark.parametrize("steps", [(), (0.1, 0.5)])
@pytest.mark.parametrize("delay", [0, 3])
def test_the_same_stream_gives_the_same_facts(steps: tuple[float, ...], delay: int) -> None:
    case = Case(stream_of(CHANGED), steps=steps, label_delay=delay)
    one, other = case.run(), case.run()
    assert plain(one) == plain(other)
    assert one.facts == other.facts
    assert len({fact.id for fact in one.facts}) == len(one.facts)


def test_a_world_that_does_not_change_is_left_alone() -> None:
    report = Case(stream_of(STEADY)).run()
    assert (report.data["fits"], report.data["promotions"], report.data["rejections"]) == (1, 1, 0)
    assert report.data["loss"] == report.data["loss_never_retrained"]
    kinds = Counter(fact.kind for fact in report.facts)
    assert kinds["AlertRaised"] == kinds["RolloutObserved"] == 0
    assert kinds["WindowClosed"] == kinds["WindowScored"] == 28


def test_a_world_that_turns_over_is_followed() -> None:
    report = Case(stream_of(CHANGED)).run()
    assert report.data["promotions"] == 2
    assert report.data["loss"] < 0.5 * report.data["loss_never_retrained"]
    assert [each["version"] for each in report.data["windows"]][-1] == promotions(report)[-1].version


def test_the_loss_is_that_of_who_was_champion_row_by_row() -> None:
    case = Case(stream_of(CHANGED))
    report = case.run()
    at = case.frame.get_column("_at").to_list()
    wrong = []
    for row in range(100, 1500):
        (*_, champion) = [each for each in promotions(report) if each.at < at[row] or each is promotions(report)[0]]
        wrong.append(int(case.made[champion.version].says != CHANGED[row]))
    assert report.data["rows"] == len(wrong)
    assert report.data["loss"] == pytest.approx(sum(wrong) / len(wrong), abs=1e-12)
    never = [int(case.made["v1"].says != label) for label in CHANGED[100:]]
    assert report.data["loss_never_retrained"] == pytest.approx(sum(never) / len(never), abs=1e-12)
    windows = report.data["windows"]
    assert [each["loss"] for each in windows] == pytest.approx(
        [sum(wrong[i : i + 50]) / 50 for i in range(0, len(wrong), 50)]
    )


def test_in_a_canary_the_keys_of_its_share_are_served_by_the_challenger() -> None:
    case = Case(stream_of(CHANGED), steps=(0.5,))
    report = case.run()
    looks = [fact for fact in report.facts if isinstance(fact, RolloutObserved) and fact.stage == "canary"]
    assert looks
    keys, at = case.frame.get_column("who").to_list(), case.frame.get_column("_at").to_list()
    for look in looks:
        rows = [i for i in range(1500) if look.span.start <= at[i] < look.span.end]
        arm = Arm(version=look.version, digest="", share=0.5)
        ours = answered_by("m", arm, [keys[i] for i in rows])
        assert look.challenger_loss.n + look.champion_loss.n <= len(rows)
        users = {keys[i] for i, is_ours in zip(rows, ours, strict=True) if is_ours}
        assert look.challenger_loss.n <= len(users), "each counts once in a step"


def test_looks_cover_each_row_of_a_rollout_once() -> None:
    case = Case(stream_of(CHANGED), steps=(0.5,), label_delay=2)
    looks = [fact for fact in case.run().facts if isinstance(fact, RolloutObserved)]
    for version in {each.version for each in looks}:
        spans = [each.span for each in looks if each.version == version]
        assert all(one.end == other.start for one, other in pairwise(spans))


def test_warm_up_does_not_count() -> None:
    report = Case(stream_of(STEADY), warmup=4).run()
    assert report.data["rows"] == 1500 - 200
    assert len(report.data["windows"]) == 26
    assert report.data["windows"][0]["start"] == stream_of(STEADY).get_column("_at")[200].isoformat()


@pytest.mark.parametrize("delay", [0, 1, 4])
def test_no_label_is_used_before_it_is_mature(delay: int) -> None:
    report = Case(stream_of(CHANGED), label_delay=delay).run()
    length = timedelta(hours=50)
    by_version = {fact.version: fact for fact in report.facts if isinstance(fact, SnapshotTaken)}
    assert len(by_version) >= 2
    for taken in by_version.values():
        assert taken.span.end <= taken.at + timedelta(hours=1) - delay * length
    for fact in report.facts:
        if isinstance(fact, RolloutObserved):
            assert fact.span.end <= fact.at + timedelta(hours=1) - delay * length
        if isinstance(fact, WindowScored):
            assert fact.window.end <= fact.at + timedelta(hours=1) - delay * length


def test_labels_that_come_late_cost_loss_but_not_order() -> None:
    losses = [Case(stream_of(CHANGED), label_delay=delay).run().data["loss"] for delay in (0, 2, 5)]
    assert losses == sorted(losses)
    assert losses[0] < losses[-1]


def test_a_late_score_is_of_who_served_then() -> None:
    report = Case(stream_of(CHANGED), label_delay=3).run()
    first, second = promotions(report)
    scored = [fact for fact in report.facts if isinstance(fact, WindowScored)]
    early = [fact for fact in scored if fact.window.end <= second.at < fact.at]
    assert early
    assert {fact.version for fact in early} == {first.version}


@pytest.mark.parametrize("rows_per_instant", [7, 120])
def test_rows_of_one_instant_make_windows_all_the_same(rows_per_instant: int) -> None:
    frame = stream_of(CHANGED).with_columns(
        _at=pl.Series([datetime(2024, 1, 1) + timedelta(days=i // rows_per_instant) for i in range(1500)])  # noqa: DTZ001  given a zone at once
    )
    frame = frame.with_columns(pl.col("_at").dt.replace_time_zone("UTC").dt.cast_time_unit("us"))
    report = Case(frame, span=None).run()
    windows = [fact.window for fact in report.facts if isinstance(fact, WindowClosed)]
    assert len(windows) == len(report.data["windows"]) == 28
    assert all(one.end <= other.start for one, other in pairwise(windows))


@pytest.mark.parametrize("delay", [0, 4])
def test_no_version_is_asked_twice_about_a_row(delay: int) -> None:
    case = Case(stream_of(CHANGED), steps=(0.5,), label_delay=delay)
    case.run()
    for version in case.made.values():
        if version.version != "v1":
            assert max(Counter(version.asked).values()) == 1


def test_a_challenger_that_cannot_answer_is_refused() -> None:
    case = Case(stream_of(CHANGED))
    case.spoil = lambda version: version if version.version == "v1" else replace(version, fails_from=0.0)
    report = case.run()
    refused = [fact for fact in report.facts if isinstance(fact, CandidateRefused)]
    assert refused
    assert "ZeroDivisionError" in refused[0].reason
    assert {fact.verdict.name for fact in report.facts if isinstance(fact, GateJudged) and fact.version == "v2"} == {
        "ERROR"
    }
    assert report.data["promotions"] == 1


def test_a_champion_that_cannot_answer_ends_the_replay_with_its_reason() -> None:
    case = Case(stream_of(STEADY), spoil=lambda version: replace(version, fails_from=900.0))
    with pytest.raises(TrainingError, match=r"version v1 raised ZeroDivisionError.*no answer to this"):
        case.run()


def test_without_a_first_champion_it_says_why() -> None:
    hopeless = [i % 2 for i in range(400)]
    with pytest.raises(NotFoundError, match=r"in 8 windows: slos FAIL: error at most 0.45: measured 0.5"):
        Case(stream_of(hopeless)).run()
    with pytest.raises(NotFoundError, match="fewer windows than the 9"):
        Case(stream_of(hopeless), warmup=9).run()


def test_a_refused_first_champion_is_tried_again_at_the_next_window() -> None:
    labels = [*(i % 2 for i in range(200)), *STEADY[:600]]
    report = Case(stream_of(labels), span=timedelta(hours=100)).run()
    assert report.data["rejections"] >= 1
    assert report.data["promotions"] == 1
    assert report.data["rows"] < 700


def test_an_objective_over_a_period_reads_across_windows() -> None:
    detector = replace(BREACH, period=timedelta(hours=125))
    report = Case(stream_of(STEADY), detector=detector).run()
    sizes = [fact.evidence[0].n for fact in report.facts if isinstance(fact, WindowScored)]
    assert sizes[:3] == [50, 100, 125]
    assert set(sizes[2:]) == {125}


def test_timings_tell_the_models_time_from_our_own() -> None:
    def slow(version: Majority) -> Majority:
        return version

    timings = Case(stream_of(STEADY), spoil=slow).run().data["timings"]
    assert timings["total_s"] >= timings["anew_s"] > 0
    assert timings["predict_s"] >= 0
    assert timings["anew_ms_per_window"] == pytest.approx(1e3 * timings["anew_s"] / 28)


def test_arms_side_by_side_serve_their_own_keys_and_the_better_one_wins() -> None:
    case = Case(stream_of(CHANGED), arms=(0.3, 0.3))
    report = case.run()
    assert case.run().facts == report.facts
    trials = [fact for fact in report.facts if isinstance(fact, TrafficShifted) and fact.arms]
    assert max(len(fact.arms) for fact in trials) == 2
    looks = [fact for fact in report.facts if isinstance(fact, RolloutObserved) and fact.stage == "ab"]
    assert len({look.version for look in looks}) > 1
    for version in {look.version for look in looks}:
        spans = [look.span for look in looks if look.version == version]
        assert all(one.end == other.start for one, other in pairwise(spans)), "each row is looked at once for an arm"
    won = promotions(report)[1]
    assert won.reason.startswith("ab: ")
    assert case.made[won.version].says == 1
    at = case.frame.get_column("_at").to_list()
    shift = next(fact for fact in trials if len(fact.arms) == 2)
    until = next(fact.at for fact in report.facts if isinstance(fact, TrafficShifted) and fact.epoch == shift.epoch + 1)
    rows = [i for i in range(1500) if shift.at < at[i] <= until]
    keys = case.frame.get_column("who").to_list()
    for arm in shift.arms:
        ours = answered_by("m", arm, [keys[i] for i in rows], shift.trial)
        users = {keys[i] for i, is_ours in zip(rows, ours, strict=True) if is_ours}
        seen = [look.challenger_loss.n for look in looks if look.version == arm.version and shift.at < look.at <= until]
        assert sum(seen) <= len(users), "each user counts once, in the arm that is its own"
