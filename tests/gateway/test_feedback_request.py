"""Bodies of /feedback."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from anew.adapters._lake_frame import frames
from anew.domain.column import Task
from anew.domain.observation import FeedbackEvent, Label
from anew.feedback.join import last_labels
from anew.feedback.outcome import Implicit, implied_labels, with_outcomes
from anew.gateway.feedback_request import FeedbackParser
from anew.gateway.refusal import RefusedError
from anew.gateway.settings import EventClock, GatewaySettings
from anew.testing.fake_predictor import FAKE_COLUMNS

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
ID = "0" * 32
SETTINGS = GatewaySettings(
    model="m",
    columns=replace(FAKE_COLUMNS, task=Task.BINARY, classes=(0, 1)),
    events=("bought", "clicked"),
)
PARSER = FeedbackParser(SETTINGS)


def parse(parser: FeedbackParser = PARSER, **entry: Any) -> FeedbackEvent | Label:
    (said,) = parser.parse(json.dumps({"feedback": [{"prediction": ID} | entry]}).encode(), NOW)
    return said


def test_an_event_is_read() -> None:
    said = parse(event="bought", value=3, at="2026-05-01T00:00:00+02:00", id="d:1", source="shop")
    assert said == FeedbackEvent(
        id="d:1",
        model="m",
        prediction=ID,
        at=datetime(2026, 4, 30, 22, tzinfo=UTC),
        received_at=NOW,
        event="bought",
        value=3.0,
        source="shop",
    )


def test_an_event_has_happened_once_unless_told() -> None:
    said = parse(event="clicked")
    assert isinstance(said, FeedbackEvent)
    assert (said.value, said.source, said.at) == (1.0, "user", NOW)


@pytest.mark.parametrize(("thumb", "value"), [("up", 1.0), ("down", 0.0)])
def test_a_thumb_is_an_event_of_its_own(thumb: str, value: float) -> None:
    said = parse(thumb=thumb)
    assert isinstance(said, FeedbackEvent)
    assert (said.event, said.value) == ("thumb", value)


def test_a_correction_is_a_label_of_the_user() -> None:
    said = parse(correction=1.0, id="c")
    assert said == Label(id="c", model="m", prediction=ID, at=NOW, received_at=NOW, value=1, source="user")


@pytest.mark.fault("L3")
@pytest.mark.parametrize("more", [{}, {"at": "2026-05-01T00:00:00Z"}])
def test_of_what_is_said_twice_in_one_request_the_later_counts(more: dict[str, Any]) -> None:
    ids = [f"{i:032x}" for i in range(40)]
    said = [{"prediction": id, "correction": value} | more for value in (0, 1) for id in ids]
    said += [{"prediction": id, "thumb": thumb} | more for thumb in ("up", "down") for id in ids]
    taken = frames(SETTINGS.columns, PARSER.parse(json.dumps({"feedback": said}).encode(), NOW))
    assert last_labels(taken["labels"]).get_column("_value").to_list() == ["1"] * 40
    answered = pl.DataFrame({"_id": ids})
    assert with_outcomes(answered, taken["feedback"], ()).get_column("thumb").to_list() == [0.0] * 40


def test_of_two_events_at_one_instant_the_one_that_is_said_later_labels_as_it_counts_elsewhere() -> None:
    ids = [f"{i:032x}" for i in range(40)]
    said = [{"prediction": id, "event": "bought", "value": value} for value in (3, 4) for id in ids]
    taken = frames(SETTINGS.columns, PARSER.parse(json.dumps({"feedback": said}).encode(), NOW))["feedback"]
    rule = Implicit(event="bought", within=timedelta(hours=1), then=None, otherwise=0)
    answered = pl.DataFrame({"_id": ids, "_at": [NOW] * 40}).cast({"_at": pl.Datetime("us", "UTC")})
    assert implied_labels(answered, taken, rule).get_column("_event_value").to_list() == [4.0] * 40
    assert with_outcomes(answered, taken, ("bought",)).get_column("bought").to_list() == [4.0] * 40


def test_clocks_may_differ_by_the_skew_and_a_label_is_not_before_its_prediction() -> None:
    ids = {f"{i:032x}": at for i, at in enumerate(["11:54:00", "11:56:00", "12:30:00"])}
    said = [{"prediction": id, "event": "bought", "at": f"2026-05-01T{at}Z"} for id, at in ids.items()]
    at = datetime(2026, 5, 1, 12, tzinfo=UTC)
    taken = frames(SETTINGS.columns, PARSER.parse(json.dumps({"feedback": said}).encode(), NOW))["feedback"]
    skew = timedelta(minutes=5)
    rule = Implicit(event="bought", within=timedelta(hours=1), then=None, otherwise=0, skew=skew)
    answered = pl.DataFrame({"_id": list(ids), "_at": [at] * 3}).cast({"_at": pl.Datetime("us", "UTC")})
    found = implied_labels(answered, taken, rule).sort("_prediction")
    assert found.get_column("_event_value").to_list() == [None, 1.0, 1.0]
    assert found.get_column("_at").to_list() == [at + rule.within, at, at + timedelta(minutes=30)]


def test_a_timed_repeat_is_the_same_delivery_and_an_untimed_one_is_not() -> None:
    at = "2026-05-01T00:00:00Z"
    assert parse(thumb="up", at=at).id == parse(thumb="up", at=at).id != parse(thumb="down", at=at).id
    assert parse(thumb="up").id != parse(thumb="up").id


@pytest.mark.parametrize(
    ("entry", "path"),
    [
        ({}, "feedback[0]"),
        ({"thumb": "up", "event": "bought"}, "feedback[0]"),
        ({"thumb": "up", "value": 1}, "feedback[0].value"),
        ({"thumb": "sideways"}, "feedback[0].thumb"),
        ({"event": "buoght"}, "feedback[0].event"),
        ({"event": "bought", "value": "3"}, "feedback[0].value"),
        ({"event": "bought", "value": True}, "feedback[0].value"),
        ({"event": "bought", "value": 1e308}, "feedback[0].value"),
        ({"correction": 2}, "feedback[0].correction"),
        ({"correction": True}, "feedback[0].correction"),
        ({"thumb": "up", "at": "2026-05-01T00:00:00"}, "feedback[0].at"),
        ({"thumb": "up", "at": "2027-05-01T00:00:00Z"}, "feedback[0].at"),
        ({"thumb": "up", "source": "a\x00"}, "feedback[0].source"),
        ({"thumb": "up", "who": 1}, "feedback[0].who"),
        ({"thumb": "up", "prediction": "other"}, "feedback[0].prediction"),
    ],
)
def test_entries_beside_the_contract_are_refused(entry: dict[str, Any], path: str) -> None:
    with pytest.raises(RefusedError) as caught:
        parse(**entry)
    assert (caught.value.status, caught.value.path) == (422, path)


def test_a_correction_that_no_mean_can_be_taken_of_is_refused() -> None:
    with pytest.raises(RefusedError, match=r"^-1e\+308 is no number from -1e\+100 to 1e\+100$"):
        parse(FeedbackParser(replace(SETTINGS, columns=FAKE_COLUMNS)), correction=-1e308)


def test_a_key_that_comes_twice_is_refused() -> None:
    body = b'{"feedback":[{"prediction":"' + ID.encode() + b'","thumb":"up","thumb":"down"}]}'
    with pytest.raises(RefusedError, match="twice"):
        PARSER.parse(body, NOW)


def test_where_event_time_comes_with_the_data_feedback_has_to_bear_it() -> None:
    parser = FeedbackParser(replace(SETTINGS, clock=EventClock.DATA))
    with pytest.raises(RefusedError) as caught:
        parse(parser, thumb="up")
    assert caught.value.path == "feedback[0].at"


def test_the_same_answer_whether_or_not_a_prediction_is_known() -> None:
    """Parsing asks nobody what there is: an id of another project is taken like any other, and never joins."""
    assert parse(thumb="up", id="x") == replace(parse(thumb="up", id="x", prediction="f" * 32), prediction=ID)
