"""Messages that a program signs instead of sending a token: see Standard Webhooks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from anew.domain.errors import PolicyError
from anew.gateway.refusal import RefusedError
from anew.ports.http import Request

__all__ = ["HEADERS", "Signed", "VerifySender", "checked", "signed_by"]

HEADERS: Final = ("webhook-id", "webhook-timestamp", "webhook-signature")

T = TypeVar("T")

VerifySender = Callable[[Mapping[str, str], bytes, float], tuple[str, str]]
"""Returns the sender and the id of (headers, body, Unix time), or raises PolicyError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """Whose word a message is, and its id, under which it may come again."""

    source: str
    id: str


def checked(verify: Callable[[Mapping[str, str], bytes, float], T], request: Request, now: datetime) -> T:
    """Return what `verify` makes of a request; raises RefusedError (401) where it refuses."""
    headers = {name: request.headers.get(name.encode(), b"").decode("latin-1") for name in HEADERS}
    if not headers["webhook-id"].isascii() or not headers["webhook-id"].isprintable():
        raise RefusedError(401, "signature", "webhook-id has to be printable ASCII", "webhook-id")
    try:
        return verify(headers, request.body, now.timestamp())
    except PolicyError as exc:
        raise RefusedError(401, "signature", str(exc)) from exc


def signed_by(verify: VerifySender, request: Request, now: datetime) -> Signed:
    """Return who signed a request; raises RefusedError (401) where nobody did, or long ago."""
    source, id = checked(verify, request, now)
    return Signed(source=source, id=id)
