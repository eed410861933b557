"""Were two sets of counts drawn from the same distribution? Tests whose false alarms hold far out in the tail.

A yearly budget of false alarms makes each test judge at levels of 1e-4 and below, where the usual rules of thumb (five
expected, chi-squared) reject several times too often. These do not; `bench/alarms.py` measures it.
"""

import math

import numpy as np
import numpy.typing as npt

from anew.domain.errors import InvariantError
from anew.stats.column import Counts, Floats
from anew.stats.tail import chi_squared_tail, kolmogorov_tail

__all__ = ["same_extremes", "same_order", "same_rank", "same_share", "same_shares"]

_REACH = 12.0
"""Standard deviations beyond which a share of equal counts is less than a float64 resolves."""
_LEAST_REACH = 200
_ALMOST_NORMAL = 1e6
"""Shape of a gamma distribution from which on it is taken as normal."""


def _sizes(first: npt.ArrayLike, second: npt.ArrayLike) -> tuple[Counts, Counts, int, int]:
    """Return both count vectors without the slots that are empty on both sides, and their sums."""
    a, b = np.asarray(first, dtype=np.int64), np.asarray(second, dtype=np.int64)
    if a.shape != b.shape or a.ndim != 1:
        raise InvariantError(f"count vectors have one shape (k,), not {a.shape} and {b.shape}")
    held = (a > 0) | (b > 0)
    a, b = a[held], b[held]
    n, m = int(a.sum()), int(b.sum())
    if not (n > 0 and m > 0):
        raise InvariantError(f"a test needs rows on both sides, not {n} and {m}: an empty window is no evidence")
    return a, b, n, m


def same_shares(first: npt.ArrayLike, second: npt.ArrayLike, inertia: float = 1.0) -> float:
    """Return the p-value that two count vectors, shape (k,), have the same shares; the order of slots does not matter.

    The larger one of two: Pearson's statistic with a gamma distribution of its exact mean and variance, and the
    likelihood ratio's with chi-squared. At small counts Pearson's overrates what is more than expected, the likelihood
    ratio what is less; both together keep the level down to 1e-5 where 5 are expected in a slot. Merge smaller slots
    before (by the sum of both sides, which leaves the test exact).

    Parameters
    ----------
    inertia
        Rows that count as one, because they resemble those before them; see `anew.stats.inertia`.

    Raises
    ------
    InvariantError
        A side has no rows, or the shapes differ.

    References
    ----------
    Dawson (1954), "A simplified expression for the variance of the chi-squared function on a contingency table",
    Biometrika 41: mean and variance given the margins.

    Examples
    --------
    >>> same_shares([900, 100], [90, 10])
    1.0
    >>> same_shares([900, 100], [60, 40]) < 1e-9
    True
    """
    a, b, n, m = _sizes(first, second)
    k, total = len(a), n + m
    if k < 2 or total < 4:
        return 1.0
    sums = a + b
    expected: Floats = sums.astype(np.float64) * (m / total)
    pearson = float(((b - expected) ** 2 / expected).sum()) * total / n
    mean = (k - 1) * total / (total - 1)
    variance = _pearson_variance(sums, n, m)
    if variance <= 0:
        return 1.0
    by_pearson = chi_squared_tail(2 * mean * mean / variance, 2 * pearson / inertia * mean / variance)
    ratio = 2 / inertia * (_gain(b, expected) + _gain(a, sums.astype(np.float64) - expected))
    return max(by_pearson, chi_squared_tail(k - 1, max(ratio, 0.0)))


def _pearson_variance(sums: Counts, n: int, m: int) -> float:
    """Return the variance of Pearson's statistic of two rows with these column sums, all margins given."""
    total, k = n + m, len(sums)
    v1, v2 = (total - 2) / (total - 1), (k - 1) * (total - k) / (total - 1)
    w1 = (total * (1 / n + 1 / m) - 4) / (total - 2)
    w2 = (total * float((1.0 / sums).sum()) - k * k) / (total - 2)
    return 2 * total / (total - 3) * (v1 - w1) * (v2 - w2) + total * total / (total - 1) * w1 * w2


def _gain(found: Counts, expected: Floats) -> float:
    some = found > 0
    return float((found[some] * np.log(found[some] / expected[some])).sum())


def same_order(first: npt.ArrayLike, second: npt.ArrayLike, inertia: float = 1.0) -> float:
    """Return Kolmogorov and Smirnov's p-value of two count vectors, shape (k,), over ordered slots.

    With Stephens's correction for finite samples. Conservative: gaps are seen at slots' ends only, and heavy slots make
    the true p smaller. On 256 slots it is `scipy.stats.ks_2samp` up to the binning.

    Raises
    ------
    InvariantError
        A side has no rows, or the shapes differ.

    References
    ----------
    Stephens (1970), "Use of the Kolmogorov-Smirnov, Cramer-von Mises and related statistics without extensive tables",
    Journal of the Royal Statistical Society B 32.
    """
    a, b, n, m = _sizes(first, second)
    root = math.sqrt(n * m / (n + m) / inertia)
    gap = float(np.abs(np.cumsum(a) / n - np.cumsum(b) / m).max())
    return kolmogorov_tail((root + 0.12 + 0.11 / root) * gap)


