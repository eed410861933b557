"""Population stability index between the reference and a window, column by column."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from anew.domain.errors import InvariantError
from anew.monitor._distance import ColumnDistance, Compared, Sized
from anew.stats.column import ColumnProfile
from anew.stats.distance import CoarsePSI, coarse_psi, coarsen, psi, psi_deciles
from anew.stats.significance import psi_significance

__all__ = ["PSI"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PSI(ColumnDistance):
    """Alert when the population stability index of a column exceeds a threshold.

    The index is that of credit-risk practice: ten groups by the reference's deciles (categories: their levels, rare
    ones pooled), plus groups for null and for what the reference never had.

    Parameters
    ----------
    above
        Threshold on the index; 0.25, the customary sign of a major shift, where neither this nor `p_below` is given.
    p_below
        Limit on the p-value instead of one on the index.
    column
        The column to watch, of vectors each part (`anew.stats.vector`); empty: any declared feature.
    at_least_rows
        Below it nothing is judged: at `n` rows the index of an unchanged column is about `9 / n` too high.
    period
        Rows that are compared, back from the window's end (in the file: ``over``); None for one window.

    Notes
    -----
    The p-value is that of the index (``n m / (n + m) PSI`` is chi-squared with one degree of freedom less than groups
    when nothing changed). See `ColumnDistance` for what a plain threshold is worth. Do not use it to see concept drift:
    it never looks at labels.

    References
    ----------
    Yurdakul, B. (2018), Statistical properties of population stability index, Western Michigan University, section 3.
    """

    name: ClassVar[str] = "psi"
    title: ClassVar[str] = "PSI"
    usual: ClassVar[tuple[float | None, float | None]] = (0.25, None)

    def size(self, reference: ColumnProfile, window: ColumnProfile) -> Sized:
        """Return the index, and its p-value."""
        if reference.kind == "numeric":
            return _sized(coarse_psi([(reference, window)])[0])
        first, second = coarsen(reference, window)
        n, m = int(first.sum()), int(second.sum())
        return _sized(CoarsePSI(psi_deciles(first, second), psi(first, second), n, m, len(first)))

    def sizes(self, columns: Sequence[Compared]) -> Sequence[Sized | InvariantError]:
        """Return the index of each column, of the numeric ones at once."""
        numeric = [pair for pair in columns if pair[0].kind == "numeric"]
        try:
            counted = iter(coarse_psi(numeric))
        except InvariantError:
            return ColumnDistance.sizes(self, columns)
        others = iter(ColumnDistance.sizes(self, [pair for pair in columns if pair[0].kind != "numeric"]))
        return [_sized(next(counted)) if pair[0].kind == "numeric" else next(others) for pair in columns]


def _sized(found: CoarsePSI) -> Sized:
    return found.deciles, psi_significance(max(found.smoothed, 0.0), found.n, found.m, found.groups)
