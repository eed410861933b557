"""Maximum mean discrepancy between a sample of the training rows and one of a window."""

from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from typing import ClassVar

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.domain.severity import Severity
from anew.monitor._budget import promised, refuse_alpha
from anew.monitor._detector import Finding, ScoredRows, SeenRows
from anew.monitor._sample import independent_points, points_of
from anew.stats.mmd import mmd

__all__ = ["MMD"]


_ALPHA = 1 / 365
_LEAST_ALPHA = 1e-4
_MOST_PERMUTATIONS = 9_999


@dataclass(frozen=True, slots=True, kw_only=True)
class MMD:
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

    labels: ClassVar[bool] = False
    needs_sample: ClassVar[bool] = True
    least_alpha: ClassVar[float] = _LEAST_ALPHA

    p_below: float | None = None
    columns: tuple[str, ...] = ()
    rows: int = 500
    at_least_rows: int = 100
    alpha: float | None = None
    declared: str = ""

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
    def over(self) -> timedelta | None:
        """One window."""
        return None

    @property
    def calibrated(self) -> bool:
        """Does the budget hold it?"""
        return self.p_below is None

    @property
    def needs_traits(self) -> bool:
        """Does it read how rows resemble each other?"""
        return self.calibrated

    @property
    def _alpha(self) -> float:
        return _ALPHA if self.alpha is None else self.alpha

    def measure_seen(self, seen: SeenRows) -> tuple[Evidence, ...]:
        """Measure the discrepancy, with its p-value."""
        if seen.n < self.at_least_rows:
            return (Evidence.of(self.key, None, seen.n, problem=f"{seen.n} rows, {self.at_least_rows} are needed"),)
        # Half of what is asked for has to be within reach, or a window that differs in everything would not alert.
        permutations = min(_MOST_PERMUTATIONS, max(999, ceil(2 / self._alpha))) if self.calibrated else 999
        try:
            points = (independent_points if self.calibrated else points_of)(seen, self.columns, self.rows)
            found = mmd(points.reference, points.window, permutations=permutations)
        except InvariantError as exc:
            return (Evidence.of(self.key, None, seen.n, problem=f"the rows cannot be compared: {exc}"),)
        return (Evidence.of(self.key, found.value, len(points.window), p_value=found.p_value),)

    def measure_scored(self, rows: ScoredRows) -> tuple[Evidence, ...]:  # noqa: ARG002  the detector's contract
        """Measure nothing: this detector needs no labels."""
        return ()

    def judge(self, evidence: tuple[Evidence, ...]) -> Finding | None:
        """Find drift where the p-value is below the limit, or no more than the budget allows."""
        for each in evidence:
            if not each.measured or each.p_value is None:
                continue
            if each.p_value > self._alpha if self.p_below is None else each.p_value >= self.p_below:
                continue
            what = f"{', '.join(self.columns)}: " if self.columns else ""
            promise = f"; {promised(self._alpha, self.declared)}" if self.calibrated else ""
            return Finding(
                severity=Severity.MEDIUM,
                message=f"{what}rows are distributed otherwise: MMD² {each.value:.3g}, p {each.p_value:.2g}, "
                f"{each.n} rows compared{promise}",
                evidence=(each,),
            )
        return None
