"""A request and its reply, between whoever speaks HTTP and whoever answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Handler", "Reply", "Request", "Respond"]


@dataclass(slots=True)
class Request:
    """One complete request.

    `path` is decoded, `headers` have lower-case names; of a header that comes twice the last one is here. `who` is
    the name of whoever sent it, set by what let it in.
    """

    method: str
    path: str
    headers: Mapping[bytes, bytes]
    body: bytes
    who: str = ""


@dataclass(slots=True)
class Reply:
    """What to send back; `headers` besides content-type, content-length and date."""

    status: int
    body: bytes
    media: bytes = b"application/json"
    headers: Sequence[tuple[bytes, bytes]] = ()


Respond = Callable[[Reply], None]
"""Sends the reply; on the event loop, once. A caller who has gone away gets nothing, and nobody is told."""


class Handler(Protocol):
    """Answers requests on an event loop. Never raises; calls `respond` once, then or later."""

    def __call__(self, request: Request, respond: Respond) -> None:
        """Begin to answer."""
        ...

    def refusal(self, status: int, message: str) -> Reply:
        """Return what to say to a request that cannot be given to it: it is no HTTP, too big, too slow, too much."""
        ...
