"""The compact form of profiles: a header in JSON and numbers as bytes, deflated."""

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from anew.domain.errors import InvariantError
from anew.stats.column import Counts, Floats

__all__ = ["counts_at", "head_of", "headed", "numbers_at", "planes", "reading"]

_COUNTS = frozenset({"|u1", "<u2", "<u4", "<u8"})


@contextmanager
def reading(what: str, packed: bytes) -> Iterator[None]:
    """Raise InvariantError for whatever the reader of `packed` stumbles over: these bytes are not `what`."""
    try:
        yield
    except InvariantError:
        raise
    except (
        zlib.error, ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError, MemoryError,
    ) as exc:  # fmt: skip
        raise InvariantError(f"these {len(packed)} bytes are not {what} ({type(exc).__name__})") from exc


def headed(header: Mapping[str, Any], parts: Iterable[bytes]) -> bytes:
    """Return the header, its length before it, and what follows it."""
    head = json.dumps(header, separators=(",", ":")).encode()
    return len(head).to_bytes(4, "big") + head + b"".join(parts)


def head_of(raw: bytes) -> tuple[dict[str, Any], int]:
    """Return the header, and where what follows it begins."""
    at = 4 + int.from_bytes(raw[:4], "big")
    return json.loads(raw[4:at]), at


def planes(numbers: Floats) -> bytes:
    """Return float64, shape (k,), as byte planes: deflate sees bytes that are alike, such as zeros, side by side."""
    return numbers.view(np.uint8).reshape(-1, 8).T.tobytes()


def numbers_at(raw: bytes, size: int, at: int) -> Floats:
    """Return the `size` numbers whose planes begin at `at`."""
    held = np.frombuffer(raw, np.uint8, size * 8, at).reshape(8, -1)
    found: Floats = np.ascontiguousarray(held.T).view(np.float64).ravel()
    return found


def counts_at(raw: bytes, size: int, narrow: str, at: int) -> Counts:
    """Return the `size` counts that begin at `at`, each as wide as `narrow` says."""
    if narrow not in _COUNTS:
        raise InvariantError(f"counts are whole numbers from zero on, not {narrow!r}")
    return np.frombuffer(raw, narrow, size, at)
