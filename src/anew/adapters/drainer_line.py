"""What a loop and its drainers say to each other, on a socket that nobody else has: a length, then msgpack.

The columns of the lake, which may be thousands, a drainer finds on its standard input when it begins.
"""

import struct
from typing import Final, TypeVar

import msgspec

from anew.domain.column import Columns
from anew.domain.errors import AnewError, ConflictError, IntegrityError, UnavailableError
from anew.domain.manifest import columns_from_json, columns_to_json
from anew.ports.drainers import PreparedAnswer
from anew.ports.lake import PreparedBatch

__all__ = ["READY", "DrainOrder", "read_answer", "read_columns", "read_order", "told", "unframed", "write_columns"]

T = TypeVar("T")

_HEAD: Final = struct.Struct("!Q")
_PROBLEMS: Final[dict[str, type[AnewError]]] = {
    kind.__name__: kind for kind in (ConflictError, IntegrityError, UnavailableError)
}


class DrainOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A batch to prepare."""

    journal: str
    after: int
    most: int


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A `PreparedAnswer`, its problem as the name of its kind and what it says."""

    journal: str
    batch: PreparedBatch | None = None
    problem: tuple[str, str] | None = None


_ORDERS: Final = msgspec.msgpack.Decoder(DrainOrder)
_ANSWERS: Final = msgspec.msgpack.Decoder(_Answer)


def told(said: DrainOrder | PreparedAnswer) -> bytes:
    """Return a message as it is sent."""
    if isinstance(said, DrainOrder):
        return _framed(msgspec.msgpack.encode(said))
    problem = None if said.problem is None else (type(said.problem).__name__, str(said.problem))
    return _framed(msgspec.msgpack.encode(_Answer(journal=said.journal, batch=said.batch, problem=problem)))


def write_columns(columns: Columns) -> bytes:
    """Return what a drainer is told of the lake."""
    return msgspec.msgpack.encode(columns_to_json(columns))


def read_columns(data: bytes) -> Columns:
    """Read what `write_columns` returned; raises IntegrityError for what is none of it."""
    try:
        return columns_from_json(msgspec.msgpack.decode(data))
    except (msgspec.MsgspecError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as exc:
        raise IntegrityError(f"these {len(data)} bytes are no columns of a lake: {exc}") from exc


def read_order(message: bytes) -> DrainOrder:
    """Read an order; raises IntegrityError for what is none."""
    return _decoded(_ORDERS, message)


def read_answer(message: bytes) -> PreparedAnswer:
    """Read an answer; a problem of a kind that journals have not is damage. Raises IntegrityError for what is none."""
    said = _decoded(_ANSWERS, message)
    problem = None if said.problem is None else _PROBLEMS.get(said.problem[0], IntegrityError)(said.problem[1])
    return PreparedAnswer(journal=said.journal, batch=said.batch, problem=problem)


def _decoded(decoder: msgspec.msgpack.Decoder[T], message: bytes) -> T:
    try:
        return decoder.decode(message)
    except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
        raise IntegrityError(f"a message of {len(message)} bytes cannot be read: {exc}") from exc


def unframed(received: bytearray) -> bytes | None:
    """Take the first message off what was received; None when it is not whole yet."""
    if len(received) < _HEAD.size:
        return None
    end = _HEAD.size + _HEAD.unpack_from(received)[0]
    if len(received) < end:
        return None
    said = bytes(memoryview(received)[_HEAD.size : end])
    del received[:end]
    return said


def _framed(body: bytes) -> bytes:
    return _HEAD.pack(len(body)) + body


READY: Final = _framed(b"")
"""What a drainer says when it is there."""
