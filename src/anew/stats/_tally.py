"""Counting a column in one pass, batch after batch, with nothing made for a batch that outlives it.

One kernel serves numbers: sort a batch (numpy's sort uses vector instructions), look the few edges up in it, take
differences.
"""

from collections.abc import Mapping
from itertools import repeat

import numpy as np

from anew.stats._column import Column, levels, numbers
from anew.stats.column import ColumnProfile, Floats, settle

__all__ = ["LevelTally", "NumberTally", "scratch_for"]

_BATCH = 65_536  # rows sorted at once: half a megabyte, which fits a core's cache


def scratch_for(rows: int) -> Floats:
    """Return room in which columns of so many rows can be counted, one after another.

    Fresh memory for each of them would cost more, in page faults, than counting does.
    """
    return np.empty((2, min(rows, _BATCH)))


class NumberTally:
    """The numbers counted so far on some bins.

    Parameters
    ----------
    cuts
        Borders of the slots, shape (B + 4,): the lowest float64, the B + 1 edges, infinity and NaN.
    centre, edges
        See `ColumnProfile`.
    """

    def __init__(self, cuts: Floats, centre: float, edges: str) -> None:
        self._cuts, self._centre, self._edges = cuts, centre, edges
        self._counts = np.zeros(len(cuts) + 2, dtype=np.int64)
        self._sums = np.zeros(len(self._counts))
        self._squares = 0.0
        self._low, self._high = np.inf, -np.inf

    def add(self, column: Column, scratch: Floats) -> None:
        """Count a column, working in room from `scratch_for`.

        Raises
        ------
        SchemaError
            The column holds something that is not a number.
        """
        size = scratch.shape[1]
        for values, nulls in numbers(column):
            self._counts[-1] += nulls
            for start in range(0, len(values), max(size, 1)):
                batch = values[start : start + size]
                ordered = scratch[0, : len(batch)]
                ordered[:] = batch
                ordered.sort()
                self._add(ordered, scratch[1])

    def add_ordered(self, ordered: Floats, nulls: int) -> None:
        """Count values in order, NaN last, and so many nulls."""
        self._counts[-1] += nulls
        room = np.empty(min(len(ordered), _BATCH))
        for start in range(0, len(ordered), _BATCH):
            self._add(ordered[start : start + _BATCH], room)

    def _add(self, ordered: Floats, room: Floats) -> None:
        at = ordered.searchsorted(self._cuts)
        here = np.empty(len(at) + 1, dtype=np.int64)
        here[0], here[-1] = at[0], len(ordered) - at[-1]
        np.subtract(at[1:], at[:-1], out=here[1:-1])
        self._counts[:-1] += here
        first = at[0]
        finite = ordered[first : at[-2]]
        if not len(finite):
            return
        self._low, self._high = min(self._low, float(finite[0])), max(self._high, float(finite[-1]))
        with np.errstate(over="ignore", invalid="ignore"):
            centred = np.subtract(finite, self._centre, out=room[: len(finite)])
            filled = here[1:-2].nonzero()[0]
            self._sums[1:-3][filled] += np.add.reduceat(centred, at[filled] - first)
            # Not np.dot: it wakes the threads of BLAS, which costs more than the squares.
            self._squares += float(np.add.reduce(np.square(centred, out=centred)))

    def profile(self) -> ColumnProfile:
        """Return what was counted."""
        kept = settle(np.append(self._sums, self._squares))
        return ColumnProfile(
            kind="numeric",
            edges=self._edges,
            counts=self._counts.copy(),
            sums=kept[:-1],
            squares=float(kept[-1]),
            centre=self._centre,
            minimum=self._low,
            maximum=self._high,
        )


class LevelTally:
    """The levels counted so far on a vocabulary.

    Parameters
    ----------
    slots
        Slot of each level, and of null as None, which is the last one.
    unknown
        Slot of what is not in the vocabulary.
    edges
        See `ColumnProfile`.
    """

    def __init__(self, slots: Mapping[str | None, int], unknown: int, edges: str) -> None:
        self._slots, self._unknown, self._edges = slots, unknown, edges
        self._counts = np.zeros(slots[None] + 1, dtype=np.int64)

    def add(self, column: Column, scratch: Floats) -> None:  # noqa: ARG002  the numbers' tally needs it
        """Count a column."""
        for names, found in levels(column):
            slots = np.array(list(map(self._slots.get, names, repeat(self._unknown))), dtype=np.int64)
            # Weights are float64, which is exact up to 2**53 rows.
            self._counts += np.bincount(slots, found, len(self._counts)).astype(np.int64)

    def profile(self) -> ColumnProfile:
        """Return what was counted."""
        return ColumnProfile(kind="categorical", edges=self._edges, counts=self._counts.copy(), sums=np.zeros(0))
