"""Open connections that go on in another process: whoever holds one does not notice."""

import array
import contextlib
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass

__all__ = ["Passage"]


def _nothing() -> None:
    return None


@dataclass(slots=True)
class Passage:
    """One end of the way between two workers that take turns at one socket.

    Parameters
    ----------
    peer
        A socket of the family AF_UNIX whose other end the other worker has. What one sends, the other takes when its
        turn comes; that may be another process than when it was sent.
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

    def give(self, descriptor: int) -> bool:
        """Send a connection to the other worker; False while the way is full.

        Raises
        ------
        OSError
            Nobody has the other end.
        """
        try:
            socket.send_fds(self.peer, [b"c"], [descriptor])
        except BlockingIOError:
            return False
        return True

    def take(self) -> Iterator[socket.socket]:
        """Yield the connections that were sent, one for each byte."""
        size = array.array("i").itemsize
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while True:
                said, more, _, _ = self.peer.recvmsg(1, socket.CMSG_SPACE(size))
                if not said:
                    return
                for _, _, data in more:
                    for descriptor in array.array("i", data[:size]):
                        yield socket.socket(fileno=descriptor)
