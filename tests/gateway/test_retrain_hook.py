"""`POST /retrain`: only who holds the secret asks, only now, and once for each message."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from anew.adapters.standard_webhook import signed_headers, verified_id, webhook_key
from anew.domain.errors import UnavailableError
from anew.gateway.refusal import RefusedError
from anew.gateway.retrain_hook import RetrainHook
from anew.ports.http import Reply, Request

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
SECOND = int(NOW.timestamp())
KEY, OTHER = webhook_key("whsec_" + "A" * 32), webhook_key("whsec_" + "B" * 32)
BODY = b'{"reason":"a new catalogue: spring"}'


@dataclass
class Inbox:
    """Keeps each id once, as the real one does; refuses while `problem`."""

    kept: dict[str, str] = field(default_factory=dict)
    problem: bool = False

    def post(self, id: str, reason: str) -> None:
        """Keep it, or refuse."""
        if self.problem:
            raise UnavailableError("/secret/place is gone")
        self.kept.setdefault(id, reason)


def take(inbox: Inbox, body: bytes = BODY, **signed: Any) -> Reply:
    """Send a message signed with `key` at `second` under `id`; `headers` and `sent` replace what is sent then."""
    given: dict[str, Any] = {"key": KEY, "id": "msg-1", "second": SECOND, "body": body} | signed
    headers = dict(signed_headers(given["key"], given["id"], given["second"], given["body"]))
    headers |= given.get("headers", {})
    request = Request(
        method="POST",
        path="/retrain",
        headers={name.encode(): value.encode() for name, value in headers.items()},
        body=given.get("sent", body),
    )

    def verify(headers: Any, body: bytes, now: float) -> str:
        return verified_id(KEY, headers, body, now=now)

    hook = RetrainHook(verify=verify, post=inbox.post, now=lambda: NOW)
    return asyncio.run(hook.take(request))


def test_a_signed_message_asks() -> None:
    inbox = Inbox()
    assert take(inbox).status == 202
    assert take(inbox, b"", id="msg-2").status == 202
    assert inbox.kept == {"msg-1": "a new catalogue: spring", "msg-2": ""}


@pytest.mark.fault("L11")
def test_a_message_that_comes_again_asks_for_nothing_more_in_whatever_order() -> None:
    inbox = Inbox()
    for id in ("b", "a", "b", "a"):
        assert take(inbox, id=id, second=SECOND - ord(id)).status == 202
    assert list(inbox.kept) == ["b", "a"]


@pytest.mark.fault("L11")
@pytest.mark.parametrize(
    "signed",
    [
        {"second": SECOND - 301},
        {"second": SECOND + 301},
        {"sent": BODY.replace(b"spring", b"autumn")},
        {"key": OTHER},
        {"headers": {"webhook-id": "msg-2"}},
        {"headers": {"webhook-timestamp": str(SECOND + 1)}},
        {"headers": {"webhook-signature": ""}},
        {"headers": {"webhook-signature": "v1,AAAA v2,BBBB"}},
        {"headers": {"webhook-id": ""}},
    ],
)
def test_what_is_old_altered_or_signed_by_nobody_is_refused(signed: dict[str, Any]) -> None:
    inbox = Inbox()
    with pytest.raises(RefusedError) as caught:
        take(inbox, **signed)
    assert caught.value.status == 401
    assert inbox.kept == {}


@pytest.mark.fault("L11")
def test_without_the_check_of_its_age_an_old_message_would_be_taken() -> None:
    """The negative control: a receiver that looks at the signature alone takes what was recorded a year ago."""
    old = SECOND - 365 * 86_400
    headers = signed_headers(KEY, "msg-1", old, BODY)
    assert verified_id(KEY, headers, BODY, now=old) == "msg-1"
    with pytest.raises(RefusedError):
        take(Inbox(), second=old)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 422),
        (b'{"reason":1}', 422),
        (b'{"reason":"a","reason":"b"}', 422),
        (b'{"why":"a"}', 422),
        (b'{"reason":"a\\u0000"}', 422),
        (b'{"reason":"' + b"a" * 501 + b'"}', 422),
    ],
)
def test_what_is_no_request_is_refused_though_it_is_signed(body: bytes, status: int) -> None:
    inbox = Inbox()
    with pytest.raises(RefusedError) as caught:
        take(inbox, body)
    assert caught.value.status == status
    assert inbox.kept == {}


def test_an_inbox_that_takes_nothing_is_said_without_its_place() -> None:
    with pytest.raises(RefusedError) as caught:
        take(Inbox(problem=True))
    assert caught.value.status == 503
    assert "secret" not in str(caught.value)


def test_an_id_that_would_break_a_log_is_refused() -> None:
    post = partial(take, Inbox())
    with pytest.raises(RefusedError) as caught:
        post(id="a\nb")
    assert caught.value.status in (401, 422)
