"""Signatures of webhooks, sent and received: who sent this body, and when.

Reference: Standard Webhooks 1.0.0, "Signature scheme".
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence

from anew.domain.errors import PolicyError, SettingsError

__all__ = ["TOLERANCE_S", "signed_headers", "verified_id", "verified_sender", "webhook_key"]

TOLERANCE_S = 300
"""How many seconds a timestamp may lie in the past or the future."""

_PREFIX = "whsec_"
_LEAST_BYTES = 24


def webhook_key(secret: str) -> bytes:
    """Return the key of a secret: base64 behind ``whsec_``, at least 24 bytes.

    Raises
    ------
    SettingsError
        It is none; the message does not repeat it.
    """
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except ValueError as exc:
        raise SettingsError("a webhook secret is base64, usually behind whsec_; this one is not") from exc
    if len(key) < _LEAST_BYTES:
        raise SettingsError(f"a webhook secret needs at least {_LEAST_BYTES} bytes, this one has {len(key)}")
    return key


def signed_headers(key: bytes, id: str, second: int, body: bytes) -> Mapping[str, str]:
    """Return the headers ``webhook-id``, ``-timestamp`` and ``-signature`` of a message sent at a Unix time."""
    return {
        "webhook-id": id,
        "webhook-timestamp": str(second),
        "webhook-signature": f"v1,{_signature(key, id, second, body)}",
    }


def verified_id(key: bytes, headers: Mapping[str, str], body: bytes, *, now: float) -> str:
    """Return the id of a message that whoever holds `key` sent within the tolerance; see `verified_sender`."""
    return verified_sender({"": (key,)}, headers, body, now=now)[1]


def verified_sender(
    keys: Mapping[str, Sequence[bytes]], headers: Mapping[str, str], body: bytes, *, now: float
) -> tuple[str, str]:
    """Return who sent a message within the tolerance, and its id; names of headers in lower case.

    Whether this id came before is for the caller to know: a repeat is the same message.

    Parameters
    ----------
    keys
        By sender, each that is good for it: a new one and an old one while it is rotated.

    Raises
    ------
    PolicyError
        A header is missing, the timestamp is too old or too new, or no signature is by any of the keys. The message
        does not say which signature would be.
    """
    id, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not id or len(id) > 256 or not stamp.isascii() or not stamp.isdecimal() or len(stamp) > 12:
        raise PolicyError("the message needs webhook-id and webhook-timestamp (seconds since 1970)")
    if abs(now - int(stamp)) > TOLERANCE_S:
        raise PolicyError(
            f"webhook-timestamp lies more than {TOLERANCE_S} s from now: sent long ago, or a clock is wrong"
        )
    given = [each[3:] for each in headers.get("webhook-signature", "")[:4096].split() if each.startswith("v1,")]
    expected = [(sender, _signature(key, id, int(stamp), body)) for sender, own in keys.items() for key in own]
    found = [
        sender
        for sender, signature in expected
        if any([hmac.compare_digest(signature.encode(), each.encode()) for each in given])  # noqa: C419  each takes its time
    ]
    if not found:
        raise PolicyError("no signature in webhook-signature is that of the shared secret")
    return found[0], id


def _signature(key: bytes, id: str, second: int, body: bytes) -> str:
    return base64.b64encode(hmac.new(key, f"{id}.{second}.".encode() + body, hashlib.sha256).digest()).decode()
