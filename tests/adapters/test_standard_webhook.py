"""Signed webhooks: the specification's own example, and every way to be somebody else."""

import base64

import pytest

from anew.adapters.standard_webhook import TOLERANCE_S, signed_headers, verified_id, webhook_key
from anew.domain.errors import PolicyError, SettingsError

KEY = webhook_key("whsec_" + base64.b64encode(bytes(range(32))).decode())
NOW = 1_700_000_000


def test_it_signs_as_the_specification_s_libraries_do() -> None:
    # Standard Webhooks, reference vectors: secret, id, timestamp and body with their signature.
    key = webhook_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signed_headers(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_what_was_signed_is_taken_with_its_id() -> None:
    headers = signed_headers(KEY, "m1", NOW, b"body")
    assert verified_id(KEY, headers, b"body", now=NOW + TOLERANCE_S) == "m1"
    several = {**headers, "webhook-signature": "v1,AAAA v2,BBBB " + headers["webhook-signature"]}
    assert verified_id(KEY, several, b"body", now=NOW) == "m1"


@pytest.mark.fault("L11")
@pytest.mark.parametrize(
    ("changed", "body", "now"),
    [
        ({}, b"other", NOW),
        ({}, b"body", NOW + TOLERANCE_S + 1),
        ({}, b"body", NOW - TOLERANCE_S - 1),
        ({"webhook-id": "m2"}, b"body", NOW),
        ({"webhook-id": ""}, b"body", NOW),
        ({"webhook-timestamp": str(NOW + 1)}, b"body", NOW),
        ({"webhook-timestamp": "now"}, b"body", NOW),
        ({"webhook-timestamp": "\u0661"}, b"body", NOW),
        ({"webhook-timestamp": "9" * 400}, b"body", NOW),
        ({"webhook-signature": ""}, b"body", NOW),
        ({"webhook-signature": "v1,"}, b"body", NOW),
        ({"webhook-signature": "v1,\u00e9"}, b"body", NOW),
    ],
)
def test_everything_else_is_refused(changed: dict[str, str], body: bytes, now: float) -> None:
    with pytest.raises(PolicyError):
        verified_id(KEY, {**signed_headers(KEY, "m1", NOW, b"body"), **changed}, body, now=now)


def test_another_s_key_is_refused() -> None:
    other = webhook_key(base64.b64encode(b"x" * 32).decode())
    with pytest.raises(PolicyError):
        verified_id(KEY, signed_headers(other, "m1", NOW, b"body"), b"body", now=NOW)


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "whsec_short", "whsec_" + base64.b64encode(b"x" * 23).decode(), "\u00e9"]
)
def test_a_weak_secret_is_refused_without_being_repeated(secret: str) -> None:
    with pytest.raises(SettingsError) as refused:
        webhook_key(secret)
    assert not secret or secret not in str(refused.value).replace("whsec_;", "").replace("behind whsec_", "")
