"""How long gateway workers have said nothing."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from anew.ports.traffic import WorkerStatus

__all__ = ["MOST_SILENT_S", "Silence"]

MOST_SILENT_S: Final = 60.0
"""A worker reports each second; one that has said nothing for so long hangs, most often in the model's own code."""

_LOOK_S: Final = 1.0
_LOOKS: Final = 5
"""So often it was looked at meanwhile: where all of them slept, whoever wakes first may not take it for silence."""


@dataclass(frozen=True, slots=True)
class _Heard:
    """What a worker said last, since when nothing else was seen, and how often it was looked for since."""

    at: datetime
    since: float
    looks: int = 0


@dataclass(slots=True)
class Silence:
    """Knows for how long each living worker has said nothing.

    Parameters
    ----------
    living
        Returns what each living worker said last.
    monotonic
        Reads a clock in seconds.
    """

    living: Callable[[], Sequence[WorkerStatus]]
    monotonic: Callable[[], float] = time.monotonic
    _looked: float = field(default=float("-inf"), init=False)
    _heard: dict[int, _Heard] = field(default_factory=dict, init=False)

    def hung(self) -> dict[int, float]:
        """Look, at most once a second, and return the seconds of those that hang by their process ids."""
        now = self.monotonic()
        if now - self._looked >= _LOOK_S:
            self._looked = now
            self._heard = {each.pid: self._of(each.pid, each.at, now) for each in self.living()}
        return {
            pid: now - heard.since
            for pid, heard in self._heard.items()
            if heard.looks >= _LOOKS and now - heard.since >= MOST_SILENT_S
        }

    def forget(self) -> None:
        """Begin anew, where nothing that they say can be written down."""
        self._heard.clear()

    def _of(self, pid: int, at: datetime, now: float) -> _Heard:
        before = self._heard.get(pid)
        if before is None or before.at != at:
            return _Heard(at, now)
        return _Heard(at, before.since, before.looks + 1)
