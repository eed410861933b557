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


@dataclass(slots=True)
class Silence:
    """Counts for each living worker the seconds since it last said something, as far as somebody looked.

    Time in which nobody did does not count: whoever looks may have been stopped, or asleep with the machine.

    Parameters
    ----------
    living
        Returns what each living worker said last.
    monotonic
        Reads a clock in seconds.
    """

    living: Callable[[], Sequence[WorkerStatus]]
    monotonic: Callable[[], float] = time.monotonic
    _looked: float = field(init=False)
    _heard: dict[int, tuple[datetime, float]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._looked = self.monotonic()

    def hung(self) -> dict[int, float]:
        """Look, at most once a second, and return the seconds of those that hang by their process ids.

        A worker that has not said anything yet is not among them: it is being loaded.
        """
        passed = self.monotonic() - self._looked
        if passed >= _LOOK_S:
            self._looked += passed
            passed = min(passed, 2 * _LOOK_S)
            before, self._heard = self._heard, {}
            for each in self.living():
                at, silent = before.get(each.pid, (each.at, 0.0))
                self._heard[each.pid] = (each.at, silent + passed if at == each.at else 0.0)
        return {pid: silent for pid, (_, silent) in self._heard.items() if silent >= MOST_SILENT_S}
