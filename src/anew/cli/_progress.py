"""How far counted work is, with the time that is left, on stderr."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import TextIO

from anew.loop.progress import time_left, uncounted, write_left

__all__ = ["Counted", "at_a_terminal"]

_EVERY_S = 30.0
_SHOWN_S = 0.1


@dataclass(slots=True, kw_only=True)
class Counted:
    """Called with what is done and how much there is; `what` names it, as in ``models trained``.

    At a terminal it is one line that is written over; elsewhere a line every half minute, and one at the end.
    """

    what: str
    to: TextIO = field(default_factory=lambda: sys.stderr)
    clock: Callable[[], float] = monotonic
    _began: float | None = field(default=None, init=False)
    _before: int = field(default=0, init=False)
    _told: float = field(default=0.0, init=False)

    def __call__(self, done: int, of: int) -> None:
        """Say it, unless that was a moment ago."""
        now, over = self.clock(), self.to.isatty()
        if self._began is None:
            self._began, self._before = now, done
            self._told = now - _SHOWN_S if over else now
        if done < of and now - self._told < (_SHOWN_S if over else _EVERY_S):
            return
        self._told = now
        left = time_left(now - self._began, done - self._before, of - done)
        line = f"{done} of {of} {self.what}" + (f", {write_left(left)}" if left else "")
        self.to.write(f"\r\x1b[K{line}" + ("\n" if done == of else "") if over else f"{line}\n")
        self.to.flush()


def at_a_terminal(what: str) -> Callable[[int, int], None]:
    """Count work at a terminal alone: where a program reads, a command that goes well has nothing to say on stderr."""
    return Counted(what=what) if sys.stderr.isatty() else uncounted
