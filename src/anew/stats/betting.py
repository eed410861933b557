"""Evidence that may be read at every look: bets against a hypothesis, from counts on a fixed grid.

The counts of rounded outcomes are all that is kept. They add up over batches, machines and days, and hold no margin
and no alpha, so that both may be chosen or changed when the evidence is judged.

By Ville's inequality the chance that an e-value *ever* reaches 1 / alpha is at most alpha when its hypothesis is
true: look after every event, stop when you like. Outcomes are taken as a stream whose next mean, given the past,
obeys the hypothesis; many events of one user are not such a stream: bet on users' means instead.
"""

import math
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from anew.domain.errors import InvariantError
from anew.stats.column import Counts, Floats
from anew.stats.interval import Bounds

__all__ = [
    "BETS",
    "Side",
    "difference_confidence_sequence",
    "difference_grid",
    "discretise",
    "e_value_threshold",
    "mean_confidence_sequence",
    "paired_confidence_sequence",
    "paired_e_value",
    "paired_e_values",
    "unit_grid",
]

Side: TypeAlias = Literal["non_inferiority", "harm"]

# Shares of the wealth put at stake; they decide differences of 0.5 to 10 points (see the Monte-Carlo tests).
BETS = (0.05, 0.1, 0.2, 0.4, 0.7)
# A confidence sequence narrows for as long as there are smaller bets than those that its width calls for.
_FINE_BETS = tuple(0.8 / 2.0**step for step in range(13))
_HALVINGS = 30


def difference_grid(steps: int = 100) -> Floats:
    """Return 2 * steps + 1 points from -1 to 1, shape (k,), with -1, 0 and 1 exactly among them."""
    return np.arange(-steps, steps + 1) / steps


def unit_grid(steps: int = 100) -> Floats:
    """Return steps + 1 points from 0 to 1, shape (k,), both ends exact."""
    return np.arange(steps + 1) / steps


def discretise(values: npt.ArrayLike, grid: Floats, direction: Literal["down", "up"]) -> Counts:
    """Return how many values, shape (n,), round to each point of the grid, shape (k,).

    Round *against* the claim: paired differences ``champion's loss - challenger's loss`` down for non-inferiority, up
    for harm; then a true hypothesis stays true of the rounded values. Differences of losses of 0 and 1 are on the
    grid.

    Raises
    ------
    InvariantError
        A value is NaN or outside the grid: it would be evidence of nothing.

    Examples
    --------
    >>> discretise([0.3, -0.3, 1.0], np.array([-1.0, 0.0, 1.0]), "down").tolist()
    [1, 1, 1]
    """
    held = np.asarray(values, dtype=np.float64)
    points = _increasing(grid)
    if held.size and not (held.min() >= points[0] and held.max() <= points[-1]):
        raise InvariantError(f"values lie within the grid, [{points[0]}, {points[-1]}], and none is NaN")
    if direction == "down":
        at = np.searchsorted(points, held, side="right") - 1
    elif direction == "up":
        at = np.searchsorted(points, held, side="left")
    else:
        raise InvariantError(f"round down or up, not {direction!r}")
    return np.bincount(at, minlength=len(points))


def _increasing(grid: npt.ArrayLike) -> Floats:
    points = np.asarray(grid, dtype=np.float64)
    if points.ndim != 1 or len(points) < 2 or not (np.diff(points) > 0).all():
        raise InvariantError("a grid is an increasing row of two points or more")
    return points


def _filled(counts: npt.ArrayLike, grid: npt.ArrayLike, low: float) -> tuple[Floats, Floats]:
    """Return the counts that are not 0 and their points, the grid checked to run from `low` to 1."""
    points = _increasing(grid)
    held = np.asarray(counts, dtype=np.float64)
    if points[0] != low or points[-1] != 1.0 or (low < 0 and 0.0 not in points):
        raise InvariantError(f"the grid runs from {low:g} to 1{' by way of 0' if low < 0 else ''}, all exactly")
    if held.shape != points.shape or not (held >= 0).all():
        raise InvariantError(f"one count, 0 or more, for each of the {len(points)} points: got the shape {held.shape}")
    return held[held > 0], points[held > 0]


def _log_wealth(counts: Floats, gains: Floats, bets: tuple[float, ...]) -> Floats:
    """Return the log of the mean wealth of bets, each ``prod (1 + bet * gain) ** count``, for counts (k,) or (m, k)."""
    each = counts @ np.log1p(np.multiply.outer(gains, np.array(bets)))
    best = each.max(axis=-1)
    found: Floats = best + np.log(np.exp(each - best[..., None]).sum(axis=-1) / len(bets))
    return found


def paired_e_value(
    counts: npt.ArrayLike, grid: npt.ArrayLike, margin: float, side: Side, *, bets: tuple[float, ...] = BETS
) -> float:
    """Return the log e-value against a hypothesis about the mean of D = champion's loss - challenger's loss.

    Parameters
    ----------
    counts
        How many pairs rounded to each point, shape (k,); see `discretise`.
    grid
        From -1 to 1, shape (k,), with -1, 0 and 1 among it.
    margin
        In [0, 1). ``non_inferiority`` bets against H0: E[D] <= -margin (the challenger is worse by the margin or
        more), so that a large value says "not worse by the margin". ``harm`` bets against H0: E[D] >= -margin (the
        challenger is not worse by more than the margin), so that a large value says "worse by more than the margin".
    bets
        Shares of the wealth at stake, between 0 and 1; their mixture is the bet. The smallest one bounds what can be
        seen: with a variance v of D, a mean within about ``smallest * v / 2`` of the hypothesis is never decided.

    Returns
    -------
    float
        Natural logarithm; 0 with no evidence. Compare with `log(e_value_threshold(alpha))`. The order of events does
        not matter, and evidence of independent streams adds up in counts.

    Raises
    ------
    InvariantError
        Counts, grid, margin, side or bets are not as above.

    References
    ----------
    Waudby-Smith and Ramdas (2024), "Estimating means of bounded random variables by betting", JRSS B 86, section 4;
    we take a fixed mixture instead of predictable bets, so that the order of events does not matter.

    Examples
    --------
    >>> evidence = paired_e_value([25, 950, 225], [-1.0, 0.0, 1.0], 0.01, "non_inferiority")
    >>> evidence > math.log(e_value_threshold(0.05))
    True
    """
    held, points = _filled(counts, grid, -1.0)
    return float(_log_wealth(held, _gains(points, margin, side, bets), bets))


