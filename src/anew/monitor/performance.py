"""Metrics of the served answers, window by window and slice by slice, with no objective on them."""

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.monitor._detector import Finding, ScoredRows, SeenRows
from anew.monitor._slice import slices_of
from anew.stats.outcome import METRIC_NAMES, is_known

__all__ = ["Performance"]

_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """Measure metrics and put them on record; never alert.

    Parameters
    ----------
    metrics
        As an SLO names them, e.g. ``f1`` or ``quantile_loss(0.9)``.
    by
        Feature columns whose values are slices: each value that has at least `at_least_rows` labelled rows.
    at_least_rows
        Below it nothing is measured: too few rows are inconclusive.

    Notes
    -----
    Each interval stands for itself at 95 %: of many slices some look bad by chance. To act on one, write an SLO.

    Examples
    --------
    >>> Performance(metrics=("accuracy", "f1"), by=("country",)).key
    'performance(accuracy, f1 by country)'
    """

    labels: ClassVar[bool] = True

    metrics: tuple[str, ...]
    by: tuple[str, ...] = ()
    at_least_rows: int = 50

    def __post_init__(self) -> None:
        unknown = [each for each in self.metrics if not is_known(each)]
        if unknown or not self.metrics:
            raise InvariantError(f"metrics {', '.join(unknown) or 'none'}: known are {', '.join(METRIC_NAMES)}")

    @property
    def key(self) -> str:
        """``performance(metrics by columns)``."""
        by = f" by {', '.join(self.by)}" if self.by else ""
        return f"performance({', '.join(self.metrics)}{by})"

    @property
    def over(self) -> timedelta | None:
        """One window."""
        return None

    def measure_seen(self, seen: SeenRows) -> tuple[Evidence, ...]:  # noqa: ARG002  the detector's contract
        """Measure nothing: metrics need labels."""
        return ()

    def measure_scored(self, rows: ScoredRows) -> tuple[Evidence, ...]:
        """Measure each metric on all rows, and on each slice."""
        slices = slices_of(rows, self.by, self.at_least_rows) if rows.n >= self.at_least_rows else {}
        found = []
        for metric in self.metrics:
            found.append(self._measured(rows, metric, metric))
            found += [self._measured(each, metric, f"{metric} where {name}") for name, each in slices.items()]
        return tuple(found)

    def _measured(self, rows: ScoredRows, metric: str, subject: str) -> Evidence:
        if rows.n < self.at_least_rows:
            problem = f"{rows.n} labelled rows, {self.at_least_rows} are needed"
            return Evidence.of(self.key, None, rows.n, subject=subject, problem=problem)
        try:
            score = rows.score(metric, _CONFIDENCE)
        except InvariantError as exc:
            return Evidence.of(self.key, None, rows.n, subject=subject, problem=str(exc))
        interval = None if score.low is None or score.high is None else (score.low, score.high)
        return Evidence.of(self.key, score.value, rows.n, subject=subject, interval=interval)

    def judge(self, evidence: tuple[Evidence, ...]) -> Finding | None:  # noqa: ARG002  the detector's contract
        """Find nothing."""
        return None
