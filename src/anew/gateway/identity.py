"""Time-ordered ids of predictions (UUIDv7, RFC 9562, as 32 hex digits)."""

import hashlib
import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final

from anew.domain.observation import id_prefix

__all__ = ["Draw", "foreign_ids", "prediction_id"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BYTES: Final = 10
_DIGITS: Final = 2 * _BYTES
_AT_ONCE: Final = 800
_MILLIS: Final = (1 << 48) - 1
_FREE, _FIXED = "0fff3fffffffffffffff", "70008000000000000000"  # version 7 and the variant of the RFC have their bits
_FREE_BITS: Final = int(_FREE * _AT_ONCE, 16)
_FIXED_BITS: Final = int(_FIXED * _AT_ONCE, 16)


class Draw:
    """`os.urandom` in large bites: each call of that one lets go of the interpreter, and has to wait to get it back.

    Not thread-safe, and not to be taken over a fork: the same digits would come twice.
    """

    __slots__ = ("_at", "_digits")

    def __init__(self) -> None:
        self._digits = ""
        self._at = 0

    def __call__(self) -> str:
        """Return the last twenty hex digits of an id."""
        at = self._at
        if at == len(self._digits):
            self._digits, at = _ends(os.urandom(_AT_ONCE * _BYTES)), 0
        self._at = at + _DIGITS
        return self._digits[at : self._at]


def prediction_id(at: datetime, model: str = "", asked: bytes = b"", *, draw: Callable[[], str] | None = None) -> str:
    """Return an id that begins with the event time `at` in milliseconds.

    With `asked`, a digest of the caller's id and of what was asked under it, the rest follows from these, so that a
    repeat at the same `at` has the same id at every worker, and nothing else has; without, it is random, from what a
    `Draw` gives.

    >>> from datetime import UTC
    >>> at = datetime(2026, 1, 1, tzinfo=UTC)
    >>> prediction_id(at, "m", b"order-7") == prediction_id(at, "m", b"order-7") != prediction_id(at, "m", b"order-8")
    True
    """
    if asked:
        end = _ends(hashlib.sha256(model.encode() + b"\n" + asked).digest()[:_BYTES])
    else:
        end = _ends(os.urandom(_BYTES)) if draw is None else draw()
    return f"{int(at.timestamp() * 1000) & _MILLIS:012x}{end}"


def _ends(drawn: bytes) -> str:
    """Return the hex digits of ten bytes for each id, with the bits that every id of this kind has."""
    digits = 2 * len(drawn)
    shift = 4 * (_DIGITS * _AT_ONCE - digits)
    return f"{int.from_bytes(drawn) & _FREE_BITS >> shift | _FIXED_BITS >> shift:0{digits}x}"


def foreign_ids(ids: Iterable[str], latest: datetime) -> int:
    """Count the ids under which no gateway answers: the time that they begin with is none, or after `latest`.

    Ids of another system, random ones above all, hardly ever begin with a time that may be an answer's.

    >>> answered = datetime(2026, 1, 1, tzinfo=UTC)
    >>> foreign_ids(["0" * 32, "f" * 32, prediction_id(answered)], answered)
    2
    """
    first, last = id_prefix(_EPOCH), id_prefix(latest)
    return sum(not first < id[: len(first)] <= last for id in ids)
