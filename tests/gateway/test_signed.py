"""Labels and feedback that a program signs: only who holds the secret speaks, only for itself, only now, and once."""

import asyncio
import base64
import hashlib
import hmac
import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from anew.adapters.memory_lake import MemoryLake
from anew.adapters.standard_webhook import TOLERANCE_S, verified_sender, webhook_key
from anew.domain.access import Role
from anew.domain.column import Value
from anew.domain.interval import Interval
from anew.domain.observation import Answer, FeedbackEvent, Label, Observation, Prediction
from anew.gateway.app import GatewayApp
from anew.gateway.gate import Gate, Rules
from anew.gateway.settings import GatewaySettings
from anew.ports.http import Reply, Request
from anew.testing.fake_journal import FakeJournal
from anew.testing.fake_predictor import FAKE_COLUMNS
from tests.gateway.served import served
from tests.gateway.test_app import NOW, make
from tests.gateway.test_openapi import hold

SECOND = int(NOW.timestamp())
CRM, CRM_OLD, CLINIC, OTHER = (base64.b64encode(letter * 24).decode() for letter in (b"a", b"b", b"c", b"d"))
KEYS = {"crm": (webhook_key(CRM), webhook_key(CRM_OLD)), "clinic": (webhook_key(CLINIC),)}
SETTINGS = GatewaySettings(
    model="m",
    columns=FAKE_COLUMNS,
    events=("returned",),
    signing={"crm": ("env:CRM", "env:CRM_OLD"), "clinic": ("env:CLINIC",)},
)
ID = "0" * 31 + "1"
LABELS: dict[str, Any] = {"labels": [{"prediction": ID, "value": 1.5}]}
FEEDBACK: dict[str, Any] = {
    "feedback": [{"prediction": ID, "event": "returned"}, {"prediction": ID, "correction": 2.5}]
}
PATHS = ("/webhook/labels", "/webhook/feedback")


def gateway(journal: FakeJournal, *, now: datetime = NOW, keys: Any = KEYS) -> Gate:
    """Return a gateway that lets nobody in without a token, and nobody has one."""
    endpoint = make(journal, settings=SETTINGS).endpoints[0]
    endpoint.now = lambda: now
    endpoint.verify = lambda headers, body, at: verified_sender(keys, headers, body, now=at)
    app = GatewayApp([endpoint])
    return Gate(app, app.asked, Rules(verify=lambda _token, _now: None), now=lambda: NOW)


def signed(body: bytes, secret: str = CRM, id: str = "msg_1", second: int = SECOND) -> dict[str, str]:
    """Sign as a sender does, with nothing of anew."""
    mac = hmac.new(base64.b64decode(secret), f"{id}.{second}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": id,
        "webhook-timestamp": str(second),
        "webhook-signature": "v1," + base64.b64encode(mac).decode(),
    }


