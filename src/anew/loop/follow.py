"""Tells a sink of each fact, once it is on record: apart from the loop, which waits for nobody."""

from anew.domain.errors import UnavailableError
from anew.ports.eventlog import EventLog
from anew.ports.sink import Cursor, Sink

__all__ = ["Follower"]

_MOVE_EVERY = 100


class Follower:
    """Reads the record after its cursor and offers each fact to a sink, in order. Belongs to one thread.

    Attributes
    ----------
    problem
        Why the sink takes nothing at present; empty while it does.
    """

    def __init__(self, log: EventLog, sink: Sink, cursor: Cursor) -> None:
        self._log = log
        self._sink = sink
        self._cursor = cursor
        self._seq = cursor.read()
        self.problem = ""

    @property
    def name(self) -> str:
        """The sink's."""
        return self._sink.name

    def step(self) -> int:
        """Offer what is new until there is no more or the sink takes no more; return how many facts it took."""
        taken = 0
        try:
            for recorded in self._log.read(after=self._seq):
                self._sink.take(recorded)
                self._seq = recorded.seq
                taken += 1
                if taken % _MOVE_EVERY == 0:
                    self._cursor.move(self._seq)
            self.problem = ""
        except UnavailableError as exc:
            self.problem = str(exc)
        if taken:
            self._cursor.move(self._seq)
        return taken
