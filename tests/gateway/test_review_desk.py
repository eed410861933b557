"""Review over HTTP: for the labeller's role alone, each under his own name, and as the document says."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from anew.adapters.review_db import ReviewDB
from anew.domain.access import Principal, Role
from anew.gateway.app import GatewayApp
from anew.gateway.gate import Gate, Rules
from anew.gateway.review_desk import ReviewDesk
from anew.ports.http import Reply, Request
from anew.ports.review import ReviewItem
from anew.testing.fake_journal import FakeJournal
from anew.testing.fake_predictor import FAKE_COLUMNS
from tests.gateway.served import served
from tests.gateway.test_app import NOW, SETTINGS, make
from tests.gateway.test_openapi import hold

T0 = datetime(2026, 1, 5, tzinfo=UTC)
PATHS = ("/review/next", "/review/answer", "/review/skip", "/review/status")
NOBODY = "0" * 26


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ReviewDB]:
    found = ReviewDB(tmp_path / "review.db")
    items = [
        ReviewItem(prediction=f"p{i}", at=T0, key="k", row={"amount": 1.0}, reason="random", propensity=0.5, window=T0)
        for i in range(3)
    ]
    found.add(items, reached=T0)
    yield found
    found.close()


def app(store: ReviewDB) -> GatewayApp:
    desk = ReviewDesk(store, FAKE_COLUMNS, lambda: NOW, lease=timedelta(minutes=5), gold=0.0)
    plain = make(FakeJournal(), settings=replace(SETTINGS, review=True))
    return GatewayApp(plain.endpoints, {"m": desk})


def gate(store: ReviewDB, anonymous: Role | None = None) -> Gate:
    def verify(token: str, _: datetime) -> Principal | None:
        return Principal(id=token, name=token, role=Role(token.split("-", maxsplit=1)[0]))

    inner = app(store)
    return Gate(inner, inner.asked, Rules(verify=verify, anonymous=anonymous), now=lambda: NOW)


def ask(by: Gate, path: str, who: str, body: Any = None) -> tuple[int, Any]:
    async def asked() -> Reply:
        told: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        headers = {b"host": b"localhost"} | ({b"authorization": f"Bearer {who}".encode()} if who else {})
        method = "GET" if path.endswith("status") else "POST"
        by(Request(method, path, headers, json.dumps(body or {}).encode()), told.set_result)
        return await told

    reply = asyncio.run(asked())
    return reply.status, json.loads(reply.body)


@pytest.mark.fault("L10")
def test_two_labellers_get_different_items_and_answer_their_own(store: ReviewDB) -> None:
    by = gate(store)
    (_, ann), (_, bob) = (ask(by, "/review/next", f"labeller-{name}") for name in ("ann", "bob"))
    assert ann["item"]["row"] == {"amount": 1.0}
    assert ann["item"]["id"] != bob["item"]["id"]
    assert set(ann["item"]) == {"id", "at", "row", "until", "target", "classes"}, "neither answer nor reason"
    status, said = ask(by, "/review/answer", "labeller-bob", {"item": ann["item"]["id"], "value": 3.5})
    assert (status, said["error"]["code"]) == (404, "not_found")
    answer = {"item": ann["item"]["id"], "value": 3.5}
    assert ask(by, "/review/answer", "labeller-ann", answer)[0] == 200
    assert ask(by, "/review/answer", "labeller-ann", answer)[0] == 200
    assert ask(by, "/review/answer", "labeller-ann", answer | {"value": 4})[0] == 409
    assert ask(by, "/review/skip", "labeller-bob", {"item": bob["item"]["id"]})[0] == 200
    status, said = ask(by, "/review/status", "labeller-ann")
    assert said["yours"] == {"answered": 1, "skipped": 0}
    assert "labellers" not in said
    (asked,) = store.voted()
    assert asked.votes == [("labeller-ann", 3.5)]


@pytest.mark.fault("H2")
@pytest.mark.parametrize("role", list(Role))
def test_review_is_for_those_who_may(store: ReviewDB, role: Role) -> None:
    allowed = role in (Role.LABELLER, Role.OPERATOR, Role.ADMIN)
    for path in PATHS:
        status, _ = ask(gate(store), path, f"{role.value}-x", {"item": NOBODY, "value": 1})
        assert (status not in (401, 403)) is allowed


@pytest.mark.fault("H1")
def test_nobody_reviews_without_a_name(store: ReviewDB) -> None:
    for path in PATHS:
        assert ask(gate(store), path, "")[0] == 401
        assert ask(gate(store, Role.MACHINE), path, "")[0] == 403, "whom loopback lets in is a machine"


def test_without_a_policy_there_is_no_such_path() -> None:
    assert not [path for path in make(FakeJournal()).asked if "review" in path]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"item": "../../etc", "value": 1}, 422),
        ({"item": NOBODY, "value": "text"}, 422),
        ({"item": NOBODY}, 422),
        ({"item": NOBODY, "value": 1, "more": 1}, 422),
        ({"item": NOBODY, "value": 2**70}, 422),
        ({"item": NOBODY, "value": 1}, 404),
    ],
)
def test_what_cannot_be_an_answer_is_refused(store: ReviewDB, body: Any, status: int) -> None:
    assert ask(gate(store), "/review/answer", "labeller-ann", body)[0] == status


@pytest.mark.parametrize(
    ("text", "status", "path"),
    [
        (f'{{"item": "{NOBODY}", "value": 0, "value": 1}}', 422, "value"),
        (f'{{"item": "{NOBODY}", "value": []}}', 422, "value"),
        (f'{{"item": "{NOBODY}", "value": "a:b"}}', 422, "value"),
        (f'{{"item": "{NOBODY}"}}', 422, "value"),
        ('{"item": 7, "value": 1}', 422, "item"),
        ("{", 400, ""),
    ],
)
def test_an_answer_is_read_as_strictly_as_every_other_body(store: ReviewDB, text: str, status: int, path: str) -> None:
    async def asked() -> Reply:
        told: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        app(store)(Request("POST", "/review/answer", {b"host": b"localhost"}, text.encode(), "ann"), told.set_result)
        return await told

    reply = asyncio.run(asked())
    error = json.loads(reply.body)["error"]
    assert (reply.status, error["path"]) == (status, path)
    assert "$" not in error["message"]


def test_it_answers_as_the_document_says(store: ReviewDB) -> None:
    inner = app(store)

    class Named:
        """Lets everybody in, under one name."""

        def __call__(self, request: Request, respond: Any) -> None:
            request.who = "ann"
            inner(request, respond)

        def refusal(self, status: int, message: str) -> Reply:
            return inner.refusal(status, message)

    told: list[Reply] = []
    inner(Request("GET", "/openapi.json", {}, b""), told.append)
    document = json.loads(told[0].body)
    document["paths"] = {path: item for path, item in document["paths"].items() if path.startswith("/review")}
    assert len(document["paths"]) == 4
    with served(Named()) as place:
        assert hold(document, place) > 12
