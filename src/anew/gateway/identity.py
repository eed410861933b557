"""Time-ordered ids of predictions (UUIDv7, RFC 9562, as 32 hex digits)."""

import hashlib
import os
from datetime import datetime

__all__ = ["prediction_id"]


def prediction_id(at: datetime, model: str = "", client_id: str = "") -> str:
    """Return an id that begins with the event time `at` in milliseconds.

    With a `client_id` the rest follows from it, so that a repeat at the same `at` has the same id at every worker;
    else it is random.

    >>> from datetime import UTC
    >>> at = datetime(2026, 1, 1, tzinfo=UTC)
    >>> prediction_id(at, "m", "order-7") == prediction_id(at, "m", "order-7") != prediction_id(at, "m", "order-8")
    True
    """
    rest = hashlib.sha256(f"{model}\n{client_id}".encode()).digest()[:10] if client_id else os.urandom(10)
    high, low = int.from_bytes(rest[:2], "big") & 0xFFF, int.from_bytes(rest[2:], "big") & (1 << 62) - 1
    # in two halves, since integers of more than one machine word are slow
    return f"{int(at.timestamp() * 1000) & (1 << 48) - 1:012x}7{high:03x}{1 << 63 | low:016x}"
