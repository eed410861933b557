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
    low = int.from_bytes(rest, "big")
    milliseconds = int(at.timestamp() * 1000) & (1 << 48) - 1
    return f"{milliseconds << 80 | 7 << 76 | (low >> 64 & 0xFFF) << 64 | 2 << 62 | low & (1 << 62) - 1:032x}"
