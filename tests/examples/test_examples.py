"""Each example does what its story says, and does it because of its trigger: without it nothing is retrained."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from anew.app.notice import notice
from anew.app.settings import load
from anew.app.wiring import stages
from anew.domain.facts import (
    AlertRaised,
    EffectFailed,
    RetrainRequested,
    SnapshotTaken,
    Ticked,
    VersionPromoted,
)
from anew.lineage import history_of, index
from tests.examples.example_project import EXAMPLES, asked, data_of, of_kind, ran, ran_changed

BESIDE = {"feast"}
"""Examples that need a program beside them; they have tests of their own."""
NAMES = sorted(
    folder.name for folder in EXAMPLES.iterdir() if (folder / "anew.yaml").exists() and folder.name not in BESIDE
)
FIRST = datetime(2026, 1, 1, tzinfo=UTC)


def day(number: int) -> date:
    return (FIRST + timedelta(days=number)).date()


def no_triggers(policy: dict[str, Any]) -> None:
    policy["triggers"] = []


def no_business_objective(policy: dict[str, Any]) -> None:
    policy["slos"] = [each for each in policy["slos"] if not each["metric"].startswith("business.")]


def test_there_is_one_for_each_trigger_of_the_mission() -> None:
    assert NAMES == ["energy", "fraud", "perception", "recommendation", "sentiment", "supply_chain"]


@pytest.mark.parametrize("name", NAMES)
def test_it_is_a_valid_project_with_its_story_told(name: str) -> None:
    stages(load(EXAMPLES / name))
    assert "anew replay" in (EXAMPLES / name / "README.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("name", "disable"),
    [(name, no_business_objective if name == "recommendation" else no_triggers) for name in NAMES],
)
def test_nothing_is_retrained_once_its_trigger_is_taken_away(
    name: str, disable: Callable[[dict[str, Any]], None]
) -> None:
    assert asked(ran(name))
    assert asked(ran_changed(name, disable)) == []


@pytest.mark.parametrize("name", NAMES)
def test_every_promotion_is_explained_back_to_its_trigger(name: str) -> None:
    report = ran(name)
    promoted = of_kind(report, VersionPromoted)
    assert len(promoted) >= 2
    for each in promoted:
        history = history_of(index(report.facts), each.version)
        why = next(fact.triggers for fact in history if isinstance(fact, RetrainRequested))
        assert why in (("command",), asked(report)[0].triggers)


def test_fraud_two_days_of_drift_do_not_retrain_and_three_do() -> None:
    report = ran("fraud")
    alerts = [each.window.start.date() for each in of_kind(report, AlertRaised)]
    assert alerts[:5] == [day(20), day(21), day(40), day(41), day(42)]
    first = asked(report)[0]
    assert (first.at.date(), first.triggers) == (day(42), ("psi(amount)>0.25",))


def test_fraud_two_days_are_enough_where_two_are_asked_for() -> None:
    def two(policy: dict[str, Any]) -> None:
        policy["triggers"][0]["for"] = "2 windows"

    assert asked(ran_changed("fraud", two))[0].at.date() == day(21)


def test_recommendation_the_click_through_rate_breaks_its_objective() -> None:
    report = ran("recommendation")
    rows = data_of("recommendation").group_by(pl.col("at").dt.date().alias("day")).agg(pl.col("clicked").mean())
    assert sorted(rows.get_column("clicked").unique().to_list()) == [0.041, 0.052]
    first = asked(report)[0]
    assert first.triggers == ("slo(business.ctr>=0.045 over 168h)",)
    # Of seven days at 5.2 and 4.1 % the mean is below 4.5 % with five at the latter; clicks are known a day later.
    assert first.at.date() == day(20 + 5)
    alert = of_kind(report, AlertRaised)[0]
    assert alert.evidence[0].value == pytest.approx((2 * 0.052 + 5 * 0.041) / 7)


def test_sentiment_more_neutral_labels_retrain_and_both_tests_say_so() -> None:
    report = ran("sentiment")
    first = asked(report)[0]
    assert first.at.date() == day(21)
    assert first.triggers == ("all(label_shift(p<0.001), label_shift(psi>0.1))",)
    alert = of_kind(report, AlertRaised, detector="label_shift(p<0.001)")[0]
    assert alert.window.start.date() == day(20)
    assert "neutral" in alert.message
    assert alert.evidence[0].p_value is not None
    assert alert.evidence[0].p_value < 0.001


@pytest.mark.fault("L8")
def test_energy_is_retrained_once_a_night_though_the_clocks_change() -> None:
    report = ran("energy")
    zone = ZoneInfo("America/New_York")
    intended = [each.intended for each in of_kind(report, RetrainRequested) if each.intended is not None]
    nights = [each.astimezone(zone) for each in intended]
    assert len(set(intended)) == len(intended)
    assert {each.hour for each in nights} == {3}
    assert [each.date() for each in nights] == [nights[0].date() + timedelta(days=i) for i in range(len(nights))]
    assert {each.utcoffset() for each in nights} == {timedelta(hours=-5), timedelta(hours=-4)}
    spans = [each.span.end - each.span.start for each in of_kind(report, SnapshotTaken)]
    assert all(timedelta(days=7) <= each <= timedelta(days=7, hours=1) for each in spans[5:])
    assert len(spans) > 50
    assert of_kind(report, AlertRaised) == []


@pytest.mark.fault("L8")
def test_energy_a_restart_anywhere_in_the_stream_asks_for_no_night_twice() -> None:
    """What a new process folds from the record answers the tick of a night that was asked for: with nothing."""
    facts = ran("energy").facts
    trigger = stages(load(EXAMPLES / "energy"))["trigger"]
    state, nights = trigger.initial(), 0
    for fact in facts:
        state = trigger.apply(state, fact)
        if isinstance(fact, RetrainRequested) and fact.intended is not None:
            nights += 1
            for later in (timedelta(0), timedelta(hours=20)):
                tick = Ticked(model=fact.model, at=fact.intended + later, wall=fact.at)
                assert trigger.decide(trigger.apply(state, tick), tick) == ()
            tomorrow = Ticked(model=fact.model, at=fact.intended + timedelta(hours=26), wall=fact.at)
            assert len(trigger.decide(trigger.apply(state, tomorrow), tomorrow)) == 1, "and of the next night"
    assert nights > 40


def test_perception_one_day_of_fog_is_no_reason_and_a_new_camera_is() -> None:
    report = ran("perception")
    alerts = [each.window.start.date() for each in of_kind(report, AlertRaised)]
    assert alerts[:4] == [day(12), day(24), day(25), day(26)]
    first = asked(report)[0]
    assert (first.at.date(), first.triggers) == (day(26), ("ood(mahalanobis: embedding)>0.15",))
    assert report.data["loss"] < 0.5 * report.data["loss_never_retrained"]


def test_supply_chain_a_negative_forecast_asks_at_once_for_mended_history() -> None:
    report = ran("supply_chain")
    (first,) = of_kind(report, RetrainRequested, corrected=True)
    assert first.triggers == ("rule(prediction >= 0)",)
    assert FIRST + timedelta(days=20) < first.at < FIRST + timedelta(days=21), "it does not wait for the day's end"
    (taken,) = [each for each in of_kind(report, SnapshotTaken) if each.repaired]
    assert taken.repaired == int((data_of("supply_chain").get_column("stock") < 0).sum())
    alerts = [each.at for each in of_kind(report, AlertRaised)]
    assert max(alerts) < FIRST + timedelta(days=21), "the new version foresees no negative stock"
    assert len(alerts) >= 1


def test_supply_chain_without_code_that_mends_leaves_the_broken_rows_out() -> None:
    report = ran_changed("supply_chain", lambda _: None, pipeline=("def correct(", "def not_used("))
    (taken,) = [each for each in of_kind(report, SnapshotTaken) if each.dropped]
    assert taken.dropped == int((data_of("supply_chain").get_column("stock") < 0).sum())
    assert taken.repaired == 0


def test_supply_chain_with_nothing_to_mend_is_held_with_a_reason() -> None:
    def floor(policy: dict[str, Any]) -> None:
        """Ask for whole numbers: all of history is one, no forecast is."""
        policy["triggers"] = [{"rule": "prediction = round(prediction)", "data": "corrected"}]

    report = ran_changed("supply_chain", floor, pipeline=("def correct(", "def not_used("))
    assert asked(report)
    failed = of_kind(report, EffectFailed)
    assert {each.reason for each in failed} == {"nothing_to_correct"}
    told = [notice(each) for each in failed]
    assert all(each is not None and "nothing to correct with" in each.title for each in told)
    assert len({each.key for each in told if each is not None}) == 1, "people hear of it once"
    assert len(of_kind(report, VersionPromoted)) == 1
