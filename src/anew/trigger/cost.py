"""Cost: what a retrain is worth, in losses of rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from anew.domain.errors import InvariantError

__all__ = ["Cost", "Price"]

_HOUR_S = 3600.0
_LEAST = 1.0
"""Loss that the windows of a new model are taken to have at the least: a flawless one would make retrains free."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """A price in losses of rows, None where it is not known; `why` says how it was made, or what is missing."""

    value: float | None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The price of a retrain against that of an error.

    Parameters
    ----------
    error
        What one unit of loss costs, in money: a wrong answer, or for numbers an error as large as the range of the
        labels. Without it the price is `windows` times what the model loses in a window when it is new, one such unit
        at the least: retraining is then worth what the model errs anyway in so many windows.
    retrain
        What a retrain costs, in money; None: measured, from the CPU time of past runs: search and fit, gates, and the
        challenger's own processes while it was on probation.
    compute_hour
        What an hour of CPU costs, in money.
    windows
        See `error`.
    """

    error: float | None = None
    retrain: float | None = None
    compute_hour: float = 0.05
    windows: float = 1.0

    def __post_init__(self) -> None:
        given = {"error": self.error, "retrain": self.retrain}
        wrong = [name for name, value in given.items() if value is not None and not 0 < value < float("inf")]
        if wrong or not (self.compute_hour > 0 and self.windows > 0):
            raise InvariantError(f"cost: {', '.join(wrong) or 'compute_hour and windows'}: use positive numbers")
        if self.retrain is not None and self.error is None:
            raise InvariantError("cost: a retrain has a price and an error has none; give cost.error too")

    def price(self, level: float | None, runs_s: Sequence[float]) -> Price:
        """Return what a retrain costs.

        Parameters
        ----------
        level
            What the champion lost in a window when it was new, summed over rows; None when not known.
        runs_s
            CPU seconds of past runs with their gates and rollouts, those that were not measured left out.
        """
        if self.error is None:
            if level is None:
                return Price(value=None, why="the champion's loss is not known yet")
            return Price(
                value=self.windows * max(level, _LEAST), why=f"the loss of {self.windows:g} windows of a new model"
            )
        if self.retrain is not None:
            return Price(value=self.retrain / self.error, why=f"{self.retrain:g} at {self.error:g} an error")
        if not runs_s:
            return Price(value=None, why="no run has been measured and policy.cost.retrain says no price")
        money = fmean(runs_s) / _HOUR_S * self.compute_hour
        return Price(
            value=money / self.error, why=f"{money:g} measured in {len(runs_s)} runs, at {self.error:g} an error"
        )
