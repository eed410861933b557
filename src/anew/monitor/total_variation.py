"""Total variation distance between the reference and a window, column by column."""

from dataclasses import dataclass
from typing import ClassVar

from anew.monitor._distance import ColumnDistance, Sized, change_p
from anew.stats.column import ColumnProfile
from anew.stats.distance import coarsen, total_variation

__all__ = ["TotalVariation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TotalVariation(ColumnDistance):
    """Alert when the total variation distance of a column exceeds a limit; see `anew.stats.distance.total_variation`.

    Parameters
    ----------
    above
        Limit on the distance; 0.2 where neither this nor `p_below` is given.
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
    The share of rows that would have to be others, 0 to 1, on ten groups by the reference's deciles (categories: their
    levels, rare ones pooled) and those of null and of what the reference never had; 0.05 without drift on 500 rows,
    0.02 on 5,000. See `ColumnDistance` for what a plain limit is worth.
    """

    name: ClassVar[str] = "total_variation"
    title: ClassVar[str] = "total variation"
    usual: ClassVar[tuple[float | None, float | None]] = (0.2, None)

    def size(self, reference: ColumnProfile, window: ColumnProfile) -> Sized:
        """Return the distance, and the p-value that the column changed."""
        return total_variation(*coarsen(reference, window)), change_p(reference, window)
