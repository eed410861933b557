"""Service-level objective on a metric of the served answers, once their labels are there."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from math import isfinite
from typing import ClassVar

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.domain.severity import Severity
from anew.monitor._detector import Finding, ScoredRows, SeenRows
from anew.monitor._period import PeriodSums, sliced_sums, whole_of
from anew.monitor._slice import slices_of
from anew.stats.business import Aggregate, check_definition, in_sql, measure_business, names_in
from anew.stats.metric import Score
from anew.stats.outcome import METRIC_NAMES, is_known
from anew.stats.sums import Sums, adds_up, scored

__all__ = ["SLO"]

_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class SLO:
    """Alert when a metric of the served answers breaks its objective.

    Parameters
    ----------
    metric
        ``error``, ``accuracy``, ``f1``, ``precision``, ``recall``, ``roc_auc``, ``log_loss``, ``brier``,
        ``calibration_error``; for regression ``mae``, ``rmse``, ``quantile_loss(q)``, in units of the target. Or
        ``business.NAME``, one of the project's own.
    at_most, at_least
        The objective; exactly one is given.
    period
        Rows that it is measured over, back from the window's end; None for one window.
    at_least_rows
        Labelled rows needed; below, nothing is judged.
    by
        Feature columns whose values are slices: each slice of at least `at_least_rows` rows has to keep the objective
        too. One that breaks it counts when its whole interval does, at a confidence that allows for their number.
    definition
        For a business metric what it is: an aggregate in SQL over the labelled rows (their features, ``prediction`` and
        ``label``), e.g. ``avg(label)``. Class labels that are numbers count as numbers.
    events
        For a business metric the outcomes that it reads: then it is measured over all answered rows, labelled or not,
        e.g. ``avg(clicked)`` for a click-through rate.
    function
        For a business metric that is code: what makes the number of all answered rows.

    Notes
    -----
    The objective is compared with the point value, as its author wrote it; the alert shows the interval beside it and
    is HIGH only when the whole interval breaks the objective. Do not use it for unlabelled traffic: nothing labelled
    is nothing measured, and raises nothing.

    Over a `period` it is measured from sums that are taken of each window once, see `anew.stats.sums`: ROC AUC and
    calibration within a bound that their intervals allow for, everything else as if all rows were read. The rows of
    the period are read all the same for a business metric, which may make of them what it likes, for ROC AUC of more
    than 50 classes, and where a column of `by` has more than 1,000 values in a window.
    """

    labels: ClassVar[bool] = True

    metric: str
    at_most: float | None = None
    at_least: float | None = None
    period: timedelta | None = None
    at_least_rows: int = 50
    by: tuple[str, ...] = ()
    definition: str = ""
    events: tuple[str, ...] = ()
    function: Aggregate | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.definition and self.function is None:
            check_definition(self.metric, self.definition)
        elif not self.definition and not is_known(self.metric):
            raise InvariantError(f"slo on metric {self.metric!r}: known are {', '.join(METRIC_NAMES)}")
        if (self.at_most is None) == (self.at_least is None):
            raise InvariantError(f"slo on {self.metric}: give exactly one of at_most and at_least")
        if not all(limit is None or isfinite(limit) for limit in (self.at_most, self.at_least)):
            raise InvariantError(f"{self.key}: a limit is a finite number; another is never broken")

    @property
    def key(self) -> str:
        """``slo(metric<=limit)``, ``>=``; with `` over 168h`` for a period, `` by column`` for slices."""
        over = "" if self.period is None else f" over {self.period / timedelta(hours=1):g}h"
        over += f" by {', '.join(self.by)}" if self.by else ""
        if self.at_most is not None:
            return f"slo({self.metric}<={self.at_most:g}{over})"
        return f"slo({self.metric}>={self.at_least:g}{over})"

    @property
    def over(self) -> timedelta | None:
        """The objective's period."""
        return self.period

    @property
    def names(self) -> Collection[str]:
        """Columns that its definition in SQL reads."""
        return names_in(self.definition) if self.definition and self.function is None else ()

    @property
    def needs_feedback(self) -> bool:
        """Does it read outcomes?"""
        return bool(self.events)

    def measure_seen(self, seen: SeenRows) -> tuple[Evidence, ...]:  # noqa: ARG002  the detector's contract
        """Measure nothing: this detector needs labels."""
        return ()

    def adds_up(self, classes: int) -> bool:
        """Can it be measured from sums of windows, with so many classes?"""
        return not self.definition and adds_up(self.metric, classes)

    def sums(self, rows: ScoredRows) -> PeriodSums | None:
        """Take the sums of the rows of a window; None where they would be too many: then the rows have to be read."""
        return sliced_sums(rows, self.metric, self.by)

    def measure_sums(self, own: ScoredRows, parts: Sequence[PeriodSums]) -> tuple[Evidence, ...]:  # noqa: ARG002  as all
        """Measure what `measure_scored` does of the rows that were summed up in parts, in order of time."""
        period = whole_of(parts)
        slices = {} if period.whole.n < self.at_least_rows else period.slices(self.at_least_rows)
        confidence = 1 - (1 - _CONFIDENCE) / max(len(slices), 1)

        def told(sums: Sums, subject: str, confidence: float) -> Evidence:
            return self._told(subject, sums.n, confidence, lambda: scored(period.asked, sums, confidence))

        return (
            told(period.whole, self.metric, _CONFIDENCE),
            *(told(each, f"{self.metric} where {name}", confidence) for name, each in slices.items()),
        )

    def measure_scored(self, rows: ScoredRows) -> tuple[Evidence, ...]:
        """Measure the metric with its interval: of all rows, then of each slice that has enough of them."""
        slices = {} if rows.n < self.at_least_rows else slices_of(rows, self.by, self.at_least_rows)
        confidence = 1 - (1 - _CONFIDENCE) / max(len(slices), 1)
        return (
            self._measured(rows, self.metric, _CONFIDENCE),
            *(self._measured(each, f"{self.metric} where {name}", confidence) for name, each in slices.items()),
        )

    def _measured(self, rows: ScoredRows, subject: str, confidence: float) -> Evidence:
        answered = bool(self.events) or self.function is not None

        def measure() -> Score:
            if not self.definition:
                return rows.score(self.metric, confidence)
            aggregate = self.function or in_sql(self.definition)
            return measure_business(self.metric, aggregate, rows.answers if answered else rows.table, confidence)

        n = rows.answers.height if answered else rows.n
        return self._told(subject, n, confidence, measure, "answered" if answered else "labelled")

    def _told(
        self, subject: str, n: int, confidence: float, measure: Callable[[], Score], kind: str = "labelled"
    ) -> Evidence:
        """Measure, where there are rows enough."""
        if n < self.at_least_rows:
            problem = f"{n} {kind} rows, {self.at_least_rows} are needed"
            return Evidence.of(self.key, None, n, subject=subject, problem=problem)
        limit = self.at_most if self.at_most is not None else self.at_least
        try:
            score = measure()
        except InvariantError as exc:
            return Evidence.of(self.key, None, n, subject=subject, reference=limit, problem=str(exc))
        return Evidence.of(
            self.key,
            score.value,
            n,
            subject=subject,
            reference=limit,
            interval=None if score.low is None or score.high is None else (score.low, score.high),
            confidence=confidence,
        )

    def judge(self, evidence: tuple[Evidence, ...]) -> Finding | None:
        """Find a breach when the value of all rows breaks the objective, or the whole interval of a slice does."""
        broken = [
            each
            for each in evidence
            if each.measured and (self._surely(each) if self._is_slice(each) else self._breaks(each.value))
        ]
        if not broken:
            return None
        limit = f"at most {self.at_most:g}" if self.at_most is not None else f"at least {self.at_least:g}"
        first = broken[0]
        more = f"; and {len(broken) - 1} more of its slices" if len(broken) > 1 else ""
        low, high = (first.value if end is None else end for end in (first.low, first.high))
        return Finding(
            severity=Severity.HIGH if any(map(self._surely, broken)) else Severity.MEDIUM,
            message=f"{first.subject} {first.value:.4g} ({low:.4g} to {high:.4g}, n = {first.n}); wanted {limit}{more}",
            evidence=tuple(broken),
        )

    def _is_slice(self, evidence: Evidence) -> bool:
        return evidence.subject.startswith(f"{self.metric} where ")

    def _breaks(self, value: float | None) -> bool:
        if value is None:
            return False
        return value > self.at_most if self.at_most is not None else value < (self.at_least or 0.0)

    def _surely(self, evidence: Evidence) -> bool:
        nearest = evidence.low if self.at_most is not None else evidence.high
        return self._breaks(evidence.value if nearest is None and not self._is_slice(evidence) else nearest)
