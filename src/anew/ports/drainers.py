"""Processes that make batches of journals ready for the lake; who asked for them stores them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from anew.domain.errors import AnewError
from anew.ports.lake import PreparedBatch

__all__ = ["Drainers", "PreparedAnswer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedAnswer:
    """What became of an order: a batch, nothing when the journal has no more, or a problem."""

    journal: str
    batch: PreparedBatch | None = None
    problem: AnewError | None = None


class Drainers(Protocol):
    """Each prepares one batch at a time. They read journals and change nothing, so any of them may end at any time.

    An order is a lease on its journal: no other has an order for it before this one is answered, or before whoever had
    it is dead. For one thread of one process.
    """

    def ask(self, journal: str, *, after: int, most: int) -> bool:
        """Have up to `most` observations of `journal` prepared that lie `after` a position; False when none is free."""
        ...

    def answers(self, within_s: float) -> Sequence[PreparedAnswer]:
        """Return what was answered, as soon as there is anything; none when nothing was for so long.

        Each order is answered once. That of a drainer that died, or that was ended because it was silent for longer
        than its lease lasts, is answered with UnavailableError.
        """
        ...
