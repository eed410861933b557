"""A champion that fails: who answers instead, what the record says, and when it is not asked any more."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from anew.domain.column import Columns, Value
from anew.domain.facts.rollout import Arm, Stage
from anew.domain.observation import Answer, Prediction
from anew.gateway.app import GatewayApp
from anew.gateway.ask import Outcome
from anew.gateway.challenger import Challenger
from anew.gateway.guard import Guard
from anew.gateway.record import Round, Voice, answered_plainly
from anew.gateway.routing import Contest, Route
from anew.gateway.row import RequestRow
from anew.testing.fake_journal import FakeJournal
from anew.testing.fake_predictor import FAKE_COLUMNS, FakePredictor
from tests.gateway.test_app import ROW, SETTINGS, champion, make, post, serving

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
FALLBACK = FakePredictor(version="v0", digest="d0", value=7.0)


@dataclass
class Asked:
    """Counts how often `version` is asked, and lets it be repaired."""

    inner: FakePredictor
    version: str = "v1"
    digest: str = "d"
    columns: Columns = FAKE_COLUMNS
    calls: int = field(default=0)

    def answer(self, rows: Sequence[Mapping[str, Value]]) -> Sequence[Answer]:
        """Count and pass on."""
        self.calls += 1
        return self.inner.answer(rows)


def watched(app: GatewayApp) -> Guard:
    route = serving(app).switch.route
    assert route is not None
    return route.guard


@pytest.mark.parametrize(
    ("behaviour", "reason"), [("raise", "error"), ("nan", "nonsense"), ("short", "nonsense"), ("text", "nonsense")]
)
def test_the_fallback_answers_at_once_and_the_record_says_why(behaviour: str, reason: str) -> None:
    journal = FakeJournal()
    app = make(journal, champion(behaviour), fallback=FALLBACK)
    status, body = post(app, "/predict", {"rows": [ROW, ROW]})
    assert status == 200
    assert [(each["output"], each["version"], each["arm"]) for each in body["predictions"]] == [
        (7.0, "v0", "fallback")
    ] * 2
    for one in journal.records:
        assert isinstance(one, Prediction)
        assert (one.version, one.arm, one.answer.output) == ("v0", "fallback", 7.0)
        assert (one.shadow_version, one.shadow, one.shadow_problem) == ("v1", None, f"champion {reason}")
    assert (serving(app).counts["champion_failed"], serving(app).counts["fallbacks"]) == (2, 2)
    assert serving(app).counts["predictions"] == 2
    assert watched(app).health().failed == {reason: 2}


def test_the_log_says_once_why_the_champion_failed_also_without_a_fallback(caplog: pytest.LogCaptureFixture) -> None:
    app = make(FakeJournal(), champion("raise"))
    for _ in range(3):
        assert post(app, "/predict", {"row": ROW})[0] == 500
    (said,) = [each.getMessage() for each in caplog.records if "version_failed" in each.getMessage()]
    assert "version=v1 reason=error problem=" in said
    assert "(fake_predictor.py, line " in said


class WordlessError(Exception):
    """Raises when it is asked what it says."""

    def __str__(self) -> str:
        """Raise."""
        raise ValueError("nothing")


@dataclass(frozen=True)
class Raising(FakePredictor):
    """Raises such a one."""

    def answer(self, rows: Sequence[Mapping[str, Value]]) -> Sequence[Answer]:
        """Raise it."""
        raise WordlessError(len(rows))


def test_an_exception_that_cannot_say_what_it_is_is_logged_and_the_fallback_answers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = make(FakeJournal(), Raising(version="v1", digest="d1"), fallback=FALLBACK)
    assert post(app, "/predict", {"row": ROW})[0] == 200
    assert "problem=WordlessError: <exception str() failed> (test_fallback.py, line " in caplog.text


def test_a_version_that_serves_again_after_another_is_told_again(caplog: pytest.LogCaptureFixture) -> None:
    app = make(FakeJournal(), champion("raise"))
    switch = serving(app).switch
    first = switch.route
    assert first is not None
    for champion_now in (first.champion, replace(FALLBACK, behaviour="raise"), first.champion):
        switch.route = replace(first, champion=champion_now)
        for _ in range(2):
            assert post(app, "/predict", {"row": ROW})[0] == 500
    said = [each.getMessage() for each in caplog.records if "version_failed" in each.getMessage()]
    assert [each.split("version=")[1].split()[0] for each in said] == ["v1", "v0", "v1"]


def test_only_when_the_fallback_fails_too_is_it_a_500_and_then_the_champion_is_not_to_blame() -> None:
    journal = FakeJournal()
    app = make(journal, champion("raise"), fallback=replace(FALLBACK, behaviour="nan"))
    for _ in range(20):
        status, body = post(app, "/predict", {"row": ROW})
        assert (status, body["error"]["code"]) == (500, "model_failed")
        assert "ordered" not in json.dumps(body)
    assert journal.records == []
    assert not watched(app).tripped
    assert watched(app).health().failed == {"error": 20}


def test_a_champion_that_keeps_failing_is_not_asked_until_a_newer_epoch() -> None:
    journal, asked = FakeJournal(), Asked(champion("raise"))
    app = make(journal, asked, fallback=FALLBACK)  # type: ignore[arg-type] # any answerer will do
    for _ in range(12):
        assert post(app, "/predict", {"row": ROW})[0] == 200
    assert asked.calls == SETTINGS.trip_failures
    kept = [one.shadow_problem for one in journal.records if isinstance(one, Prediction)]
    assert kept == ["champion error"] * 5 + ["champion tripped"] * 7
    assert watched(app).tripped == "5 of its last 5 rows failed (in all: error 5)"
    watched(app).reset()
    asked.inner = champion()
    assert post(app, "/predict", {"row": ROW})[1]["predictions"][0]["version"] == "v1"


def test_a_tripped_champion_is_asked_again_where_the_fallback_fails() -> None:
    app = make(FakeJournal(), champion("raise"), fallback=replace(FALLBACK, behaviour="raise_sometimes"))
    for _ in range(5):
        post(app, "/predict", {"row": ROW})
    assert watched(app).tripped
    assert post(app, "/predict", {"row": ROW | {"amount": 100.0}})[0] == 500
    assert watched(app).asked == 6


def test_control_without_a_fallback_every_caller_gets_a_500_and_the_champion_is_asked_on() -> None:
    asked = Asked(champion("raise"))
    app = make(FakeJournal(), asked)  # type: ignore[arg-type] # any answerer will do
    assert {post(app, "/predict", {"row": ROW})[0] for _ in range(12)} == {500}
    assert asked.calls == 12
    assert not watched(app).tripped


def told(stage: Stage, outcome: Outcome, failure: str = "champion error") -> Prediction:
    """Return the prediction for a row that v2 was asked for, beside v1 that failed, with v0 as fallback."""
    share = 1.0 if stage is Stage.CANARY else 0.0
    contest = Contest(
        arm=Arm(version="v2", digest="d2", share=share),
        challenger=Challenger("v2", "d2", FAKE_COLUMNS, SETTINGS, lambda _: ()),
        guard=Guard("v2", SETTINGS),
    )
    route = Route(
        epoch=1,
        stage=stage,
        champion=champion(),
        guard=Guard("v1", SETTINGS),
        fallback=FALLBACK,
        contests=(contest,),
    )
    made = Round(
        route=route,
        rows=[RequestRow(values={}, at=NOW, timed=True)],
        ids=["0" * 32],
        answers=[Answer(output=7.0 if failure else 3.0)],
        failure=failure,
        voices=[Voice(version="v2", chosen=[0], said=outcome)],
    )
    (one,) = made.predictions("m", NOW, 1)
    return one


def seen(one: Prediction) -> tuple[str, str, float | int | str, str, float | int | str | None, str]:
    shadow = None if one.shadow is None else one.shadow.output
    return one.version, one.arm, one.answer.output, one.shadow_version, shadow, one.shadow_problem


SAID = Outcome(answers=[Answer(output=2.0)])


@pytest.mark.parametrize(
    ("stage", "outcome", "failure", "expected"),
    [
        (Stage.CANARY, SAID, "champion error", ("v2", "challenger", 2.0, "v1", None, "champion error")),
        (
            Stage.CANARY,
            Outcome(problem="deadline"),
            "champion error",
            ("v0", "fallback", 7.0, "v1", None, "champion error, challenger deadline"),
        ),
        (Stage.SHADOW, SAID, "champion error", ("v0", "fallback", 7.0, "v1", None, "champion error")),
        (Stage.SHADOW, Outcome(), "champion tripped", ("v0", "fallback", 7.0, "v1", None, "champion tripped")),
        (Stage.CANARY, SAID, "", ("v2", "challenger", 2.0, "v1", 3.0, "")),
        (Stage.CANARY, Outcome(problem="deadline"), "", ("v1", "fallback", 3.0, "v2", None, "deadline")),
        (Stage.SHADOW, SAID, "", ("v1", "champion", 3.0, "v2", 2.0, "")),
        (Stage.SHADOW, Outcome(), "", ("v1", "champion", 3.0, "v2", None, "")),
    ],
)
def test_a_row_never_says_that_a_version_answered_what_it_did_not(
    stage: Stage, outcome: Outcome, failure: str, expected: tuple[object, ...]
) -> None:
    assert seen(told(stage, outcome, failure)) == expected


@pytest.mark.fault("S9")
def test_control_a_record_of_who_was_to_answer_would_differ_from_what_was_answered() -> None:
    rows, answers = [RequestRow(values={}, at=NOW, timed=True)], [Answer(output=7.0)]
    route = Route(epoch=1, stage=Stage.STEADY, champion=champion(), guard=Guard("v1", SETTINGS), fallback=FALLBACK)
    (meant,) = answered_plainly(route, zip(rows, ["0" * 32], answers, strict=True), "m", NOW, 1)
    (kept,) = Round(route=route, rows=rows, ids=["0" * 32], answers=answers, failure="champion error").predictions(
        "m", NOW, 1
    )
    assert (kept.version, kept.arm) == ("v0", "fallback")
    assert (meant.version, meant.arm) == ("v1", "champion")
