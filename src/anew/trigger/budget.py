"""Budget: how many retrains a period may hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from anew.domain.errors import InvariantError

__all__ = ["Budget"]


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
