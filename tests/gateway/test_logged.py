"""A gateway that answers nobody keeps what another server answered, as it was said, and nothing else."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from anew.domain.observation import Prediction
from anew.gateway.app import GatewayApp
from anew.testing.fake_journal import FakeJournal
from tests.gateway.test_app import ROW, SETTINGS, call, champion, make, post, serving

LOGGING = replace(SETTINGS, log_only=True)


def logging(journal: FakeJournal, **more: Any) -> GatewayApp:
    return make(journal, settings=LOGGING, **more)


def log(app: GatewayApp, *outputs: Any, **more: Any) -> tuple[int, Any]:
    asked = {"rows": [ROW] * len(outputs), "ids": [f"r{i}" for i in range(len(outputs))]}
    return post(app, "/log", {"asked": asked, "answers": [{"output": each} for each in outputs]} | more)


def test_what_another_server_said_is_on_record_as_the_champions() -> None:
    journal = FakeJournal()
    status, body = log(logging(journal), 7.5, -1)
    assert status == 200
    first, second = journal.records
    assert isinstance(first, Prediction)
    assert isinstance(second, Prediction)
    assert [first.answer.output, second.answer.output] == [7.5, -1.0]  # the champion here says 3
    assert (first.version, first.arm, first.row["amount"]) == ("v1", "champion", 1.5)
    assert [each["id"] for each in body["predictions"]] == [first.id, second.id]


def test_a_log_that_is_sent_again_has_the_same_ids() -> None:
    app = logging(FakeJournal())
    assert log_again(app) == log_again(app)


@pytest.mark.parametrize(
    "other", [{"row": ROW | {"amount": 9.0}}, {"output": 2}, {"version": "v1"}, {"at": "2024-01-01T00:00:01Z"}]
)
def test_what_was_logged_otherwise_under_the_same_id_is_a_row_of_its_own(other: dict[str, Any]) -> None:
    app = logging(FakeJournal())
    assert log_again(app) != log_again(app, **other)
    assert log_again(app, **other) == log_again(app, **other)


def log_again(app: GatewayApp, row: Any = ROW, output: float = 1, at: str = "2024-01-01T00:00:00Z", **more: Any) -> str:
    asked = {"rows": [row], "ids": ["r1"], "at": at}
    status, said = post(app, "/log", {"asked": asked, "answers": [{"output": output}]} | more)
    assert status == 200
    return str(said["predictions"][0]["id"])


def test_a_server_that_has_not_changed_over_yet_says_so() -> None:
    journal = FakeJournal()
    app = logging(journal, fallback=replace(champion(), version="v0"))
    assert log(app, 7.5, version="v0")[0] == 200
    (kept,) = journal.records
    assert isinstance(kept, Prediction)
    assert (kept.version, kept.arm, kept.answer.output) == ("v0", "fallback", 7.5)
    status, body = log(app, 7.5, version="v9")
    assert (status, body["error"]["path"]) == (409, "version")
    assert len(journal.records) == 1
    assert log(app, 7.5, version="v1")[0] == 200


@pytest.mark.parametrize(
    ("body", "status", "path"),
    [
        ({"asked": {"rows": [ROW]}, "answers": [{"output": "x"}]}, 422, "answers[0].output"),
        ({"asked": {"rows": [ROW]}, "answers": [{"output": 1}, {"output": 2}]}, 422, "answers"),
        ({"asked": {"rows": [ROW]}, "answers": []}, 422, "answers"),
        ({"asked": {"rows": [{"amount": 1}]}, "answers": [{"output": 1}]}, 422, ""),
        ({"asked": {"rows": [ROW]}, "answers": [{"output": 1, "sure": True}]}, 422, "answers[0]"),
        ({"asked": {"rows": [ROW]}, "answers": [{"output": 1}], "version": "prod"}, 422, "version"),
        ({"rows": [ROW], "answers": [{"output": 1}]}, 422, ""),
    ],
)
def test_what_cannot_be_read_is_refused_whole(body: Any, status: int, path: str) -> None:
    journal = FakeJournal()
    code, said = post(logging(journal), "/log", body)
    assert code == status, said
    assert said["error"]["path"].startswith(path)
    assert journal.records == []


def test_keys_that_come_twice_are_refused_within_too() -> None:
    app = logging(FakeJournal())
    text = json.dumps({"asked": {"rows": [ROW]}, "answers": [{"output": 1}]})
    for twice in (text[:-1] + ', "answers": []}', text.replace('"amount": 1.5', '"amount": 1.5, "amount": 2')):
        code, _ = _raw(app, twice)
        assert code in (400, 422)
    assert _raw(app, text)[0] == 200


def _raw(app: GatewayApp, text: str) -> tuple[int, Any]:
    return asyncio.run(call(app, "/log", text.encode()))


def test_it_answers_nobody_and_a_gateway_that_does_takes_no_log() -> None:
    app, usual = logging(FakeJournal()), make(FakeJournal())
    assert post(app, "/predict", {"row": ROW})[0] == 404
    assert post(app, "/v2/models/m/infer", {})[0] == 404
    assert log(usual, 1.0)[0] == 404
    assert post(usual, "/predict", {"row": ROW})[0] == 200
    assert serving(app).counts["predictions"] == 0
