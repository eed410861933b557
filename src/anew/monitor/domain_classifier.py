"""Domain classifier: how well a model tells the rows of a window from the training rows."""

from dataclasses import dataclass

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.domain.severity import Severity
from anew.monitor._budget import refuse_alpha
from anew.monitor._detector import Finding
from anew.monitor._sample import Points, RowComparison
from anew.stats.domain_classifier import separation

__all__ = ["DomainClassifier"]


_HIGH = 0.8
"""Area from which on the two hardly overlap, for severity where no limit is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainClassifier(RowComparison):
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

    above: float | None = None
    rows: int = 1000

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
    def limited(self) -> bool:
        """Is there a limit `above`?"""
        return self.above is not None

    def compare(self, points: Points) -> Evidence:
        """Measure the area, with the p-value that nothing tells the rows apart."""
        found = separation(points.reference, points.window)
        return Evidence.of(self.key, found.auc, len(points.window), reference=0.5, p_value=found.p_value)

    def judge(self, evidence: tuple[Evidence, ...]) -> Finding | None:
        """Find drift where the area exceeds the limit, or its p-value is no more than the budget allows."""
        for each in evidence:
            if not each.measured or each.value is None or not self._tells(each, each.value):
                continue
            what = f" by {', '.join(self.columns)}" if self.columns else ""
            certainty = "" if each.p_value is None else f", p {each.p_value:.2g}"
            high = _HIGH if self.above is None else (1 + self.above) / 2
            return Finding(
                severity=Severity.HIGH if each.value > high else Severity.MEDIUM,
                message=f"a classifier tells the rows from those in training{what}: AUC {each.value:.3f}{certainty}, "
                f"{each.n} rows compared{self.promised}",
                evidence=(each,),
            )
        return None

    def _tells(self, each: Evidence, area: float) -> bool:
        if self.above is not None:
            return area > self.above
        return each.p_value is not None and each.p_value <= self.promise
