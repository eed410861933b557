"""Time-ordered ids of predictions (UUIDv7, RFC 9562, as 32 hex digits)."""

import hashlib
import os
from collections.abc import Callable
from datetime import datetime
from typing import Final

__all__ = ["Draw", "prediction_id"]

_BYTES: Final = 10
_BITE: Final = 800 * _BYTES
_MILLIS: Final = (1 << 48) - 1
_VARIANT: Final = {f"{digit:x}": f"{digit & 3 | 8:x}" for digit in range(16)}


class Draw:
    """`os.urandom` in large bites: each call of that one lets go of the interpreter, and has to wait to get it back.

    Not thread-safe, and not to be taken over a fork: the same digits would come twice.
    """

    __slots__ = ("_at", "_digits")

    def __init__(self) -> None:
        self._digits = ""
        self._at = 0

    def __call__(self) -> str:
        """Return the hex digits of ten random bytes."""
        at = self._at
        if at == len(self._digits):
            self._digits, at = os.urandom(_BITE).hex(), 0
        self._at = at + 2 * _BYTES
        return self._digits[at : self._at]


def prediction_id(at: datetime, model: str = "", client_id: str = "", *, draw: Callable[[], str] | None = None) -> str:
    """Return an id that begins with the event time `at` in milliseconds.

    With a `client_id` the rest follows from it, so that a repeat at the same `at` has the same id at every worker;
    else it is random, from what a `Draw` gives.

    >>> from datetime import UTC
    >>> at = datetime(2026, 1, 1, tzinfo=UTC)
    >>> prediction_id(at, "m", "order-7") == prediction_id(at, "m", "order-7") != prediction_id(at, "m", "order-8")
    True
    """
    if client_id:
        rest = hashlib.sha256(f"{model}\n{client_id}".encode()).hexdigest()
    else:
        rest = os.urandom(_BYTES).hex() if draw is None else draw()
    # as text, since integers of more than one machine word are slow
    return f"{int(at.timestamp() * 1000) & _MILLIS:012x}7{rest[1:4]}{_VARIANT[rest[4]]}{rest[5 : 2 * _BYTES]}"
