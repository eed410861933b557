"""Budget: how many retrains a period may hold, and how much of what they use."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import fmean

from anew.domain.duration import write_duration
from anew.domain.errors import InvariantError

__all__ = ["Allowance", "Budget", "Run"]

_HOUR_S = 3600.0
_USUAL_RUNS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """At most `retrains` requests in any `period` of event time; commands count, but are not held by it."""

    retrains: int
    period: timedelta

    def __post_init__(self) -> None:
        if self.retrains < 0 or self.period <= timedelta(0):
            raise InvariantError(f"a budget of {self.retrains} retrains per {self.period} is none that can be kept")

    def spent(self, requests: Sequence[datetime], at: datetime) -> int:
        """Count the requests since a period before `at`.

        Later ones count too: a late score asks in the past, and no period around it may hold more than the budget.
        """
        return sum(1 for each in requests if at - self.period < each)

    def left(self, requests: Sequence[datetime], at: datetime) -> int:
        """Return how many requests the period still allows at `at`."""
        return max(0, self.retrains - self.spent(requests, at))

    def __str__(self) -> str:
        return f"{self.retrains} per {write_duration(self.period)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run that has ended: when, and the CPU seconds that it took, 0 where they were not measured."""

    at: datetime
    compute_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """At most `amount` of something in any `period` of event time, counted when a run ends.

    A run is not begun unless as much is left as runs have taken on average: what is under way cannot be taken back.
    Before anything was measured it may begin, for nothing is spent. Commands count, but are not held by it.

    Parameters
    ----------
    of
        What it is, in words.
    per_hour, per_run
        How much of it an hour of CPU takes, and each run besides.
    """

    of: str
    amount: float
    period: timedelta
    per_hour: float = 1.0
    per_run: float = 0.0

    def __post_init__(self) -> None:
        if self.amount < 0 or self.period <= timedelta(0) or min(self.per_hour, self.per_run) < 0:
            raise InvariantError(f"a budget of {self} is none that can be kept")

    def left(self, runs: Sequence[Run], at: datetime) -> float:
        """Return what the period still allows at `at`; runs that end later count too."""
        return self.amount - sum(self._taken(each) for each in runs if at - self.period < each.at)

    def lacks(self, runs: Sequence[Run], at: datetime) -> str:
        """Say why another run is not to begin at `at`; empty when it may."""
        left = self.left(runs, at)
        usual = fmean(self._taken(each) for each in runs[-_USUAL_RUNS:]) if runs else 0.0
        if left >= usual and left > 0:
            return ""
        return f"{max(left, 0.0):.3g} of {self} are left, and a run takes {usual:.3g}"

    def _taken(self, run: Run) -> float:
        return self.per_run + run.compute_s / _HOUR_S * self.per_hour

    def __str__(self) -> str:
        return f"{self.amount:g} {self.of} per {write_duration(self.period)}"
