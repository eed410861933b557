"""When the label of each row of a stream comes: at once, or at a time of its own, or never."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from anew.loop.measure import Floats

__all__ = ["LabelTimes"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)
_NEVER = np.iinfo(np.int64).max


class LabelTimes:
    """Which labels of rows `0 … n - 1` are known by now.

    Parameters
    ----------
    at
        When each row was answered.
    came
        When its label came; None for a label that never does. A label that comes before its row is answered waits for
        it. Without `came` every label is known as soon as it is mature.
    """

    def __init__(self, at: Sequence[datetime], came: Sequence[datetime | None] | None = None) -> None:
        self.own = came is not None
        self.known = np.full(len(at), came is None, dtype=np.bool_)
        self._at = np.array([(each - _EPOCH) // _MICRO for each in at], dtype=np.int64) if came is not None else None
        self._came = _micros(came) if came is not None else np.empty(0, dtype=np.int64)
        if self._at is not None:
            self._came = np.maximum(self._came, self._at)
        self._order = np.argsort(self._came, kind="stable")
        self._heard = 0

    def hear(self, now: datetime) -> npt.NDArray[np.intp]:
        """Take in that it is `now`; return the rows whose labels came since the last call."""
        by = int(np.searchsorted(self._came, (now - _EPOCH) // _MICRO, side="right", sorter=self._order))
        rows = self._order[self._heard : by]
        self._heard = max(self._heard, by)
        self.known[rows] = True
        return rows

    def among(self, low: int, high: int) -> npt.NDArray[np.intp]:
        """Return the numbers of the rows from `low` up to `high` whose labels are known."""
        return low + np.flatnonzero(self.known[low:high])

    def delays_s(self, low: int, high: int) -> Floats:
        """Return how long the known labels of these rows took, in seconds; nothing where they have no time."""
        if self._at is None:
            return np.empty(0)
        rows = self.among(low, high)
        return (self._came[rows] - self._at[rows]) / 1e6


def _micros(came: Sequence[datetime | None]) -> npt.NDArray[np.int64]:
    return np.array([_NEVER if each is None else (each - _EPOCH) // _MICRO for each in came], dtype=np.int64)
