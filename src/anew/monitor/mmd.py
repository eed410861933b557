"""Maximum mean discrepancy between a sample of the training rows and one of a window."""

from dataclasses import dataclass
from math import ceil
from typing import ClassVar

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.domain.severity import Severity
from anew.monitor._budget import refuse_alpha
from anew.monitor._detector import Finding
from anew.monitor._sample import Points, RowComparison
from anew.stats.mmd import mmd

__all__ = ["MMD"]


_LEAST_ALPHA = 1e-4
_MOST_PERMUTATIONS = 9_999


@dataclass(frozen=True, slots=True, kw_only=True)
class MMD(RowComparison):
    """Alert when whole rows of a window are distributed otherwise than the training rows.

    Parameters
    ----------
    p_below
        p-value of the permutation test below which it alerts, above 0.001; None: as the budget of false alarms allows.
    columns
        The columns that are looked at together, such as an embedding; empty: all features.
    rows
        Rows of either side that are compared, evenly spaced; time and memory grow with their square.
    at_least_rows
        Below it nothing is judged.
    alpha
        Chance that a window without drift raises an alert, where no `p_below` is given; None: this detector's share of
        `monitor.false_alarms`. 0.0001 is the least that the test can promise.
    declared
        The budget that `alpha` comes from, in words, for the alert; set when the project is read.

    Notes
    -----
    It sees what no single column shows, such as two columns that no longer move together. What changed it does not say:
    `drift` and `psi` do, column by column.

    Its one p-value is that of all columns together, so that there is nothing to correct for within the window; the
    budget is shared with the other calibrated detectors. For its promise rows are taken so far apart that they pass for
    independent, by how much each column was found to resemble its past when the version was trained, and columns that
    follow the calendar are left out unless they are named. With a `p_below` it does what that says and no more: every
    row is taken as independent, every column is looked at, and the budget does not hold it.

    Examples
    --------
    >>> MMD(columns=("embedding",)).key
    'mmd(embedding)'
    """

    least_alpha: ClassVar[float] = _LEAST_ALPHA

    p_below: float | None = None

    def __post_init__(self) -> None:
        if self.p_below is not None and not 0.001 < self.p_below < 1:
            raise InvariantError(f"mmd: p_below {self.p_below} lies between 0.001 and 1")
        if not 20 <= self.rows <= 2000 or self.at_least_rows < 20:
            raise InvariantError(
                f"mmd: rows {self.rows} are from 20 to 2000, at_least_rows {self.at_least_rows} is 20 or more"
            )
        refuse_alpha("mmd", self.alpha, _LEAST_ALPHA, plain="p_below" if self.p_below is not None else "")

    @property
    def key(self) -> str:
        """``mmd``, or ``mmd(columns)``; with ``:p<limit`` where there is one."""
        limit = "" if self.p_below is None else f":p<{self.p_below:g}"
        return f"mmd({', '.join(self.columns)}){limit}" if self.columns else f"mmd{limit}"

    @property
    def limited(self) -> bool:
        """Is there a `p_below`?"""
        return self.p_below is not None

    def compare(self, points: Points) -> Evidence:
        """Measure the discrepancy, with its p-value."""
        # Half of what is asked for has to be within reach, or a window that differs in everything would not alert.
        permutations = min(_MOST_PERMUTATIONS, max(999, ceil(2 / self.promise))) if self.calibrated else 999
        found = mmd(points.reference, points.window, permutations=permutations)
        return Evidence.of(self.key, found.value, len(points.window), p_value=found.p_value)

    def judge(self, evidence: tuple[Evidence, ...]) -> Finding | None:
        """Find drift where the p-value is below the limit, or no more than the budget allows."""
        for each in evidence:
            if not each.measured or each.p_value is None:
                continue
            if each.p_value > self.promise if self.p_below is None else each.p_value >= self.p_below:
                continue
            what = f"{', '.join(self.columns)}: " if self.columns else ""
            return Finding(
                severity=Severity.MEDIUM,
                message=f"{what}rows are distributed otherwise: MMD² {each.value:.3g}, p {each.p_value:.2g}, "
                f"{each.n} rows compared{self.promised}",
                evidence=(each,),
            )
        return None
