"""Whether a request may join the queue, so that those who may are answered in time, however many come."""

from dataclasses import dataclass
from typing import Final

__all__ = ["Admission"]

_SLOWER, _FASTER = 0.1, 0.5  # one slow call, the first one say, must not turn many away
_SLICE_S: Final = 0.01
_MOST_ROWS: Final = 256
_STALLS: Final = 8


@dataclass(slots=True)
class Admission:
    """Knows how long rows take, and so how long the last one in the queue would wait. Reads no clock.

    Attributes
    ----------
    longest_s
        How long a request may have to wait for its turn.
    rows
        Rows in the queue.
    row_s
        Seconds that a row took of late: an average that forgets, 0 before the first.
    """

    longest_s: float
    rows: int = 0
    row_s: float = 0.0

    def admits(self, oldest_s: float) -> bool:
        """May one more request come when the oldest one has waited `oldest_s`?

        When nothing waits it always may: only by serving is it learnt that serving has become fast again. Where fewer
        wait than are answered at once, they wait for a disk or a processor that stalls, not for each other: turning the
        next one away would shorten nobody's wait, so it may come until the stall has lasted eight times `longest_s`.
        """
        if not self.rows:
            return True
        if self.rows * self.row_s > self.longest_s:
            return False
        if oldest_s <= self.longest_s:
            return True
        return oldest_s <= self.longest_s * _STALLS and self.rows < self.most_rows

    def fills(self) -> bool:
        """Are there as many rows as are taken at once?"""
        return self.rows >= _MOST_ROWS or (self.rows + 1) * self.row_s > _SLICE_S

    def served(self, rows: int, seconds: float) -> None:
        """Learn from `rows` rows that took `seconds` together."""
        each = seconds / rows
        weight = 1.0 if not self.row_s else _FASTER if each < self.row_s else _SLOWER
        self.row_s += weight * (each - self.row_s)

    @property
    def most_rows(self) -> int:
        """How many rows to take at once: few enough that other connections get a word in between."""
        if not self.row_s:
            return _MOST_ROWS
        return max(1, min(_MOST_ROWS, int(_SLICE_S / self.row_s)))
