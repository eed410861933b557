"""Wasserstein (earth mover's) distance between the reference and a window, number by number."""

from dataclasses import dataclass
from typing import ClassVar

from anew.monitor._distance import ColumnDistance, Sized, change_p
from anew.stats.column import ColumnProfile
from anew.stats.distance import wasserstein

__all__ = ["Wasserstein"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wasserstein(ColumnDistance):
    """Alert when the Wasserstein distance of a number exceeds a limit; see `anew.stats.distance.wasserstein`.

    Parameters
    ----------
    above
        Limit on the distance; 0.1 where neither this nor `p_below` is given.
    p_below
        Limit on the p-value instead of one on the distance.
    column
        The column to watch, of vectors each part; empty: every declared feature that it is a distance of.
    at_least_rows
        Below it nothing is judged.
    period
        Rows that are compared, back from the window's end (in the file: ``over``); None for one window.

    Notes
    -----
    In interquartile ranges of the reference: 0.1 is what a shift of everything by a tenth of that range makes. It
    counts how far values moved, and so sees a unit that changed; one value far out can exceed any limit alone. See
    `ColumnDistance` for what a plain limit is worth.
    """

    name: ClassVar[str] = "wasserstein"
    title: ClassVar[str] = "Wasserstein distance"
    for_levels: ClassVar[bool] = False
    usual: ClassVar[tuple[float | None, float | None]] = (0.1, None)

    def size(self, reference: ColumnProfile, window: ColumnProfile) -> Sized:
        """Return the distance, and the p-value that the column changed."""
        return wasserstein(reference, window), change_p(reference, window)
