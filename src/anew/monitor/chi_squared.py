"""Two-sample chi-squared test between the reference and a window, column by column."""

from dataclasses import dataclass
from typing import ClassVar

from anew.monitor._distance import ColumnDistance, Sized
from anew.stats.column import ColumnProfile
from anew.stats.distance import chi_squared

__all__ = ["ChiSquared"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChiSquared(ColumnDistance):
    """Alert when a chi-squared test tells a column of the window from the reference's.

    Parameters
    ----------
    p_below
        Limit on the p-value; 0.001 where neither this nor `above` is given.
    above
        Limit on the statistic instead; it grows with the rows.
    column
        The column to watch, of vectors each part; empty: every declared feature.
    at_least_rows
        Below it nothing is judged.
    period
        Rows that are compared, back from the window's end (in the file: ``over``); None for one window.

    Notes
    -----
    Of categories on their levels, the rare ones pooled; of numbers on ten groups by the reference's deciles. At
    p-values below about 1e-4 it rejects too often, and it is not corrected for the number of columns; see
    `ColumnDistance`.
    """

    name: ClassVar[str] = "chi_squared"
    title: ClassVar[str] = "chi-squared statistic"
    usual: ClassVar[tuple[float | None, float | None]] = (None, 0.001)

    def size(self, reference: ColumnProfile, window: ColumnProfile) -> Sized:
        """Return the statistic, and its p-value."""
        found = chi_squared(reference, window)
        return found.statistic, found.p_value
