"""A record that fails when it is told to: before or after it has appended."""

from collections.abc import Iterator, Sequence
from enum import StrEnum

from anew.domain.errors import UnavailableError
from anew.domain.fact import Fact
from anew.ports.eventlog import EventLog, Grant, Recorded

__all__ = ["Crashed", "FaultyLog", "LogFault"]


class Crashed(BaseException):
    """The process is gone: nothing that is written to catch errors catches this."""


class LogFault(StrEnum):
    """What happens at the next append."""

    CRASH_BEFORE = "crash before"
    CRASH_AFTER = "crash after"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class FaultyLog:
    """Passes everything on to `log`; the next append meets `fault`, once.

    REFUSED raises UnavailableError and has appended nothing, UNKNOWN raises it and has appended: the caller cannot
    tell them apart and has to read back.
    """

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self.fault: LogFault | None = None

    def append(self, facts: Sequence[Fact], *, grant: Grant) -> int:
        """Append, or meet the fault."""
        fault, self.fault = self.fault, None
        if fault is LogFault.CRASH_BEFORE:
            raise Crashed
        if fault is LogFault.REFUSED:
            raise UnavailableError("the record does not answer; nothing was appended")
        head = self._log.append(facts, grant=grant)
        if fault is LogFault.CRASH_AFTER:
            raise Crashed
        if fault is LogFault.UNKNOWN:
            raise UnavailableError("the record stopped answering while it appended")
        return head

    def read(self, *, after: int = 0) -> Iterator[Recorded]:
        """Yield the facts with ``seq > after``, in order."""
        return self._log.read(after=after)

    def find(self, id: str) -> Recorded | None:
        """Return the fact with this id, or None."""
        return self._log.find(id)

    def head(self) -> int:
        """Return the greatest `seq`, 0 when empty."""
        return self._log.head()
