"""A process that writes a journal, started as ``-m anew.adapters.journal_worker FOLDER MOST SEGMENT STORED LINE PID``.

MOST and SEGMENT are the bounds in bytes of all segments together and of one; up to the number STORED its records are
stored elsewhere; LINE is the descriptor of a socket. It writes the groups that come on that, one after the other, and
answers each when it is on disk; it ends, the journal closed, when the other end closes, and is killed with PID, whose
other end that is.
"""

import signal
import socket
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from anew.adapters.job_worker import die_with
from anew.adapters.journal_line import GROUP, GroupAnswer
from anew.adapters.segment_journal import SegmentJournal
from anew.domain.errors import AnewError, ConflictError, UnavailableError

__all__ = ["main"]

_PATIENCE_S: Final = 1.0  # the process of a gateway that was killed ends a moment after it


def main(folder: Path, most_bytes: int, segment_bytes: int, stored: int, descriptor: int, parent: int) -> int:
    """Write until the other end of the socket closes; exit code 1 when there is no journal to be had."""
    die_with(parent)
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)  # who ends all of a gateway's processes still wants what it answers last
    with socket.socket(fileno=descriptor) as line:
        try:
            journal = _opened(folder, most_bytes, segment_bytes, stored)
        except AnewError as exc:
            line.sendall(GroupAnswer(exc).told())
            return 1
        with closing(journal), suppress(OSError):  # an end of the line that is not clean is one, too
            line.sendall(GroupAnswer().told())
            while len(head := _exactly(line, GROUP.size)) == GROUP.size:
                length, count = GROUP.unpack(head)
                payload = _exactly(line, length)
                if len(payload) < length:
                    break  # whoever sent it ended in the middle: nobody waits for it
                line.sendall(_written(journal, payload, count).told())
    return 0


def _opened(folder: Path, most_bytes: int, segment_bytes: int, stored: int) -> SegmentJournal:
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return SegmentJournal(folder, most_bytes=most_bytes, segment_bytes=segment_bytes, stored=stored)
        except ConflictError:
            if time.monotonic() > until:
                raise
        except OSError as exc:
            raise UnavailableError(f"the journal {folder} cannot be opened: {exc}") from exc
        time.sleep(0.02)


def _exactly(line: socket.socket, size: int) -> bytes:
    """Return so many bytes; fewer, or none, at the end."""
    piece = line.recv(size)
    if len(piece) == size or not piece:
        return piece
    received = bytearray(piece)
    while len(received) < size and (piece := line.recv(size - len(received))):
        received += piece
    return bytes(received)


def _written(journal: SegmentJournal, payload: bytes, count: int) -> GroupAnswer:
    began = time.perf_counter()
    try:
        journal.append_encoded(payload, count)
    except AnewError as exc:
        return GroupAnswer(exc, time.perf_counter() - began)
    return GroupAnswer(None, time.perf_counter() - began)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *map(int, sys.argv[2:7])))
