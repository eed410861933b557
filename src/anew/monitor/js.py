"""Jensen-Shannon distance between the reference and a window, column by column."""

from dataclasses import dataclass
from typing import ClassVar

from anew.monitor._distance import ColumnDistance, Sized, change_p
from anew.stats.column import ColumnProfile
from anew.stats.distance import coarsen, js

__all__ = ["JS"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JS(ColumnDistance):
    """Alert when the Jensen-Shannon distance of a column exceeds a limit; see `anew.stats.distance.js`.

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
    On ten groups by the reference's deciles (categories: their levels, rare ones pooled) and those of null and of what
    the reference never had. From 0, the same shares, to 1, nothing in common; 0.05 without drift on 500 rows, 0.02 on
    5,000. See `ColumnDistance` for what a plain limit is worth.
    """

    name: ClassVar[str] = "js"
    title: ClassVar[str] = "Jensen-Shannon distance"
    usual: ClassVar[tuple[float | None, float | None]] = (0.1, None)

    def size(self, reference: ColumnProfile, window: ColumnProfile) -> Sized:
        """Return the distance, and the p-value that the column changed."""
        return js(*coarsen(reference, window)), change_p(reference, window)