def paired_e_values(
    counts: npt.ArrayLike, grid: npt.ArrayLike, margin: float, side: Side, *, bets: tuple[float, ...] = BETS
) -> Floats:
    """Return `paired_e_value` for each row of `counts`, shape (m, k), at once: of many looks or many runs; shape (m,).

    Raises
    ------
    InvariantError
        As `paired_e_value` does.
    """
    many = np.asarray(counts, dtype=np.float64)
    if many.ndim != 2 or not len(many):
        raise InvariantError(f"counts of many looks have the shape (m, k), not {many.shape}")
    _filled(many.min(axis=0), grid, -1.0)
    return _log_wealth(many, _gains(_increasing(grid), margin, side, bets), bets)


def _gains(points: Floats, margin: float, side: Side, bets: tuple[float, ...]) -> Floats:
    """Return what one unit of wealth at stake makes of each outcome."""
    if not 0 <= margin < 1:
        raise InvariantError(f"a margin is at least 0 and below 1, not {margin}")
    if not bets or not all(0 < bet < 1 for bet in bets):
        raise InvariantError(f"bets lie between 0 and 1, not {bets}")
    if side == "non_inferiority":
        gains, worst = points + margin, 1 - margin
    elif side == "harm":
        gains, worst = -points - margin, 1 + margin
    else:
        raise InvariantError(f"a side is non_inferiority or harm, not {side!r}")
    # Divided by the worst loss, no bet can take more than its share of the wealth.
    return gains / worst


def e_value_threshold(alpha: float) -> float:
    """Return the e-value that rejects at level alpha: 1 / alpha (Ville 1939).

    Raises
    ------
    InvariantError
        `alpha` is not between 0 and 1.
    """
    if not 0 < alpha < 1:
        raise InvariantError(f"alpha lies between 0 and 1, not {alpha}")
    return 1 / alpha


def mean_confidence_sequence(counts: npt.ArrayLike, grid: npt.ArrayLike, alpha: float = 0.05) -> Bounds:
    """Return bounds that hold the mean of values in [0, 1] at all times at once with probability 1 - alpha.

    A mean m is refused when bets that the true mean is higher, or lower, have made 2 / alpha out of 1. With values
    between the points, take `low` from counts rounded down and `high` from counts rounded up.

    Parameters
    ----------
    counts
        How many values rounded to each point, shape (k,). Without any the bounds are 0 and 1.
    grid
        From 0 to 1, shape (k,).

    Raises
    ------
    InvariantError
        Counts, grid or alpha are not as above.

    References
    ----------
    Waudby-Smith and Ramdas (2024), section 4.4, the hedged capital process, with a mixture of fixed bets.
    """
    held, points = _filled(counts, grid, 0.0)
    limit = math.log(2 * e_value_threshold(alpha))
    return Bounds(_lowest(held, points, limit), 1.0 - _lowest(held, 1.0 - points, limit))


def _lowest(counts: Floats, points: Floats, limit: float) -> float:
    """Return the smallest mean that bets on a higher one have not refused; their wealth falls as the mean grows."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        # Divided by the mean, the worst loss: gains are then at least -1 and the wealth is monotone in the mean.
        refused = _log_wealth(counts, points / middle - 1.0, _FINE_BETS) >= limit
        low, high = (middle, high) if refused else (low, middle)
    return low


def difference_confidence_sequence(
    counts_a: npt.ArrayLike, counts_b: npt.ArrayLike, grid: npt.ArrayLike, alpha: float = 0.05
) -> Bounds:
    """Return bounds, valid at all times at once, of mean(a) - mean(b) for two independent arms with values in [0, 1].

    Each arm's bounds get alpha / 2, so that both hold together. Where requests can be paired,
    `paired_confidence_sequence` needs far fewer of them.

    Raises
    ------
    InvariantError
        Counts, grid or alpha are not as in `mean_confidence_sequence`.
    """
    a = mean_confidence_sequence(counts_a, grid, alpha / 2)
    b = mean_confidence_sequence(counts_b, grid, alpha / 2)
    return Bounds(a.low - b.high, a.high - b.low)


def paired_confidence_sequence(counts: npt.ArrayLike, grid: npt.ArrayLike, alpha: float = 0.05) -> Bounds:
    """Return bounds, valid at all times at once, of the mean paired difference in [-1, 1].

    Parameters
    ----------
    counts, grid
        As in `paired_e_value`.

    Raises
    ------
    InvariantError
        Counts, grid or alpha are not as above.
    """
    held, points = _filled(counts, grid, -1.0)
    limit = math.log(2 * e_value_threshold(alpha))
    return Bounds(2 * _lowest(held, (1 + points) / 2, limit) - 1, 1 - 2 * _lowest(held, (1 - points) / 2, limit))
