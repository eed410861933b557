"""Domain classifier: how well a model tells the rows of a window from the training rows."""

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.domain.severity import Severity
from anew.monitor._budget import promised, refuse_alpha
from anew.monitor._detector import Finding, ScoredRows, SeenRows
from anew.monitor._sample import independent_points, points_of
from anew.stats.domain_classifier import separation

__all__ = ["DomainClassifier"]


_ALPHA = 1 / 365
_HIGH = 0.8
"""Area from which on the two hardly overlap, for severity where no limit is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainClassifier:
    """Alert when a classifier tells the rows of a window from the training rows.

    Parameters
    ----------
    above
        Limit on the area under the classifier's ROC curve, between 0.5 (no difference) and 1; None: as the budget of
        false alarms allows.
    columns
        The columns that are looked at together; empty: all features.
    rows
        Rows of either side that are compared, evenly spaced.
    at_least_rows
        Below it nothing is judged.
    alpha
        Chance that a window without drift raises an alert, where no limit is given; None: this detector's share of
        `monitor.false_alarms`.
    declared
        The budget that `alpha` comes from, in words, for the alert; set when the project is read.

    Notes
    -----
    It sees any difference that a model can learn, also between columns that move together no longer. What changed it
    does not say: `drift` and `psi` do.

    Its p-value is one for all columns, and nothing else is tested within the window; the budget is shared with the
    other calibrated detectors. For its promise rows are taken so far apart that they pass for independent, by how much
    each column was found to resemble its past when the version was trained, and columns that follow the calendar are
    left out unless they are named. With a limit `above` it does what that says and no more: without drift the area is
    0.5 give or take 0.02 with 500 independent rows on either side (0.04 with 100); a column of the calendar, or a
    running number, tells any two windows apart, and the budget does not hold it.

    Examples
    --------
    >>> DomainClassifier().key, DomainClassifier(above=0.6).key
    ('domain_classifier', 'domain_classifier>0.6')
    """

    labels: ClassVar[bool] = False
    needs_sample: ClassVar[bool] = True

    above: float | None = None
    columns: tuple[str, ...] = ()
    rows: int = 1000
    at_least_rows: int = 100
    alpha: float | None = None
    declared: str = ""

    def __post_init__(self) -> None:
        if self.above is not None and not 0.5 < self.above < 1:
            raise InvariantError(f"domain_classifier: above {self.above} lies between 0.5 and 1")
        if self.rows < 80 or self.at_least_rows < 40:
            raise InvariantError(
                f"domain_classifier: rows {self.rows} is 80 or more, at_least_rows {self.at_least_rows} is 40 or more"
            )
        refuse_alpha("domain_classifier", self.alpha, plain="above" if self.above is not None else "")

    @property
    def key(self) -> str:
        """``domain_classifier``, or ``domain_classifier(columns)``; with ``>limit`` where there is one."""
        of = f"({', '.join(self.columns)})" if self.columns else ""
        return f"domain_classifier{of}" + ("" if self.above is None else f">{self.above:g}")

    @property
    def over(self) -> timedelta | None:
        """One window."""
        return None

    @property
    def calibrated(self) -> bool:
        """Does the budget hold it?"""
        return self.above is None

    @property
    def needs_traits(self) -> bool:
        """Does it read how rows resemble each other?"""
        return self.calibrated

    @property
    def _alpha(self) -> float:
        return _ALPHA if self.alpha is None else self.alpha

    def measure_seen(self, seen: SeenRows) -> tuple[Evidence, ...]:
        """Measure the area, with the p-value that nothing tells the rows apart."""
        if seen.n < self.at_least_rows:
            return (Evidence.of(self.key, None, seen.n, problem=f"{seen.n} rows, {self.at_least_rows} are needed"),)
        try:
            points = (independent_points if self.calibrated else points_of)(seen, self.columns, self.rows)
            found = separation(points.reference, points.window)
        except InvariantError as exc:
            return (Evidence.of(self.key, None, seen.n, problem=f"the rows cannot be compared: {exc}"),)
        return (Evidence.of(self.key, found.auc, len(points.window), reference=0.5, p_value=found.p_value),)

    def measure_scored(self, rows: ScoredRows) -> tuple[Evidence, ...]:  # noqa: ARG002  the detector's contract
        """Measure nothing: this detector needs no labels."""
        return ()

    def judge(self, evidence: tuple[Evidence, ...]) -> Finding | None:
        """Find drift where the area exceeds the limit, or its p-value is no more than the budget allows."""
        for each in evidence:
            if not each.measured or each.value is None or not self._tells(each, each.value):
                continue
            what = f" by {', '.join(self.columns)}" if self.columns else ""
            certainty = "" if each.p_value is None else f", p {each.p_value:.2g}"
            promise = f"; {promised(self._alpha, self.declared)}" if self.calibrated else ""
            high = _HIGH if self.above is None else (1 + self.above) / 2
            return Finding(
                severity=Severity.HIGH if each.value > high else Severity.MEDIUM,
                message=f"a classifier tells the rows from those in training{what}: AUC {each.value:.3f}{certainty}, "
                f"{each.n} rows compared{promise}",
                evidence=(each,),
            )
        return None

    def _tells(self, each: Evidence, area: float) -> bool:
        if self.above is not None:
            return area > self.above
        return each.p_value is not None and each.p_value <= self._alpha
