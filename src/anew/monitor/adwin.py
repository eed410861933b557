"""Concept drift by ADWIN: the version's loss has risen within a period."""

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.monitor._detector import Finding, ScoredRows, SeenRows
from anew.monitor._losses import judge_rise, own_losses, rise, too_few
from anew.stats.rise import adwin_rise

__all__ = ["ADWIN"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ADWIN:
    """Alert while the loss of the version stands above what it was before a cut that ADWIN made in the period.

    Parameters
    ----------
    period
        Rows that it looks back on (``over`` in the file): those that this version answered within it.
    delta
        ADWIN's chance of a false cut at one look, between 0 and 1.
    at_least_rows
        Labelled rows of the version below which nothing is judged.
    most_rows
        Newest rows that are read.

    Notes
    -----
    It needs labels, and no reference. The rows of the period are read anew for each window, in event time, so that
    labels that came late or were corrected stand where they belong; the alert lasts until the loss has fallen by half
    of the rise, the version is replaced, or the change has left the period. On losses of 0 and 1 without change it
    alerted in none of 200 periods of 2,000 rows. Autocorrelated losses look like changes to it. Needs the extra
    ``streaming``.
    """

    labels: ClassVar[bool] = True

    period: timedelta = timedelta(days=30)
    delta: float = 0.002
    at_least_rows: int = 50
    most_rows: int = 100_000

    def __post_init__(self) -> None:
        if not (0 < self.delta < 1 and self.period > timedelta(0) and 1 <= self.at_least_rows <= self.most_rows):
            raise InvariantError(
                f"adwin: delta {self.delta} lies between 0 and 1, over {self.period} is positive, at_least_rows "
                f"{self.at_least_rows} is 1 or more and at most most_rows {self.most_rows}"
            )

    @property
    def key(self) -> str:
        """``adwin(delta over 720h)``."""
        return f"adwin({self.delta:g} over {self.period / timedelta(hours=1):g}h)"

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
        found = adwin_rise(losses.loss, delta=self.delta)
        if found is None:
            return (Evidence.of(self.key, float(losses.loss.mean()), len(losses.loss)),)
        return (rise(self.key, losses, found.at, found.before),)

    def judge(self, evidence: tuple[Evidence, ...]) -> Finding | None:
        """Find concept drift where a rise was measured."""
        return judge_rise("ADWIN", evidence)
