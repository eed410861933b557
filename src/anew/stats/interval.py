"""Intervals of confidence at one look, from counts and sums.

They are valid once, for a sample size fixed beforehand; for evidence that is read again and again see
`anew.stats.betting`.
"""

import math

from scipy.special import ndtri, stdtrit

from anew.domain.errors import InvariantError
from anew.stats.bound import Bounds

__all__ = ["Bounds", "mean_interval", "paired_difference_interval", "paired_proportion_interval", "wilson_interval"]


def _tail(confidence: float) -> float:
    if not 0.0 < confidence < 1.0:
        raise InvariantError(f"a confidence lies between 0 and 1, not {confidence}")
    return 0.5 + confidence / 2


def wilson_interval(successes: float, n: float, confidence: float = 0.95) -> Bounds:
    """Return the Wilson score interval of a proportion.

    It keeps its level near 0 and 1 and for small n, where the Wald interval has no width.

    Raises
    ------
    InvariantError
        `n` is 0 (nothing measured), or `successes` is not within [0, n].

    References
    ----------
    Wilson (1927), "Probable inference, the law of succession, and statistical inference", JASA 22. Recommended by
    Brown, Cai and DasGupta (2001), Statistical Science 16, for n up to 40 and beyond.

    Examples
    --------
    >>> low, high = wilson_interval(0, 10)
    >>> round(low, 3), round(high, 3)
    (0.0, 0.278)
    """
    if not n > 0 or not 0 <= successes <= n:
        raise InvariantError(f"a proportion needs trials, and no more successes than trials: got {successes} of {n}")
    z = float(ndtri(_tail(confidence)))
    share, weight = successes / n, z * z / n
    centre = (share + weight / 2) / (1 + weight)
    half = z * math.sqrt(share * (1 - share) / n + weight / (4 * n)) / (1 + weight)
    # Exactly 0 and 1 at the ends, where rounding would leave a hair.
    return Bounds(max(centre - half, 0.0) if successes else 0.0, min(centre + half, 1.0) if successes < n else 1.0)


def mean_interval(n: float, mean: float, variance: float, confidence: float = 0.95) -> Bounds:
    """Return Student's t interval of a mean.

    Parameters
    ----------
    n
        Observations, 2 or more.
    variance
        Sample variance, with divisor n - 1.

    Raises
    ------
    InvariantError
        Fewer than two observations (no spread was measured), or a variance that is negative or not a number.
    """
    if n < 2 or not (variance >= 0 and math.isfinite(variance) and math.isfinite(mean)):
        raise InvariantError(f"a mean's interval needs 2 observations and a variance: n={n}, {mean=}, {variance=}")
    half = float(stdtrit(n - 1, _tail(confidence))) * math.sqrt(variance / n)
    return Bounds(mean - half, mean + half)


def paired_difference_interval(n: int, total: float, squares: float, confidence: float = 0.95) -> Bounds:
    """Return the t interval of a mean paired difference from its mergeable sums.

    It has no width when all n differences agree: ask for a minimum n, or use `paired_proportion_interval` for losses of
    0 and 1, which stays honest there.

    Parameters
    ----------
    total, squares
        Sums of the differences and of their squares.

    Raises
    ------
    InvariantError
        Fewer than two pairs, or `squares` below what `total` demands.
    """
    if n < 2:
        raise InvariantError(f"a paired difference needs 2 pairs, not {n}")
    excess = squares - total * total / n
    # Rounding may leave a hair under zero; more than that is not the sum of squares of these differences.
    if not excess >= -1e-9 * max(squares, 1e-300):
        raise InvariantError(f"no {n} differences have the sum {total} and the sum of squares {squares}")
    return mean_interval(n, total / n, max(excess, 0.0) / (n - 1), confidence)


def paired_proportion_interval(wins: float, losses: float, n: float, confidence: float = 0.95) -> Bounds:
    """Return an interval of (wins - losses) / n, the difference of two paired proportions.

    A half is added to each of the four cells, so that it has width even when no pair disagreed.

    Parameters
    ----------
    wins, losses
        Pairs in which only the first, only the second was right.

    Raises
    ------
    InvariantError
        `n` is 0, or wins and losses are negative or more than n.

    References
    ----------
    Agresti and Min (2005), "Simple improved confidence intervals for comparing matched proportions", Statistics in
    Medicine 24, the Wald interval with +0.5 in each cell.
    """
    if n < 1 or min(wins, losses) < 0 or wins + losses > n:
        raise InvariantError(f"pairs that disagree are among the n pairs: got {wins} + {losses} of {n}")
    first, second, size = wins + 0.5, losses + 0.5, n + 2.0
    difference = (first - second) / size
    half = float(ndtri(_tail(confidence))) * math.sqrt(((first + second) / size - difference * difference) / size)
    return Bounds(max(difference - half, -1.0), min(difference + half, 1.0))
