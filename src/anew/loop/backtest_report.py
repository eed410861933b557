"""What a backtest found: regret over hindsight, and which policy to take, with an interval."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from anew.domain.errors import InvariantError
from anew.loop.backtest import Board, Run
from anew.loop.measure import Floats
from anew.stats.schedule import Hindsight, cross_fitted

__all__ = ["PRICES", "Hindsighted", "Recommendation", "described", "hindsight_of", "recommended"]

PRICES = (0.002, 0.01, 0.05)
"""Prices of a retrain as shares of what retraining can gain at most."""

_BLOCK = 5
"""Windows that are drawn together: what is lost in neighbouring windows belongs together."""
_DRAWS = 2_000


@dataclass(frozen=True, kw_only=True)
class Hindsighted:
    """What the best schedules reach on a board, as sums over rows.

    Attributes
    ----------
    gain
        What retraining can gain at most: the loss without any fit, less that of the best schedule of all.
    """

    path: Hindsight
    rows: int

    @property
    def gain(self) -> float:
        """Loss without a fit less the least of all; 0 when no schedule gains anything."""
        return float(self.path.loss[0] - self.path.loss.min())

    def least(self, price: float) -> int:
        """Return how many fits of this price (a share of the gain) the best schedule has."""
        return int(np.argmin(self.path.loss + price * self.gain * np.arange(len(self.path.loss))))

    def regret(self, run: Run, price: float) -> float | None:
        """Return normalised regret: 0 is hindsight's, 1 as much more as retraining can gain; None of no gain."""
        if self.gain <= 0:
            return None
        return float(np.sum(self.excess(run, price))) / self.gain

    def excess(self, run: Run, price: float) -> Floats:
        """Return loss and spending above hindsight's, spread over windows; shape `(windows,)`."""
        k = self.least(price)
        found: Floats = run.by_window - self.path.by_window[k]
        return found + price * self.gain * (run.spent - k) / len(found)


def hindsight_of(board: Board, *, delay: int, most: int = 40) -> Hindsighted:
    """Find what hindsight reaches with up to `most` fits, schedules chosen on half of the rows, scored on the other."""
    path = cross_fitted(board.halves, start=board.first, delay=delay, most=min(most, board.windows - board.first))
    return Hindsighted(path=path, rows=board.bounds[-1] - board.bounds[board.first])


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """A policy, its mean normalised regret over the prices, and a 95 % interval of it."""

    policy: str
    regret: float
    low: float
    high: float


def recommended(found: Hindsighted, runs: Mapping[str, Mapping[float, Run]]) -> Recommendation | None:
    """Return the policy of least mean regret; None when retraining gains nothing, and so none is better than never.

    The interval is by bootstrap: windows are drawn anew in blocks of five. It says how sure the regret is on streams
    like this one, not that the policy is the best of all.

    Raises
    ------
    InvariantError
        There is no policy.
    """
    if not runs:
        raise InvariantError("there is no policy to recommend")
    if found.gain <= 0:
        return None
    excess = {
        name: np.mean([found.excess(run, price) for price, run in by_price.items()], axis=0) / found.gain
        for name, by_price in runs.items()
    }
    best = min(excess, key=lambda name: float(excess[name].sum()))
    low, high = _interval(excess[best])
    return Recommendation(policy=best, regret=float(excess[best].sum()), low=low, high=high)


def _interval(each: Floats) -> tuple[float, float]:
    """Return the central 95 % of sums over windows drawn in blocks, the same for the same input."""
    size = len(each)
    block = min(_BLOCK, size)
    draws = np.random.default_rng(0).integers(0, size - block + 1, size=(_DRAWS, -(-size // block)))
    chosen = (draws[:, :, None] + np.arange(block)).reshape(_DRAWS, -1)[:, :size]
    low, high = np.quantile(each[chosen].sum(axis=1), [0.025, 0.975])
    return float(low), float(high)


def described(
    board: Board, found: Hindsighted, runs: Mapping[str, Mapping[float, Run]], main: float = 0.01
) -> dict[str, Any]:
    """Return the data of ``anew.backtest/1``.

    Losses are means over the rows of all windows but those of the first model. A policy that minds the price does
    something else for each: its loss and fits are those of the price `main`, those of the others stand in `by_price`.
    """
    sizes = np.diff(board.bounds)[board.first :].astype(np.float64)
    policies = []
    for name, by_price in runs.items():
        plain = _plain(by_price[main], sizes)
        if len({id(run) for run in by_price.values()}) > 1:
            plain["by_price"] = {f"{price:g}": _plain(run, sizes) for price, run in by_price.items()}
        regret = {f"{price:g}": found.regret(run, price) for price, run in by_price.items()}
        policies.append({"policy": name, **plain, "normalised_regret": regret})
    best = recommended(found, runs)
    return {
        "windows": board.windows,
        "first_windows": board.first,
        "rows": found.rows,
        "oracle": [float(each) / found.rows for each in found.path.loss],
        "policies": policies,
        "recommended": None
        if best is None
        else {"policy": best.policy, "normalised_regret": best.regret, "interval": [best.low, best.high]},
    }


def _plain(run: Run, sizes: Floats) -> dict[str, Any]:
    return {
        "loss": float(run.by_window.sum() / np.sum(sizes)),
        "loss_by_window": [float(each) for each in run.by_window / sizes],
        "fits": [{"window": each.window, "rows": each.rows, "span": each.span or "all"} for each in run.fits],
        "revivals": len(run.revived),
        "revived": list(run.revived),
        "probes": run.probes,
    }
