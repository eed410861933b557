"""Time-ordered ids of predictions (UUIDv7, RFC 9562, as 32 hex digits)."""

import hashlib
import os
from collections.abc import Callable
from datetime import datetime
from typing import Final

__all__ = ["Draw", "prediction_id"]

_BITE: Final = 8192
_VARIANT: Final = {f"{digit:x}": f"{digit & 3 | 8:x}" for digit in range(16)}


class Draw:
    """`os.urandom` in large bites: each call of that one lets go of the interpreter, and has to wait to get it back.

    Not thread-safe, and not to be taken over a fork: the same bytes would come twice.
    """

    __slots__ = ("_at", "_bytes")

    def __init__(self) -> None:
        self._bytes = b""
        self._at = 0

    def __call__(self, count: int) -> bytes:
        """Return so many random bytes."""
        if self._at + count > len(self._bytes):
            self._bytes, self._at = os.urandom(max(count, _BITE)), 0
        self._at += count
        return self._bytes[self._at - count : self._at]


def prediction_id(
    at: datetime, model: str = "", client_id: str = "", *, draw: Callable[[int], bytes] = os.urandom
) -> str:
    """Return an id that begins with the event time `at` in milliseconds.

    With a `client_id` the rest follows from it, so that a repeat at the same `at` has the same id at every worker;
    else it is random, from the bytes that `draw` gives.

    >>> from datetime import UTC
    >>> at = datetime(2026, 1, 1, tzinfo=UTC)
    >>> prediction_id(at, "m", "order-7") == prediction_id(at, "m", "order-7") != prediction_id(at, "m", "order-8")
    True
    """
    rest = (hashlib.sha256(f"{model}\n{client_id}".encode()).digest()[:10] if client_id else draw(10)).hex()
    # as text, since integers of more than one machine word are slow
    return f"{int(at.timestamp() * 1000) & (1 << 48) - 1:012x}7{rest[1:4]}{_VARIANT[rest[4]]}{rest[5:]}"