def send(gate: Gate, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
    async def ask() -> Reply:
        told: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        coded = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
        gate(Request("POST", path, {b"host": b"localhost", **coded}, body), told.set_result)
        return await told

    reply = asyncio.run(ask())
    return reply.status, json.loads(reply.body)


def posted(path: str, told: Any, journal: FakeJournal, **how: Any) -> tuple[int, Any]:
    body = json.dumps(told).encode()
    return send(gateway(journal), path, body, signed(body, **how))


def test_what_a_source_signs_is_its_own_word_without_a_token() -> None:
    journal = FakeJournal()
    assert posted("/webhook/labels", LABELS, journal)[0] == 200
    assert posted("/webhook/labels", LABELS, journal, secret=CLINIC, id="msg_2")[0] == 200
    assert posted("/models/m/webhook/labels", LABELS, journal, id="msg_3")[0] == 200
    status, said = posted("/webhook/feedback", FEEDBACK, journal, id="msg_4")
    assert (status, said["accepted"]) == (200, 2)
    kept: list[Any] = list(journal.records)
    assert [each.source for each in kept] == ["crm", "clinic", "crm", "crm", "crm"]
    assert [type(each) for each in kept] == [Label, Label, Label, FeedbackEvent, Label]


@pytest.mark.fault("L11")
@pytest.mark.fault("H1")
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "how",
    [
        {"second": SECOND - TOLERANCE_S - 1},
        {"second": SECOND + TOLERANCE_S + 1},
        {"second": SECOND - 365 * 86_400},
        {"secret": OTHER},
        {"sent": b'{"labels":[],"feedback":[]}'},
        {"headers": {"webhook-id": "msg_2"}},
        {"headers": {"webhook-timestamp": str(SECOND + 1)}},
        {"headers": {"webhook-timestamp": ""}},
        {"headers": {"webhook-signature": ""}},
        {"headers": {"webhook-signature": "v1,AAAA v2,BBBB"}},
        {"headers": {"webhook-signature": "v1a,AAAA"}},
        {"headers": {"webhook-id": ""}},
        {"headers": {"webhook-id": "\u00e9"}},
        {"bare": True},
        {"bare": True, "headers": {"authorization": "Bearer nobody"}},
    ],
)
def test_what_is_old_altered_or_signed_by_nobody_is_refused(path: str, how: dict[str, Any]) -> None:
    journal = FakeJournal()
    body = json.dumps(LABELS if path.endswith("labels") else FEEDBACK).encode()
    named = {name: how[name] for name in ("secret", "second") if name in how}
    headers = ({} if how.get("bare") else signed(body, **named)) | how.get("headers", {})
    status, said = send(gateway(journal), path, how.get("sent", body), headers)
    assert (status, said["error"]["code"]) == (401, "signature")
    assert journal.records == []
    assert not any(each in json.dumps(said) for each in (CRM, CRM_OLD, CLINIC))


@pytest.mark.fault("L11")
def test_nothing_of_a_body_is_read_before_its_signature_was() -> None:
    for body in (b"{", b'{"labels":[{"prediction":"nonsense","value":1}]}', b"\xff"):
        status, said = send(gateway(FakeJournal()), "/webhook/labels", body, signed(body, secret=OTHER))
        assert (status, said["error"]["code"]) == (401, "signature")
    body = b"{"
    assert send(gateway(FakeJournal()), "/webhook/labels", body, signed(body))[0] == 400, "control: it is read then"


@pytest.mark.fault("L11")
def test_an_old_secret_is_good_until_it_is_taken_away() -> None:
    body = json.dumps(LABELS).encode()
    for secret in (CRM, CRM_OLD):
        assert send(gateway(FakeJournal()), "/webhook/labels", body, signed(body, secret))[0] == 200
    rotated = KEYS | {"crm": (webhook_key(CRM),)}
    journal = FakeJournal()
    assert send(gateway(journal, keys=rotated), "/webhook/labels", body, signed(body, CRM_OLD))[0] == 401
    both = signed(body, CRM_OLD)
    both["webhook-signature"] += " " + signed(body, CRM)["webhook-signature"]
    assert send(gateway(journal, keys=rotated), "/webhook/labels", body, both)[0] == 200, "senders sign with both"
    assert len(journal.records) == 1


def lake_of(journal: FakeJournal) -> MemoryLake:
    lake, kept = MemoryLake(FAKE_COLUMNS), [each for each in journal.records if isinstance(each, Label | FeedbackEvent)]
    row: dict[str, Value] = {"amount": 1.5, "shop": "x", "count": 2}
    answered: Observation = Prediction(
        id=ID, model="m", at=NOW - timedelta(hours=1), received_at=NOW - timedelta(hours=1), key="c", row=row,
        answer=Answer(output=3.0), version="v1", arm="champion", epoch=4, latency_us=1,
    )  # fmt: skip
    lake.append("w0", 1 + len(kept), [answered, *kept])
    return lake


EVER = Interval(start=NOW - timedelta(days=9), end=NOW + timedelta(days=9))


