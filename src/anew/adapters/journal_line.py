"""What a gateway and the process that writes its journal say to each other, on a socket that nobody else has."""

import struct
from dataclasses import dataclass
from typing import Final

from anew.domain.errors import AnewError, ConflictError, IntegrityError, UnavailableError

__all__ = ["GROUP", "GroupAnswer", "group_told", "unframed"]

GROUP: Final = struct.Struct("!QI")
"""Before a group of encoded records: how many bytes and how many records they are."""

_ANSWER: Final = struct.Struct("!dBI")
_PROBLEMS: Final[tuple[type[AnewError], ...]] = (ConflictError, IntegrityError, UnavailableError)


@dataclass(frozen=True, slots=True)
class GroupAnswer:
    """What opening the journal, or writing a group, came to, and for how many seconds the disk was at it."""

    problem: AnewError | None = None
    took_s: float = 0.0

    def told(self) -> bytes:
        """Return the answer as it is sent."""
        if self.problem is None:
            return _ANSWER.pack(self.took_s, 0, 0)
        kinds = (i for i, each in enumerate(_PROBLEMS, 1) if isinstance(self.problem, each))
        text = str(self.problem).encode(errors="backslashreplace")
        return _ANSWER.pack(self.took_s, next(kinds, len(_PROBLEMS)), len(text)) + text


def group_told(payload: bytes, count: int) -> bytes:
    """Return a group as it is sent."""
    return GROUP.pack(len(payload), count) + payload


def unframed(received: bytearray) -> GroupAnswer | None:
    """Take the first answer off what was received; None when it is not whole yet.

    >>> unframed(bytearray(GroupAnswer(UnavailableError("full"), 0.5).told()))
    GroupAnswer(problem=UnavailableError('full'), took_s=0.5)
    """
    if len(received) < _ANSWER.size:
        return None
    took_s, kind, length = _ANSWER.unpack_from(received)
    end = _ANSWER.size + length
    if len(received) < end:
        return None
    text = received[_ANSWER.size : end].decode(errors="replace")
    del received[:end]
    return GroupAnswer(_PROBLEMS[min(kind, len(_PROBLEMS)) - 1](text) if kind else None, took_s)