def same_rank(first: npt.ArrayLike, second: npt.ArrayLike, inertia: float = 1.0) -> float:
    """Return Wilcoxon's rank-sum p-value of two count vectors, shape (k,), over ordered slots: has the whole moved?

    Rows of one slot are ties and get their middle rank; the variance is that of all ways to share out the rows, so that
    heavy slots need no correction. The tail is that of a gamma distribution with the statistic's skewness, which
    matters where nearly all rows lie in one slot. For a shift of the mean it is far more powerful than Kolmogorov and
    Smirnov's test; a change of spread alone it does not see.

    Raises
    ------
    InvariantError
        A side has no rows, or the shapes differ.

    References
    ----------
    Lehmann (2006), "Nonparametrics", section 1.4 (ties) and appendix 8.
    """
    a, b, n, m = _sizes(first, second)
    total = n + m
    if total < 3:
        return 1.0
    sums = (a + b).astype(np.float64)
    rank = (np.cumsum(sums) - sums / 2) / total - 0.5
    spread = float((sums * rank**2).sum()) / total
    if spread <= 0:
        return 1.0
    deviation = math.sqrt(spread * n / (m * (total - 1)) * inertia)
    z = float((b * rank).sum()) / m / deviation
    third = float((sums * rank**3).sum()) / total / spread**1.5
    # Of a mean of m drawn without replacement out of all: the skewness of one, less what the rest takes of it.
    skewness = third / math.sqrt(m / inertia) * (n - m) / math.sqrt(n * total)
    return min(2 * _skewed_tail(abs(z), skewness if z > 0 else -skewness), 1.0)


def _skewed_tail(z: float, skewness: float) -> float:
    """Return the probability that a standardised variable of this skewness exceeds z >= 0: Pearson's type III."""
    shape = 4 / skewness**2 if skewness else math.inf
    if shape > _ALMOST_NORMAL:
        return math.erfc(z / math.sqrt(2)) / 2
    root = math.sqrt(shape)
    if skewness > 0:
        return chi_squared_tail(2 * shape, 2 * (shape + z * root))
    return 1 - chi_squared_tail(2 * shape, 2 * (shape - z * root)) if z < root else 0.0


def same_extremes(below: int, above: int, n: int, m: int, inertia: float = 1.0) -> float:
    """Return the exact two-sided p-value that so many of a window's m numbers lie outside the range of n others.

    When both are drawn alike, the k largest of all belong to the window with the probability
    ``m (m - 1) … / ((n + m)(n + m - 1) …)``, k factors each; likewise the smallest. Twice the smaller of the two. Ties
    make it conservative. It sees the few that lie far out: another unit, a broken sensor, a mixture.

    Parameters
    ----------
    below, above
        Numbers of the window below the least and above the greatest of the n.
    inertia
        Numbers that count as one; where it is above 1 the test is no longer exact.

    Raises
    ------
    InvariantError
        The counts cannot be.

    References
    ----------
    Rosenbaum (1954), "Tables for a nonparametric test of location", Annals of Mathematical Statistics 25.

    Examples
    --------
    >>> round(same_extremes(0, 2, 3, 3), 3)  # 2 (3/6) (2/5)
    0.4
    """
    if not (n > 0 and m > 0 and below >= 0 and above >= 0 and below + above <= m):
        raise InvariantError(f"{below} below and {above} above of {m}, beside {n}: no such counts can be")
    if inertia > 1:
        n, m = max(round(n / inertia), 1), max(round(m / inertia), 1)
        below, above = min(int(below / inertia), m), min(int(above / inertia), m)
    k = max(below, above)
    log_p = math.lgamma(m + 1) - math.lgamma(m - k + 1) + math.lgamma(n + m - k + 1) - math.lgamma(n + m + 1)
    return min(2 * math.exp(log_p), 1.0)


def same_share(found: int, m: int, together: int, total: int, inertia: float = 1.0) -> float:
    """Return the exact two-sided p-value that a kind of row is as frequent in a window as in the reference (Fisher).

    Twice the smaller tail of the hypergeometric distribution. Where `together` has no row there is nothing to test: 1.

    Parameters
    ----------
    found
        Rows of the kind in the window of `m` rows.
    together
        The same in window and reference, which have `total` rows together.
    inertia
        Rows that count as one; where it is above 1 the test is no longer exact.

    Raises
    ------
    InvariantError
        The counts cannot be.

    Examples
    --------
    >>> same_share(5, 10, 10, 20)
    1.0
    >>> same_share(25, 500, 25, 100_500) < 1e-50
    True
    """
    low, high = max(0, m + together - total), min(m, together)
    if not (0 <= m <= total and 0 <= together <= total and low <= found <= high):
        raise InvariantError(f"{found} of {m} and {together} of {total}: no such counts can be")
    if inertia > 1:
        n, rest = max(round((total - m) / inertia), 1), round((together - found) / inertia)
        m, found = max(round(m / inertia), 1), round(found / inertia)
        return same_share(min(found, m), m, min(found, m) + min(rest, n), n + m)
    if low == high:
        return 1.0
    mean = m * together / total
    deviation = math.sqrt(mean * (1 - together / total) * (total - m) / max(total - 1, 1))
    reach = int(_REACH * deviation) + _LEAST_REACH
    low, high = max(low, min(int(mean) - reach, found)), min(high, max(int(mean) + reach, found))
    x = np.arange(low, high, dtype=np.float64)
    ratios = (m - x) * (together - x) / ((x + 1) * (total - m - together + x + 1))
    weights = np.concatenate(([0.0], np.cumsum(np.log(ratios))))
    weights = np.exp(weights - weights.max())
    weights /= weights.sum()
    place = found - low
    return min(2 * min(float(weights[: place + 1].sum()), float(weights[place:].sum())), 1.0)
