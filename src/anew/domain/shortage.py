"""What ran out, when something raised because memory or disk did."""

import errno

from anew.domain.errors import TrainingError
from anew.domain.raised import text_of

__all__ = ["shortage"]

_WORDS = {
    "oom": "out of memory",
    "disk_full": "the disk is full",
}

_SAID_BY_LIBRARIES = ("bad_alloc", "bad allocation")


def shortage(raised: BaseException) -> tuple[str, str]:
    """Return ``oom`` or ``disk_full`` and the same in words; ("", "") where nothing ran out.

    What was raised from a shortage is named after that, in anybody's code as well: a library may say ``bad_alloc`` in
    an error of its own.
    """
    behind: BaseException | None = raised
    while behind is not None:
        if isinstance(behind, TrainingError) and behind.reason in _WORDS:
            return behind.reason, _WORDS[behind.reason]
        if isinstance(behind, MemoryError) or any(each in text_of(behind) for each in _SAID_BY_LIBRARIES):
            return "oom", _WORDS["oom"]
        if isinstance(behind, OSError) and behind.errno in (errno.ENOSPC, errno.EDQUOT):
            return "disk_full", _WORDS["disk_full"]
        if isinstance(behind, OSError) and behind.errno == errno.EFBIG:
            return "disk_full", "a file grew beyond the limit on output"
        behind = behind.__cause__
    return "", ""
