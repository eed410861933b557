"""A process that prepares batches of journals, started as ``-m anew.adapters.drainer_worker JOURNALS SOCKET PID``.

It reads journals and writes nothing but its answers: PID, whose end of the socket it answers to, stores them. The
columns of the lake are on its standard input.
"""

import socket
import sys
from pathlib import Path

from anew.adapters.drainer_line import READY, DrainOrder, read_columns, read_order, told, unframed
from anew.adapters.job_worker import die_with
from anew.adapters.lake_batch import prepare
from anew.adapters.segment_reader import SegmentReader
from anew.domain.column import Columns
from anew.domain.errors import AnewError
from anew.ports.drainers import PreparedAnswer

__all__ = ["main"]

_READ_BYTES = 1 << 16


def main(journals: Path, descriptor: int, parent: int) -> int:
    """Answer orders until the other end of the socket closes."""
    die_with(parent)
    with socket.socket(fileno=descriptor) as line:
        received = bytearray()
        reader = SegmentReader(journals)
        columns = read_columns(sys.stdin.buffer.read())
        line.sendall(READY)
        while (message := _next(line, received)) is not None:
            line.sendall(told(_answer(reader, columns, read_order(message))))
    return 0


def _next(line: socket.socket, received: bytearray) -> bytes | None:
    """Return the next message; None at the end."""
    while (said := unframed(received)) is None:
        piece = line.recv(_READ_BYTES)
        if not piece:
            return None
        received += piece
    return said


def _answer(reader: SegmentReader, columns: Columns, order: DrainOrder) -> PreparedAnswer:
    try:
        read = reader.read(order.journal, after=order.after, most=order.most)
        if read.position <= order.after:
            return PreparedAnswer(journal=order.journal)
        batch = prepare(columns, order.journal, read.position, read.observations, after=order.after)
    except AnewError as exc:
        return PreparedAnswer(journal=order.journal, problem=exc)
    return PreparedAnswer(journal=order.journal, batch=batch)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
