"""Domain classifier: how well a model tells the rows of a window from the training rows."""

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.domain.severity import Severity
from anew.monitor._detector import Finding, ScoredRows, SeenRows
from anew.monitor._sample import points_of
from anew.stats.domain_classifier import separation

__all__ = ["DomainClassifier"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainClassifier:
    """Alert when a classifier tells the rows of a window from the training rows too well.

    Parameters
    ----------
    above
        Limit on the area under the classifier's ROC curve, between 0.5 (no difference) and 1.
    columns
        The columns that are looked at together; empty: all features.
    rows
        Rows of either side that are compared, evenly spaced.
    at_least_rows
        Below it nothing is judged.

    Notes
    -----
    It sees any difference that a model can learn, also between columns that move together no longer. Without drift the
    area is 0.5 give or take 0.02 with 500 rows on either side (0.04 with 100), so that 0.6 is exceeded about never. A
    column of the calendar, or a running number, tells any two windows apart: name the others under `columns`. What
    changed it does not say: `drift` and `psi` do.
    """

    labels: ClassVar[bool] = False
    needs_sample: ClassVar[bool] = True

    above: float = 0.65
    columns: tuple[str, ...] = ()
    rows: int = 1000
    at_least_rows: int = 100

    def __post_init__(self) -> None:
        if not 0.5 < self.above < 1 or self.rows < 80 or self.at_least_rows < 40:
            raise InvariantError(
                f"domain_classifier: above {self.above} lies between 0.5 and 1, rows {self.rows} is 80 or more, "
                f"at_least_rows {self.at_least_rows} is 40 or more"
            )

    @property
    def key(self) -> str:
        """``domain_classifier>limit``, or ``domain_classifier(columns)>limit``."""
        of = f"({', '.join(self.columns)})" if self.columns else ""
        return f"domain_classifier{of}>{self.above:g}"

    @property
    def over(self) -> timedelta | None:
        """One window."""
        return None

    def measure_seen(self, seen: SeenRows) -> tuple[Evidence, ...]:
        """Measure the area, with the p-value that nothing tells the rows apart."""
        if seen.n < self.at_least_rows:
            return (Evidence.of(self.key, None, seen.n, problem=f"{seen.n} rows, {self.at_least_rows} are needed"),)
        try:
            points = points_of(seen, self.columns, self.rows)
            found = separation(points.reference, points.window)
        except InvariantError as exc:
            return (Evidence.of(self.key, None, seen.n, problem=f"the version's sample does not do: {exc}"),)
        return (Evidence.of(self.key, found.auc, len(points.window), reference=0.5, p_value=found.p_value),)

    def measure_scored(self, rows: ScoredRows) -> tuple[Evidence, ...]:  # noqa: ARG002  the detector's contract
        """Measure nothing: this detector needs no labels."""
        return ()

    def judge(self, evidence: tuple[Evidence, ...]) -> Finding | None:
        """Find drift where the area exceeds the limit; HIGH from halfway to 1 on."""
        for each in evidence:
            if not each.measured or each.value is None or each.value <= self.above:
                continue
            what = f" by {', '.join(self.columns)}" if self.columns else ""
            certainty = "" if each.p_value is None else f", p {each.p_value:.2g}"
            return Finding(
                severity=Severity.HIGH if each.value > (1 + self.above) / 2 else Severity.MEDIUM,
                message=f"a classifier tells the rows from those in training{what}: AUC {each.value:.3f}{certainty}, "
                f"{each.n} rows compared",
                evidence=(each,),
            )
        return None
