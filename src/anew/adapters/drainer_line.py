"""What a loop and its drainers say to each other, on a socket that nobody else has."""

import pickle
import struct
from dataclasses import dataclass
from typing import Any

__all__ = ["DrainOrder", "framed", "unframed"]

_HEAD = struct.Struct("!Q")


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainOrder:
    """A batch to prepare."""

    journal: str
    after: int
    most: int


def framed(said: object) -> bytes:
    """Return a message as it is sent."""
    body = pickle.dumps(said)
    return _HEAD.pack(len(body)) + body


def unframed(received: bytearray) -> Any:
    """Take the first message off what was received; None when it is not whole yet."""
    if len(received) < _HEAD.size:
        return None
    end = _HEAD.size + _HEAD.unpack_from(received)[0]
    if len(received) < end:
        return None
    said = pickle.loads(memoryview(received)[_HEAD.size : end])  # noqa: S301  our own process wrote it
    del received[:end]
    return said
