"""What staying costs: regret over an old model, accumulated against the price of a new one."""

from collections.abc import Iterable
from dataclasses import dataclass

from anew.domain.errors import InvariantError

__all__ = ["Slope", "ski_rental", "waiting_cost"]


def ski_rental(excess: Iterable[float]) -> float:
    """Return the regret that has accumulated: R <- max(0, R + excess), from 0.

    Buying when R reaches the price costs at most twice what the best schedule in hindsight does: until then renting
    has cost no more than the price. Excess that is not there takes R down again, never below nothing, so that a good
    time long ago excuses nothing now.

    References
    ----------
    Karlin, Manasse, Rudolph and Sleator, Competitive snoopy caching, 1988 (the rule); Page, Continuous inspection
    schemes, 1954 (the reflection at 0).

    >>> ski_rental([2.0, -5.0, 1.0, 1.5])
    2.5
    """
    regret = 0.0
    for each in excess:
        regret = max(0.0, regret + each)
    return regret


def waiting_cost(slope: float, windows: int) -> float:
    """Return what `windows` windows have cost by an excess that grows by `slope` each, from 0 in the first.

    Buying when this reaches a price p means every sqrt(2 p / slope) windows: of all periods the cheapest.

    >>> waiting_cost(2.0, 4)
    12.0
    """
    return slope * windows * (windows - 1) / 2


@dataclass(frozen=True, slots=True)
class Slope:
    """How much more an older model loses, for each window that it is older: a ratio of sums, shrunk to a prior.

    >>> Slope.prior(2.0, weight=1.0).seen(gap=12.0, older=3, weight=1.0).value
    3.5
    """

    gaps: float
    ages: float

    @classmethod
    def prior(cls, value: float, *, weight: float) -> "Slope":
        """Begin with `value`, worth as much as having seen one window of `weight` windows older."""
        if weight <= 0:
            raise InvariantError(f"a prior of weight {weight} is none; it has to be positive")
        return cls(value * weight, weight)

    def seen(self, *, gap: float, older: int, weight: float) -> "Slope":
        """Add a window in which a model, `older` windows older than the other, lost `gap` more than it."""
        return Slope(self.gaps + weight * gap, self.ages + weight * older)

    @property
    def value(self) -> float:
        """Excess per window of age, 0 or more: a model does not get better by waiting."""
        return max(0.0, self.gaps / self.ages)
