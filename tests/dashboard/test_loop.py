"""The page Loop says of the served model no more than is known of it, and what happens next as it is."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from anew.dashboard.source import InForce, Surroundings
from anew.domain.fact import Fact
from anew.domain.facts import (
    AccessGranted,
    ApprovalAsked,
    CandidateAccepted,
    CandidateHeld,
    CandidateRefused,
    CandidateTrained,
    FreezeBegan,
    GateJudged,
    RetrainApproved,
    RetrainCommanded,
    RetrainHeld,
    RetrainRequested,
    RolledBack,
    RolloutObserved,
    RolloutStarted,
    RolloutSuperseded,
    Ticked,
    TrainingPlanned,
    VersionPromoted,
    WindowScored,
)
from anew.domain.interval import Interval
from anew.domain.severity import Severity
from anew.domain.verdict import Verdict
from anew.trigger import Trigger
from anew.trigger.cooldown import Cooldown
from tests.dashboard.story import AT, DAY, ToldSource, story
from tests.dashboard.test_web import HTML, signed_in

WEEK = Interval(start=AT - 7 * DAY, end=AT)
REQUESTED = RetrainRequested(model="m", at=AT, reason="command", triggers=(), severity=Severity.LOW).caused_by("c")
PLANNED = TrainingPlanned(
    model="m", at=AT, version="v1", champion="", span=WEEK, holdout_share=0.2, seed=1, code="6" * 64, settings="5" * 64
).caused_by(REQUESTED.id)
TRAINED = CandidateTrained(
    model="m", at=AT, version="v1", champion="", digest="1" * 64, snapshot="8" * 64, rows=720, compute_s=2.5
).caused_by(PLANNED.id)


class Resting(ToldSource):
    """A source of a project that rests for a day after each request, whose loop runs and has nothing under way."""

    def in_force(self) -> InForce:
        """The defaults, but for the rest."""
        return replace(super().in_force(), trigger=Trigger(cooldown=Cooldown(length=DAY)))

    def surroundings(self, asked: Sequence[Fact]) -> Surroundings:
        """A loop that runs, over rows that are stored."""
        return replace(super().surroundings(asked), holder="host", runs=(), stored={"history": 900})


def loop(told: Sequence[Fact]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = signed_in(Resting(told)).get("/loop.json").json()["data"]
    return found


def models(told: Sequence[Fact]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = signed_in(Resting(told)).get("/models.json").json()["data"]["models"][0]
    return found


def page(told: Sequence[Fact]) -> str:
    return signed_in(Resting(told)).get("/", headers=HTML).text


def promoted(version: str, previous: str, day: int) -> VersionPromoted:
    return VersionPromoted(
        model="m", at=AT + day * DAY, version=version, digest="a" * 64, previous=previous, evidence=(), reason="better"
    ).caused_by(f"look {day}")


def scored(told: Sequence[Fact], version: str, day: int) -> WindowScored:
    """Return how a window was scored, as the last one of a story, of another version and day."""
    last = next(each for each in reversed(told) if isinstance(each, WindowScored))
    window = Interval(start=AT + day * DAY, end=AT + (day + 1) * DAY)
    return replace(last, at=window.end, version=version, window=window).caused_by(f"close {day}")


def back(day: int) -> RolledBack:
    return RolledBack(model="m", at=AT + day * DAY, version="v9", to="v1x", evidence=(), reason="harm").caused_by(
        "order"
    )


def test_a_version_is_not_called_healthy_by_the_numbers_of_another_or_of_an_earlier_time() -> None:
    told = story("x")
    assert loop(told)["health"]["state"] == "good"
    late = replace(scored(told, "v1x", 7), revision=1).caused_by("late label")
    other = [*told, promoted("v9", "v1x", 8)]
    assert loop(other)["health"]["headline"] == "Not measured yet"
    assert loop([*other, scored(told, "v9", 8)])["health"]["state"] == "good"
    for numbers in ([scored(told, "v9", 8)], []):  # v9's, and v1x' own of before
        returned = [*other, *numbers, back(9)]
        found = loop(returned)
        assert found["health"]["state"] == "unknown"
        assert ("v9's" if numbers else "v1x's") in found["health"]["detail"]
        assert found["score"] == []
        assert models(returned)["health"] == found["health"]
        assert "no window of what serves has been scored" in page(returned)
        again = [*returned, scored(told, "v1x", 9)]
        assert loop(again)["health"]["state"] == "good"
        assert loop([*again, late])["health"]["state"] == "good", "an older window, scored again"


def test_event_time_is_not_behind_what_is_on_record() -> None:
    told = story("x")
    after = next(each.at for each in told if isinstance(each, Ticked)) + 3 * DAY
    found = loop([*told, promoted("v9", "v1x", (after - AT).days)])["event_time"]
    assert datetime.fromisoformat(found) == after
    granted = AccessGranted(
        model="m",
        at=after + 400 * DAY,
        token="t1",  # noqa: S106  its id
        name="ann",
        role="viewer",
        by="ann",
    )
    late = loop([*told, promoted("v9", "v1x", (after - AT).days), granted])["event_time"]
    assert datetime.fromisoformat(late) == after, "who may see it is told in the time of the wall"


def judged(*more: Fact) -> Sequence[Fact]:
    gate = GateJudged(
        model="m", at=AT, version="v1", gate="slos", verdict=Verdict.FAIL, required=True, reason="0.4 measured"
    ).caused_by(TRAINED.id)
    return [REQUESTED, PLANNED, TRAINED, gate, *more]


def test_a_first_version_that_was_refused_says_why_and_what_to_do() -> None:
    refused = CandidateRefused(
        model="m", at=AT, version="v1", verdict=Verdict.FAIL, gates=("slos",), reason="slos FAIL: 0.4 measured"
    ).caused_by(TRAINED.id)
    told = judged(refused)
    found = loop(told)
    assert found["health"]["state"] == "none"
    assert "v1 was refused (FAIL): slos FAIL: 0.4 measured" in found["health"]["detail"]
    assert models(told)["health"] == found["health"]
    assert any("anew override v1 slos" in each for each in found["ahead"])
    assert not any("window" in each or "retrain before" in each for each in found["ahead"]), "neither will help"
    assert [each["gate"] for each in found["origins"][0]["gates"]] == ["slos"]
    text = page(told)
    assert 'href="/runs/v1"' in text and "No version yet" not in text
    assert text.count('href="/approvals"') > page([]).count('href="/approvals"')


def test_a_first_version_that_waits_for_signatures_is_not_said_to_be_missing() -> None:
    accepted = CandidateAccepted(model="m", at=AT, version="v1", champion="", digest="1" * 64).caused_by(TRAINED.id)
    asked = ApprovalAsked(
        model="m", at=AT, version="v1", digest="1" * 64, champion="", needed=2,
        why=("policy",), requester="", barred=(), expires=AT + DAY,
    ).caused_by(accepted.id)  # fmt: skip
    found = loop([REQUESTED, PLANNED, TRAINED, accepted, asked])
    assert found["health"]["detail"] == "v1 is accepted, and is to be the first champion."
    assert found["ahead"] == ["v1 waits for a person: waits for 2 approvals (policy)."]


def test_a_candidate_at_a_gate_that_asks_waits_until_a_newer_one_takes_its_place() -> None:
    held = CandidateHeld(
        model="m", at=AT, version="v1", champion="", digest="1" * 64, gates=("leakage",), reason="too good"
    ).caused_by(TRAINED.id)
    told = [REQUESTED, PLANNED, TRAINED, held]
    assert "v1 waits for a person: too good." in loop(told)["ahead"]
    newer = replace(TRAINED, version="v2", digest="2" * 64)
    assert not any("waits for a person" in each for each in loop([*told, newer])["ahead"])


def test_a_project_without_rows_is_told_where_to_name_them() -> None:
    class Empty(Resting):
        def surroundings(self, asked: Sequence[Fact]) -> Surroundings:
            return replace(super().surroundings(asked), stored=None)

    found = signed_in(Empty([])).get("/loop.json").json()["data"]
    assert "no labelled rows" in found["health"]["detail"]
    assert any("data: {history: FILE}" in each for each in found["ahead"])


def held(*more: Fact) -> Sequence[Fact]:
    """Return a record with a request to retrain that a freeze holds."""
    until, at = AT + 40 * DAY, AT + 9 * DAY
    freeze = FreezeBegan(model="m", at=AT, window="December", until=until).caused_by("tick")
    command = RetrainCommanded(model="m", at=at, command="c", by="ada", reason="now").caused_by("")
    asked = replace(REQUESTED, at=at).caused_by(command.id)
    waits = RetrainHeld(model="m", at=at, by="policy", reason="freeze December", until=until).caused_by(asked.id)
    return [*judged(), promoted("v1", "", 0), freeze, command, asked, waits, *more]


def test_a_freeze_and_the_retrain_that_it_holds_are_said() -> None:
    found = loop(held())["ahead"]
    assert found == ["Frozen until 10 Apr 2026, 00:00 UTC (December): a retrain that ada asked for waits for its end."]
    released = RetrainApproved(model="m", at=AT + 9 * DAY, by="policy").caused_by("tick 2")
    assert loop(held(released))["ahead"][0] == "Frozen until 10 Apr 2026, 00:00 UTC (December)."


@pytest.mark.parametrize(("after", "rests"), [(timedelta(hours=1), True), (2 * DAY, False)])
def test_a_rest_is_told_until_it_is_over(after: timedelta, rests: bool) -> None:
    tick = Ticked(model="m", at=AT + after, wall=AT).caused_by("")
    told = [*judged(), promoted("v1", "", 0), tick]
    assert (loop(told)["budget"]["rests_until"] is not None) is rests


def test_a_version_that_was_gone_back_to_is_told_so_and_the_one_before_taken_back() -> None:
    told = [each for each in story("x") if not isinstance(each, RolloutStarted | RolloutObserved)]
    started = RolloutStarted(model="m", at=AT + 8 * DAY, version="v9", digest="a" * 64, champion="v1x")
    told += [started.caused_by("approved"), promoted("v9", "v1x", 8)]
    before = loop(told)
    assert "rolled back" not in str(before["origins"])
    (rollout, *_) = signed_in(Resting(told)).get("/rollout.json").json()["data"]["rollouts"]
    assert (rollout["version"], rollout["how"], rollout["taken_back"]) == ("v9", "promoted", None)
    told.append(back(9))
    (origin,) = loop(told)["origins"]
    assert (origin["version"], origin["why"][-1]["said"]) == ("v1x", "v9 rolled back to v1x: harm")
    (rollout, *_) = signed_in(Resting(told)).get("/rollout.json").json()["data"]["rollouts"]
    assert (rollout["how"], rollout["taken_back"]["to"], rollout["taken_back"]["reason"]) == ("promoted", "v1x", "harm")
    text = signed_in(Resting(told)).get("/rollout", headers=HTML).text
    assert "taken back" in text
    assert "v1x serves again: harm" in text


def test_what_a_candidate_goes_through_is_what_the_policy_says() -> None:
    class Switching(Resting):
        def in_force(self) -> InForce:
            found = super().in_force()
            return replace(found, rollout=replace(found.rollout, blue_green=True))

    told = [each for each in story("x") if not isinstance(each, RolloutStarted | RolloutObserved)]
    for place in ("/", "/rollout"):
        assert "goes through shadow and canary." in signed_in(Resting(told)).get(place, headers=HTML).text
        text = signed_in(Switching(told)).get(place, headers=HTML).text
        assert "is loaded beside the champion, and takes all traffic at once" in text
        assert "canary" not in text
    under_way = signed_in(Switching(story("x"))).get("/loop.json").json()["data"]
    assert under_way["probation"]["steps"] == ["loaded beside it", "all"]
    assert any("as soon as every worker has it loaded" in each for each in under_way["ahead"])


def test_a_candidate_that_gave_way_is_among_the_decisions() -> None:
    gone = RolloutSuperseded(model="m", at=AT, version="v7", by="v6", reason="v6 is on probation already")
    assert "v7 gives way to v6" in str(loop([gone.caused_by("approval")])["decisions"])
