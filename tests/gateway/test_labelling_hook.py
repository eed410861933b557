"""`POST /review/label-studio`: who knows the secret has Label Studio asked, and can do nothing else."""

import asyncio
import json
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from anew.adapters.review_db import ReviewDB
from anew.domain.access import Principal
from anew.domain.errors import UnavailableError
from anew.gateway.app import GatewayApp
from anew.gateway.gate import Gate, Rules
from anew.gateway.labelling_hook import LabellingHook
from anew.gateway.review_desk import ReviewDesk
from anew.ports.http import Reply, Request
from anew.testing.fake_journal import FakeJournal
from anew.testing.fake_predictor import FAKE_COLUMNS
from tests.gateway.served import served
from tests.gateway.test_app import NOW, SETTINGS, make
from tests.gateway.test_openapi import hold

PATH = "/review/label-studio"
SECRET = "0123456789abcdef"  # noqa: S105  of this test alone


@dataclass
class Looks:
    """Counts, and cannot while `problem`."""

    count: int = 0
    problem: bool = False

    def look(self) -> None:
        """Count."""
        if self.problem:
            raise UnavailableError("/secret/place is gone")
        self.count += 1


def app(looks: Looks, folder: Path) -> GatewayApp:
    hook = LabellingHook(secret=SECRET, look=looks.look)
    store = ReviewDB(folder / "review.db")
    desk = ReviewDesk(store, FAKE_COLUMNS, lambda: NOW, lease=timedelta(minutes=5), gold=0.0, hook=hook)
    plain = make(FakeJournal(), settings=replace(SETTINGS, review=True, labelling=True))
    return GatewayApp(plain.endpoints, {"m": desk})


def ask(looks: Looks, folder: Path, headers: dict[bytes, bytes], body: bytes = b"{}") -> int:
    inner = app(looks, folder)

    def verify(token: str, _: object) -> Principal | None:
        return None

    gate = Gate(inner, inner.asked, Rules(verify=verify, anonymous=None), now=lambda: NOW)

    async def asked() -> Reply:
        told: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        gate(Request("POST", PATH, {b"host": b"localhost"} | headers, body), told.set_result)
        return await told

    return asyncio.run(asked()).status


def test_who_knows_the_secret_has_it_asked_whatever_the_body_says(tmp_path: Path) -> None:
    looks = Looks()
    for body in (b"{}", b"", b'{"action":"ANNOTATION_CREATED","annotation":{"result":"forged"}}', b"\xff[no json"):
        assert ask(looks, tmp_path, {b"x-anew-secret": SECRET.encode()}, body) == 202
    assert looks.count == 4


@pytest.mark.fault("H1")
@pytest.mark.parametrize("given", [None, b"", b"0123456789abcde", b"0123456789abcdef0", b"0123456789ABCDEF", b"\xff"])
def test_nobody_else_has(tmp_path: Path, given: bytes | None) -> None:
    looks = Looks()
    headers = {} if given is None else {b"x-anew-secret": given}
    assert ask(looks, tmp_path, headers) == 401
    assert looks.count == 0


def test_what_cannot_be_passed_on_is_said_without_its_place(tmp_path: Path) -> None:
    assert ask(Looks(problem=True), tmp_path, {b"x-anew-secret": SECRET.encode()}) == 503


@pytest.mark.fault("H10")
def test_the_secret_is_in_no_text_of_the_hook() -> None:
    assert SECRET not in repr(LabellingHook(secret=SECRET, look=Looks().look))


def test_without_a_policy_there_is_no_such_path() -> None:
    assert not [path for path in make(FakeJournal()).asked if "label-studio" in path]


def test_the_document_says_what_it_does(tmp_path: Path) -> None:
    with served(app(Looks(), tmp_path)) as place:
        document = {"openapi": "3.1.0", "info": {"title": "t", "version": "1"}} | _own(tmp_path)
        assert hold(document, place) > 1


def _own(folder: Path) -> dict[str, object]:
    whole = asyncio.run(_document(folder))
    return {"paths": {PATH: whole["paths"][PATH]}, "components": whole["components"]}


async def _document(folder: Path) -> dict[str, dict[str, object]]:
    told: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
    app(Looks(), folder)(Request("GET", "/openapi.json", {}, b""), told.set_result)
    found: dict[str, dict[str, object]] = json.loads((await told).body)
    return found
