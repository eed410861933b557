"""Kolmogorov-Smirnov distance between the reference and a window, number by number."""

from dataclasses import dataclass
from typing import ClassVar

from anew.monitor._distance import ColumnDistance, Sized
from anew.stats.column import ColumnProfile
from anew.stats.distance import ks
from anew.stats.significance import ks_significance

__all__ = ["KS"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KS(ColumnDistance):
    """Alert when the largest gap between the distribution functions of a number exceeds a limit.

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
    The p-value is Kolmogorov and Smirnov's. Null and NaN take no part: watch them with `drift` or `quality`. See
    `ColumnDistance` for what a plain limit is worth.
    """

    name: ClassVar[str] = "ks"
    title: ClassVar[str] = "Kolmogorov-Smirnov distance"
    for_levels: ClassVar[bool] = False
    usual: ClassVar[tuple[float | None, float | None]] = (0.1, None)

    def size(self, reference: ColumnProfile, window: ColumnProfile) -> Sized:
        """Return the distance, and its p-value."""
        return ks(reference, window), ks_significance(reference, window)
