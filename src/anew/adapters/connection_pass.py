"""Open connections that go on in another process: whoever holds one does not notice."""

import array
import contextlib
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

__all__ = ["MOST_READ", "Passage", "way"]

MOST_READ: Final = 1 << 15 if sys.platform == "linux" else 1 << 10
"""Most bytes of an unfinished request that go along with its connection; the system bounds one message."""


def way() -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a way between two workers; it keeps messages apart."""
    kind = socket.SOCK_SEQPACKET if sys.platform == "linux" else socket.SOCK_DGRAM
    return socket.socketpair(socket.AF_UNIX, kind)


def _nothing() -> None:
    return None


@dataclass(slots=True)
class Passage:
    """One end of the way between two workers that take turns at one socket.

    Parameters
    ----------
    peer
        One end of a `way`, whose other end the other worker has. What one sends, the other takes when its turn comes;
        that may be another process than when it was sent.
    here
        Is it this worker's turn?

    Attributes
    ----------
    leave
        Passes on, at once, what can be; the server sets it.
    """

    peer: socket.socket
    here: Callable[[], bool]
    leave: Callable[[], None] = _nothing

    def __post_init__(self) -> None:
        self.peer.setblocking(False)

    def give(self, descriptor: int, read: bytes = b"") -> bool:
        """Send a connection to the other worker with what was read of its next request; False while the way is full.

        Raises
        ------
        OSError
            Nobody has the other end.
        """
        try:
            socket.send_fds(self.peer, [b"c", read], [descriptor])
        except BlockingIOError:
            return False
        return True

    def take(self) -> Iterator[tuple[socket.socket, bytes]]:
        """Yield the connections that were sent, each with what was read of its next request."""
        size = array.array("i").itemsize
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while True:
                said, more, _, _ = self.peer.recvmsg(1 + MOST_READ, socket.CMSG_SPACE(size))
                if not said:
                    return
                for _, _, data in more:
                    for descriptor in array.array("i", data[:size]):
                        yield socket.socket(fileno=descriptor), said[1:]
