"""Bodies of /labels."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from anew.adapters._lake_frame import frames
from anew.domain.column import Task
from anew.domain.observation import Label
from anew.feedback.join import last_labels
from anew.gateway.app import GatewayApp
from anew.gateway.label_request import LabelParser
from anew.gateway.refusal import RefusedError
from anew.gateway.settings import EventClock, GatewaySettings
from anew.testing.fake_journal import FakeJournal
from anew.testing.fake_predictor import FAKE_COLUMNS
from tests.gateway.test_app import ROW, call, make

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
REGRESSION = LabelParser(GatewaySettings(model="m", columns=FAKE_COLUMNS))
BINARY = LabelParser(GatewaySettings(model="m", columns=replace(FAKE_COLUMNS, task=Task.BINARY, classes=(0, 1))))
WORDS = LabelParser(
    GatewaySettings(model="m", columns=replace(FAKE_COLUMNS, task=Task.MULTICLASS, classes=("1", "ham", "spam")))
)
ID = "0" * 32


def parse(parser: LabelParser, **entry: Any) -> Label:
    (label,) = parser.parse(json.dumps({"labels": [{"prediction": ID} | entry]}).encode(), NOW)
    return label


def test_a_label_is_read() -> None:
    label = parse(REGRESSION, value=3, at="2026-05-01T00:00:00+02:00", id="d:1", source="crm")
    assert label == Label(
        id="d:1",
        model="m",
        prediction=ID,
        at=datetime(2026, 4, 30, 22, tzinfo=UTC),
        received_at=NOW,
        value=3.0,
        source="crm",
    )


def test_classes_come_back_as_declared() -> None:
    value = parse(BINARY, value=1.0).value
    assert value == 1
    assert isinstance(value, int)
    assert parse(WORDS, value="1").value == "1"


@pytest.mark.parametrize(
    ("parser", "value"),
    [
        (BINARY, 2),
        (BINARY, "1"),
        (BINARY, True),
        (BINARY, None),
        (WORDS, 1),
        (WORDS, "eggs"),
        (REGRESSION, "3"),
        (REGRESSION, 1.1e100),
        (REGRESSION, -1e308),
    ],
)
def test_values_that_the_task_does_not_know_are_refused(parser: LabelParser, value: object) -> None:
    with pytest.raises(RefusedError) as caught:
        parse(parser, value=value)
    assert (caught.value.status, caught.value.path) == (422, "labels[0].value")


def test_a_label_that_no_mean_can_be_taken_of_is_refused_with_how_far_labels_go() -> None:
    with pytest.raises(RefusedError, match=r"^1e\+308 is no number from -1e\+100 to 1e\+100$"):
        parse(REGRESSION, value=1e308)
    assert parse(REGRESSION, value=-1e100).value == -1e100, "control"


def test_a_class_of_another_kind_is_told_from_the_one_that_is_meant() -> None:
    with pytest.raises(RefusedError, match=r"^1 is none of the classes \['1', 'ham', 'spam'\]: send '1'$"):
        parse(WORDS, value=1)


@pytest.mark.fault("L3")
@pytest.mark.parametrize("more", [{}, {"at": "2026-05-01T00:00:00Z"}])
def test_of_what_a_source_says_twice_in_one_request_the_later_counts(more: dict[str, Any]) -> None:
    ids = [f"{i:032x}" for i in range(40)]
    said = [{"prediction": id, "value": value} | more for value in (1, 2) for id in ids]
    taken = REGRESSION.parse(json.dumps({"labels": said}).encode(), NOW)
    words = last_labels(frames(FAKE_COLUMNS, taken)["labels"])
    assert words.get_column("_value").to_list() == [2.0] * 40


@pytest.mark.parametrize(
    ("entry", "path"),
    [
        ({"value": 1, "prediction": "x"}, "labels[0].prediction"),
        ({"value": 1, "at": "2026-05-01T00:00:00"}, "labels[0].at"),
        ({"value": 1, "at": "2027-05-01T00:00:00Z"}, "labels[0].at"),
        ({"value": 1, "source": "a\x00"}, "labels[0].source"),
        ({"value": 1, "source": ""}, "labels[0].source"),
        ({"value": 1, "source": "review"}, "labels[0].source"),  # nobody speaks as those who review,
        ({"value": 1, "source": "implicit"}, "labels[0].source"),  # as events,
        ({"value": 1, "source": "history"}, "labels[0].source"),  # or as an imported file
        ({"value": 1, "id": "a\nb"}, "labels[0].id"),
        ({"value": 1, "who": "me"}, "labels[0].who"),
        ({}, "labels[0].value"),
    ],
)
def test_entries_beside_the_contract_are_refused(entry: dict[str, Any], path: str) -> None:
    with pytest.raises(RefusedError) as caught:
        parse(REGRESSION, **entry)
    assert (caught.value.status, caught.value.path) == (422, path)


@pytest.mark.parametrize("number", [b"NaN", b"1e999", b"9" * 400])
def test_numbers_that_are_none_are_refused_with_their_path(number: bytes) -> None:
    with pytest.raises(RefusedError) as caught:
        REGRESSION.parse(b'{"labels":[{"prediction":"' + b"0" * 32 + b'","value":' + number + b"}]}", NOW)
    assert caught.value.path == "labels[0].value"


def test_a_key_that_comes_twice_is_refused() -> None:
    with pytest.raises(RefusedError) as caught:
        REGRESSION.parse(b'{"labels":[{"prediction":"' + b"0" * 32 + b'","value":1,"value":2}]}', NOW)
    assert (caught.value.code, caught.value.path) == ("duplicate_key", "labels[0].value")


def test_a_timed_label_sent_again_is_the_same_delivery_an_untimed_one_is_not() -> None:
    first, again = (parse(REGRESSION, value=1, at="2026-05-01T00:00:00Z") for _ in range(2))
    assert first.id == again.id
    assert first.id != parse(REGRESSION, value=2, at="2026-05-01T00:00:00Z").id
    assert parse(REGRESSION, value=1).id != parse(REGRESSION, value=1).id


def test_where_time_comes_with_the_data_it_is_demanded() -> None:
    parser = LabelParser(GatewaySettings(model="m", columns=FAKE_COLUMNS, clock=EventClock.DATA))
    with pytest.raises(RefusedError, match="give `at`"):
        parse(parser, value=1)


@pytest.mark.fault("L3")
def test_a_source_withdraws_and_numbers_its_words() -> None:
    label = parse(BINARY, withdraw=True, source="crm", revision=3)
    assert (label.value, label.source, label.revision) == (None, "crm", 3)
    assert parse(BINARY, value=1, withdraw=False).value == 1


@pytest.mark.parametrize(
    ("entry", "path"),
    [
        ({"value": 1, "withdraw": True}, "labels[0].value"),
        ({"withdraw": False}, "labels[0].value"),
        ({"withdraw": 1}, "labels[0].withdraw"),
        ({"value": 1, "revision": -1}, "labels[0].revision"),
        ({"value": 1, "revision": 1.5}, "labels[0].revision"),
    ],
)
def test_a_withdrawal_is_never_guessed(entry: dict[str, Any], path: str) -> None:
    with pytest.raises(RefusedError) as caught:
        parse(REGRESSION, **entry)
    assert (caught.value.status, caught.value.path) == (422, path)


@pytest.mark.fault("L6")
@pytest.mark.parametrize(
    ("at", "accepted"),
    [
        ("2026-06-01T12:01:00Z", True),  # a minute ahead, within the skew that is allowed
        ("2026-06-02T12:00:00Z", False),
        ("2126-06-01T12:00:00Z", False),
        ("0001-01-01T00:00:00Z", False),
        ("9999-12-31T23:59:59Z", False),
        ("9999-12-31T23:59:59-12:00", False),
        (1780315200, False),  # seconds
        (1780315200000, False),  # milliseconds
        (1780315200000000, False),  # microseconds
        ("1780315200", False),
        ("2026-06-01T12:00:00", False),  # naive
    ],
)
def test_an_instant_is_accepted_or_refused_and_its_unit_never_guessed(at: object, accepted: bool) -> None:
    if accepted:
        assert parse(REGRESSION, value=1, at=at).at == datetime(2026, 6, 1, 12, 1, tzinfo=UTC)
        return
    with pytest.raises(RefusedError) as caught:
        parse(REGRESSION, value=1, at=at)
    assert (caught.value.status, caught.value.path) == (422, "labels[0].at")


def told(app: GatewayApp, id: str) -> tuple[int, list[str]]:
    """Return what of an answer about an id could give away whether it is known: all but the delivery's own id."""
    body = json.dumps({"labels": [{"prediction": id, "value": 1.0}]}).encode()
    status, said = asyncio.run(call(app, "/labels", body))
    return status, sorted(said)


def both(known_only: bool) -> tuple[tuple[int, list[str]], tuple[int, list[str]]]:
    """Return what is told of an id that was answered under, and of one that nobody was."""
    journal = FakeJournal()
    app = make(journal)
    status, said = asyncio.run(call(app, "/predict", json.dumps({"row": ROW}).encode()))
    assert status == 200
    known = said["predictions"][0]["id"]
    if known_only:
        endpoint = app.endpoints[0]
        parse = endpoint._labels.parse

        def careless(body: bytes, now: datetime, signed: Any = None) -> Any:
            found = parse(body, now, signed)
            if any(each.prediction != known for each in found):
                raise RefusedError(404, "unknown", "there is no such prediction")
            return found

        endpoint._labels.parse = careless  # type: ignore[method-assign]  # planted
    return told(app, known), told(app, "f" * 32)


@pytest.mark.fault("L2")
def test_an_id_that_is_known_and_one_that_is_not_are_answered_alike() -> None:
    known, unknown = both(known_only=False)
    assert known == unknown == (200, ["accepted", "ids"])


@pytest.mark.fault("L2")
def test_planted_a_gateway_that_looks_ids_up_gives_them_away() -> None:
    known, unknown = both(known_only=True)
    assert known != unknown
