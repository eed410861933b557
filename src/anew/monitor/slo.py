"""Service-level objective on a metric of the served answers, once their labels are there."""

from dataclasses import dataclass
from datetime import timedelta
from math import isfinite
from typing import ClassVar

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.domain.severity import Severity
from anew.monitor._business import check_definition, measure_business
from anew.monitor._detector import Finding, ScoredRows, SeenRows
from anew.stats.metric import Score
from anew.stats.outcome import METRIC_NAMES, measure_metric

__all__ = ["SLO"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SLO:
    """Alert when a metric of the served answers breaks its objective.

    Parameters
    ----------
    metric
        ``error``, ``accuracy``, ``f1``, ``precision``, ``recall``, ``mae``, ``rmse``; mae and rmse in units of the
        target. Or ``business.NAME``, one of the project's own.
    at_most, at_least
        The objective; exactly one is given.
    period
        Rows that it is measured over, back from the window's end; None for one window.
    at_least_rows
        Labelled rows needed; below, nothing is judged.
    definition
        For a business metric what it is: an aggregate in SQL over the labelled rows (their features, ``prediction`` and
        ``label``), e.g. ``avg(label)`` for a click-through rate. Class labels that are numbers count as numbers.

    Notes
    -----
    The objective is compared with the point value, as its author wrote it; the alert shows the interval beside it and
    is HIGH only when the whole interval breaks the objective. Do not use it for unlabelled traffic: nothing labelled
    is nothing measured, and raises nothing.
    """

    labels: ClassVar[bool] = True

    metric: str
    at_most: float | None = None
    at_least: float | None = None
    period: timedelta | None = None
    at_least_rows: int = 50
    definition: str = ""

    def __post_init__(self) -> None:
        if self.definition:
            check_definition(self.metric, self.definition)
        elif self.metric not in METRIC_NAMES:
            raise InvariantError(f"slo on metric {self.metric!r}: known are {', '.join(METRIC_NAMES)}")
        if (self.at_most is None) == (self.at_least is None):
            raise InvariantError(f"slo on {self.metric}: give exactly one of at_most and at_least")
        if not all(limit is None or isfinite(limit) for limit in (self.at_most, self.at_least)):
            raise InvariantError(f"{self.key}: a limit is a finite number; another is never broken")

    @property
    def key(self) -> str:
        """``slo(metric<=limit)`` or ``slo(metric>=limit)``, with `` over 168h`` when it has a period."""
        over = "" if self.period is None else f" over {self.period / timedelta(hours=1):g}h"
        if self.at_most is not None:
            return f"slo({self.metric}<={self.at_most:g}{over})"
        return f"slo({self.metric}>={self.at_least:g}{over})"

    @property
    def over(self) -> timedelta | None:
        """The objective's period."""
        return self.period

    def measure_seen(self, seen: SeenRows) -> tuple[Evidence, ...]:  # noqa: ARG002  the detector's contract
        """Measure nothing: this detector needs labels."""
        return ()

    def measure_scored(self, rows: ScoredRows) -> tuple[Evidence, ...]:
        """Measure the metric with its interval."""
        n = len(rows.label)
        if n < self.at_least_rows:
            problem = f"{n} labelled rows, {self.at_least_rows} are needed"
            return (Evidence.of(self.key, None, n, subject=self.metric, problem=problem),)
        limit = self.at_most if self.at_most is not None else self.at_least
        try:
            score = self._score(rows)
        except InvariantError as exc:
            return (Evidence.of(self.key, None, n, subject=self.metric, reference=limit, problem=str(exc)),)
        return (
            Evidence.of(
                self.key,
                score.value,
                n,
                subject=self.metric,
                reference=limit,
                interval=None if score.low is None or score.high is None else (score.low, score.high),
            ),
        )

    def _score(self, rows: ScoredRows) -> Score:
        if self.definition:
            return measure_business(self.metric, self.definition, rows.table)
        return measure_metric(self.metric, rows.task, rows.label, rows.output, positive=rows.positive)

    def judge(self, evidence: tuple[Evidence, ...]) -> Finding | None:
        """Find a breach when the measured value breaks the objective."""
        for each in evidence:
            if not each.measured or each.value is None:
                continue
            low = each.value if each.low is None else each.low
            high = each.value if each.high is None else each.high
            if self.at_most is not None:
                broken, surely, limit = each.value > self.at_most, low > self.at_most, f"at most {self.at_most:g}"
            else:
                bound = self.at_least or 0.0
                broken, surely, limit = each.value < bound, high < bound, f"at least {bound:g}"
            if broken:
                return Finding(
                    severity=Severity.HIGH if surely else Severity.MEDIUM,
                    message=f"{self.metric} {each.value:.4g} ({low:.4g} to {high:.4g}, n = {each.n}); wanted {limit}",
                    evidence=(each,),
                )
        return None