@pytest.mark.fault("L11")
@pytest.mark.fault("L3")
def test_a_message_that_comes_again_in_whatever_order_counts_once() -> None:
    journal, first = FakeJournal(), json.dumps(LABELS).encode()
    corrected = json.dumps({"labels": [{"prediction": ID, "value": 9.0}]}).encode()
    thumb = json.dumps({"feedback": [{"prediction": ID, "thumb": "down"}]}).encode()
    sent = [(0, first, "a"), (60, corrected, "b"), (90, thumb, "c"), (120, first, "a"), (130, thumb, "c")]
    for after, body, id in sent:
        gate = gateway(journal, now=NOW + timedelta(seconds=after))
        path = PATHS[body == thumb]
        again = [send(gate, path, body, signed(body, id=id))[1]["ids"] for _ in range(2)]
        assert again[0] == again[1]
    lake = lake_of(journal)
    assert len(journal.records) == 10
    assert lake.labels(EVER).select("_value").rows() == [(9.0,)], "a replay undoes no correction"
    assert lake.feedback(EVER).height == 1


@pytest.mark.fault("L11")
def test_control_the_same_words_under_another_id_count_anew() -> None:
    journal, first = FakeJournal(), json.dumps(LABELS).encode()
    corrected = json.dumps({"labels": [{"prediction": ID, "value": 9.0}]}).encode()
    for after, body, id in ((0, first, "a"), (60, corrected, "b"), (120, first, "c")):
        gate = gateway(journal, now=NOW + timedelta(seconds=after))
        assert send(gate, "/webhook/labels", body, signed(body, id=id))[0] == 200
    assert lake_of(journal).labels(EVER).select("_value").rows() == [(1.5,)]


@pytest.mark.fault("A1")
@pytest.mark.parametrize("given", ["clinic", "api", "review", "CRM", "crm\u0000"])
def test_nobody_signs_for_another(given: str) -> None:
    journal = FakeJournal()
    for path, told in zip(PATHS, (LABELS, FEEDBACK), strict=True):
        name = path.rpartition("/")[2]
        entries: Any = [{**each, "source": given} for each in told[name]]
        status, said = posted(path, {name: entries}, journal)
        assert (status, said["error"]["path"]) == (422, f"{name}[0].source")
        entries = [{**each, "source": "crm"} for each in told[name]]
        assert posted(path, {name: entries}, journal)[0] == 200, "its own name it may say"
    assert {each.source for each in journal.records} == {"crm"}  # type: ignore[union-attr]  # all are labels or events


@pytest.mark.fault("A1")
def test_nobody_speaks_unsigned_for_a_source_that_signs() -> None:
    journal = FakeJournal()
    app = make(journal, settings=SETTINGS)
    for path, told in (("/labels", LABELS), ("/feedback", FEEDBACK)):
        name = path[1:]
        for source, status in (("crm", 422), ("clinic", 422), ("ops", 200)):
            body = json.dumps({name: [{**each, "source": source} for each in told[name]]}).encode()
            gate = Gate(app, app.asked, Rules(verify=lambda _t, _n: None, anonymous=Role.MACHINE), now=lambda: NOW)
            got, said = send(gate, path, body, {})
            assert got == status, said
    assert {each.source for each in journal.records} == {"ops"}  # type: ignore[union-attr]  # all are labels or events


def test_what_is_wrong_with_an_entry_is_said_as_ever() -> None:
    journal = FakeJournal()
    wrong: tuple[dict[str, Any], ...] = (
        {"labels": [{"prediction": "x", "value": 1}]},
        {"labels": []},
        {"feedback": []},
        {"labels": [{}]},
    )
    for told in wrong:
        assert posted("/webhook/labels", told, journal)[0] == 422
    assert posted("/webhook/feedback", {"feedback": [{"prediction": ID, "event": "unheard"}]}, journal)[0] == 422
    assert journal.records == []


def test_without_a_policy_there_are_no_such_paths() -> None:
    assert not [path for path in make(FakeJournal()).asked if "webhook" in path]


def test_the_document_says_what_they_do() -> None:
    gate = gateway(FakeJournal())

    async def document() -> Any:
        told: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        make(FakeJournal(), settings=SETTINGS)(Request("GET", "/openapi.json", {}, b""), told.set_result)
        return json.loads((await told).body)

    whole = asyncio.run(document())
    whole["paths"] = {path: whole["paths"][path] for path in PATHS}
    with served(gate) as place:
        assert hold(whole, place) > 2
