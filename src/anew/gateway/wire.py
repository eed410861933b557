"""What a worker and a challenger's process say to each other over a socket: a length, then msgpack."""

import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from anew.domain.column import Value
from anew.domain.observation import Answer

__all__ = ["HEAD", "Question", "Reply", "decode_question", "decode_reply", "encode_frame"]

HEAD: Final = struct.Struct(">I")


class Question(msgspec.Struct, array_like=True, frozen=True):
    """Rows to answer, of no use after `deadline` (CLOCK_MONOTONIC, which all processes of a machine share)."""

    id: int
    deadline: float
    rows: Sequence[Mapping[str, Value]]


class Reply(msgspec.Struct, array_like=True, frozen=True):
    """The answers, or a problem. Id 0 is the first word: loaded, or why not.

    `cpu_s` are the CPU seconds that the process has taken so far.
    """

    id: int
    answers: Sequence[Answer] | None = None
    problem: str = ""
    cpu_s: float = 0.0


_QUESTIONS: Final = msgspec.msgpack.Decoder(Question)
_REPLIES: Final = msgspec.msgpack.Decoder(Reply)


def encode_frame(message: Question | Reply) -> bytes:
    """Return the bytes of a message; raises TypeError or ValueError for answers that are no values."""
    body = msgspec.msgpack.encode(message, enc_hook=_plain)
    return HEAD.pack(len(body)) + body


def decode_question(body: bytes) -> Question:
    """Read a question; raises msgspec.MsgspecError."""
    return _QUESTIONS.decode(body)


def decode_reply(body: bytes) -> Reply:
    """Read a reply; raises msgspec.MsgspecError for whatever is none."""
    return _REPLIES.decode(body)


def _plain(value: Any) -> Any:
    """Unwrap a numpy scalar, which users' models like to return."""
    item = getattr(value, "item", None)
    if item is None:
        raise TypeError(f"an answer holds a {type(value).__name__}, which is no value")
    return item()
