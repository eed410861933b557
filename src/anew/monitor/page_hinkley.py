"""Concept drift by Page-Hinkley: the version's losses have added up beyond their mean."""

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.monitor._detector import Finding, ScoredRows, SeenRows
from anew.monitor._losses import judge_rise, own_losses, rise, too_few
from anew.stats.rise import page_hinkley_rise

__all__ = ["PageHinkley"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PageHinkley:
    """Alert while the loss of the version stands above what it was before an alarm of Page-Hinkley's in the period.

    Parameters
    ----------
    period
        Rows that it looks back on (``over`` in the file): those that this version answered within it.
    delta
        Distance of a loss from the mean so far that counts for nothing.
    threshold
        Sum of distances beyond that is an alarm, in units of loss: 50 are 50 errors more than usual.
    at_least_rows
        Labelled rows of the version below which nothing is judged.
    most_rows
        Newest rows that are read.

    Notes
    -----
    Quick where a loss jumps, and with no declared rate of false alarms: that depends on `threshold` and on how much
    losses vary (river's 63 alarms in 100,000 normal rows without change are its known weakness; on losses of 0 and 1 at
    20 % error it alerted in none of 200 periods of 2,000 rows). Prefer ``sequential`` where the rate has to
    be known. What holds of rows, late labels and duration of alerts in ``adwin`` holds here. Needs the extra
    ``streaming``.
    """

    labels: ClassVar[bool] = True

    period: timedelta = timedelta(days=30)
    delta: float = 0.005
    threshold: float = 50.0
    at_least_rows: int = 50
    most_rows: int = 100_000

    def __post_init__(self) -> None:
        if not (
            self.delta >= 0
            and 0 < self.threshold < float("inf")
            and self.period > timedelta(0)
            and 1 <= self.at_least_rows <= self.most_rows
        ):
            raise InvariantError(
                f"page_hinkley: delta {self.delta} is 0 or more, threshold {self.threshold} and over {self.period} are "
                f"positive, at_least_rows {self.at_least_rows} is 1 or more and at most most_rows {self.most_rows}"
            )

    @property
    def key(self) -> str:
        """``page_hinkley(>threshold over 720h)``."""
        return f"page_hinkley(>{self.threshold:g} over {self.period / timedelta(hours=1):g}h)"

    @property
    def over(self) -> timedelta | None:
        """The period."""
        return self.period

    def measure_seen(self, seen: SeenRows) -> tuple[Evidence, ...]:  # noqa: ARG002  the detector's contract
        """Measure nothing: this detector needs labels."""
        return ()

    def measure_scored(self, rows: ScoredRows) -> tuple[Evidence, ...]:
        """Measure the loss since the last rise, with the loss before it as reference; without a rise, the loss."""
        losses = own_losses(rows, self.most_rows)
        if len(losses.loss) < self.at_least_rows:
            return too_few(self.key, len(losses.loss), self.at_least_rows)
        found = page_hinkley_rise(losses.loss, delta=self.delta, threshold=self.threshold)
        if found is None:
            return (Evidence.of(self.key, float(losses.loss.mean()), len(losses.loss)),)
        return (rise(self.key, losses, found.at, found.before),)

    def judge(self, evidence: tuple[Evidence, ...]) -> Finding | None:
        """Find concept drift where a rise was measured."""
        return judge_rise("Page-Hinkley", evidence)
