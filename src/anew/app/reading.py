"""When a running loop reads the project's files again: once they were written, and not while they are."""

from collections.abc import Callable
from enum import Enum, auto

from anew.ports.clock import Clock

__all__ = ["Reading", "Step"]

_AGAIN_S = 1.0
"""Seconds between two readings of files that look the same, and those that a turn waits at most for who writes one."""


class Step(Enum):
    """What a turn does first."""

    GO = auto()
    READ = auto()
    WAIT = auto()


class Reading:
    """Tells before each turn whether to read the files, to go on, or to wait for the next turn.

    A file that looks other than at the turn before may be half written: a turn waits until it looks the same twice, so
    that a command that follows the last byte meets the new code. Where somebody writes on and on, one turn each second
    goes on with what was read before.

    Parameters
    ----------
    touched
        Tells, without reading them, how the files look now.
    """

    def __init__(self, touched: Callable[[], object], clock: Clock) -> None:
        self._touched = touched
        self._clock = clock
        self._read = self._last = touched()
        self._read_at = float("-inf")
        self._wait_until: float | None = None

    def look(self) -> Step:
        """Look at the files; return what this turn does first."""
        now, found = self._clock.monotonic(), self._touched()
        last, self._last = self._last, found
        if found != last:
            self._wait_until = now + _AGAIN_S if self._wait_until is None else self._wait_until
            if now < self._wait_until:
                return Step.WAIT
            self._wait_until = None
            return Step.GO
        self._wait_until = None
        if found == self._read and now < self._read_at + _AGAIN_S:
            return Step.GO
        self._read, self._read_at = found, now
        return Step.READ
