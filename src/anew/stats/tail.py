"""Tails of the distributions that drift is judged by: chi-squared, noncentral chi-squared and Kolmogorov's.

Our own, because importing `scipy.special` takes as long as profiling half a million rows. They agree with its `chdtrc`,
`chndtr`, `chndtrinc` and `kolmogorov` to nine digits or more.
"""

import math
from typing import NamedTuple

import numpy as np

from anew.domain.errors import InvariantError

__all__ = ["NoncentralShare", "chi_squared_tail", "kolmogorov_tail", "noncentral_share", "noncentrality"]

_EPSILON = 1e-16
_TINY = 1e-300
# Poisson mass beyond is less than a float64 share resolves.
_REACH = 9.0
_LEAST_REACH = 45
# Where the alternating series of Kolmogorov's distribution hands over to the dual one; either then needs few terms.
_DUAL_BELOW = 0.8
_MOST_STEPS = 100
# A step of Newton's squares the error: after one as small as this nothing is left of it.
_CLOSE = 1e-7


def chi_squared_tail(freedom: float, statistic: float) -> float:
    """Return the probability that chi-squared with so many degrees of freedom exceeds the statistic.

    Raises
    ------
    InvariantError
        `freedom` is not above 0, or the statistic is negative or NaN.

    References
    ----------
    The incomplete gamma function by its series below the mean and its continued fraction above it: Abramowitz and
    Stegun, 6.5.29 and 6.5.31; the fraction by Lentz's method.

    Examples
    --------
    >>> round(chi_squared_tail(9, 16.919), 4)
    0.05
    """
    _check(freedom, statistic)
    if math.isinf(statistic):
        return 0.0
    a, x = freedom / 2, statistic / 2
    return 1.0 - _series(a, x) if x < a + 1 else _fraction(a, x)


def _check(freedom: float, statistic: float) -> None:
    if not (freedom > 0 and statistic >= 0):
        raise InvariantError(f"freedom is above 0 and a statistic 0 or more, not {freedom} and {statistic}")


def _front(a: float, x: float) -> float:
    return math.exp(a * math.log(x) - x - math.lgamma(a))


def _series(a: float, x: float) -> float:
    """Return the regularised lower incomplete gamma function P(a, x); meant for x < a + 1."""
    if x <= 0:
        return 0.0
    term = total = 1.0 / a
    above = a
    while term > total * _EPSILON:
        above += 1.0
        term *= x / above
        total += term
    return min(total * _front(a, x), 1.0)


def _fraction(a: float, x: float) -> float:
    """Return the regularised upper incomplete gamma function Q(a, x); meant for x >= a + 1."""
    b = x + 1.0 - a
    c, d = 1.0 / _TINY, 1.0 / b
    found, step, i = d, 0.0, 0
    while abs(step - 1.0) > 8 * _EPSILON:
        i += 1
        b += 2.0
        d = 1.0 / ((i * (a - i) * d + b) or _TINY)
        c = (b + i * (a - i) / c) or _TINY
        step = c * d
        found *= step
    return min(found * _front(a, x), 1.0)


class NoncentralShare(NamedTuple):
    """A share of noncentral chi-squared, and how fast it falls as the noncentrality grows."""

    share: float
    slope: float


def noncentral_share(freedom: float, noncentral: float, statistic: float) -> NoncentralShare:
    """Return the probability that noncentral chi-squared is at most the statistic, to about 1e-13 in absolute terms.

    Raises
    ------
    InvariantError
        `freedom` is not above 0, or the statistic or the noncentrality is negative or NaN.

    References
    ----------
    A Poisson mixture of central ones: Johnson, Kotz and Balakrishnan (1995), "Continuous Univariate Distributions 2",
    equation 29.2.
    """
    _check(freedom, statistic)
    if not noncentral >= 0:
        raise InvariantError(f"a noncentrality is 0 or more, not {noncentral}")
    a, x, rate = freedom / 2, statistic / 2, noncentral / 2
    if x == 0:
        return NoncentralShare(0.0, 0.0)
    reach = _REACH * math.sqrt(rate)
    first, last = max(int(rate - reach), 0), int(rate + reach) + _LEAST_REACH
    steps = np.arange(first, last + 1, dtype=np.float64)
    # Logarithms of the Poisson weights up to a constant, which dividing by their sum removes.
    weights = np.zeros(len(steps))
    if rate > 0:
        np.cumsum(math.log(rate) - np.log(steps[1:]), out=weights[1:])
        weights = np.exp(weights - weights.max())
    else:
        weights[0] = 1.0
    weights /= weights.sum()
    # P(a, x) = P(a + 1, x) + x**a exp(-x) / gamma(a + 1): from the last term down, all that is added is positive.
    terms = np.empty(len(steps))
    terms[0] = (a + first) * math.log(x) - x - math.lgamma(a + first + 1)
    np.cumsum(math.log(x) - np.log(a + steps[1:]), out=terms[1:])
    terms[1:] += terms[0]
    np.exp(terms, out=terms)
    top = a + last + 1
    beyond = _series(top, x) if x < top + 1 else 1.0 - _fraction(top, x)
    shares = beyond + np.cumsum(terms[::-1])[::-1]
    return NoncentralShare(min(float((weights * shares).sum()), 1.0), -float((weights * terms).sum()) / 2)


def noncentrality(freedom: float, statistic: float, share: float) -> float:
    """Return the noncentrality at which the statistic is not exceeded with this probability; 0 if it is less at 0.

    Raises
    ------
    InvariantError
        `freedom` or `statistic` are as in `noncentral_share`, or `share` is not between 0 and 1.
    """
    _check(freedom, statistic)
    if not 0 < share < 1:
        raise InvariantError(f"a share to be undershot lies between 0 and 1, not {share}")
    if 1.0 - chi_squared_tail(freedom, statistic) <= share:
        return 0.0
    # Newton's steps, from where a normal distribution would have it, within what is known to hold it.
    z = _quantile(share)
    root = 2.0 * math.sqrt(max(z * z + statistic - freedom / 2, 0.0)) - 2.0 * z
    at = max((root * root - 2.0 * freedom) / 4, statistic * 1e-3)
    low, high = 0.0, math.inf
    for _ in range(_MOST_STEPS):
        found = noncentral_share(freedom, at, statistic)
        excess = found.share - share
        low, high = (at, high) if excess > 0 else (low, at)
        after = at - excess / found.slope if found.slope < 0 else math.inf
        if not low < after < high:
            after = (low + high) / 2 if math.isfinite(high) else 2 * at + 1
        if abs(after - at) <= _CLOSE * after:
            return after
        at = after
    return at


def _quantile(share: float) -> float:
    """Return the normal distribution's quantile to 5e-4, enough to start from: Abramowitz and Stegun 26.2.23."""
    t = math.sqrt(-2.0 * math.log(min(share, 1.0 - share)))
    z = t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308)))
    return z if share > 0.5 else -z


def kolmogorov_tail(scaled: float) -> float:
    """Return the probability that Kolmogorov's statistic, the distance times the root of its weight, exceeds `scaled`.

    Raises
    ------
    InvariantError
        `scaled` is negative or NaN.

    References
    ----------
    Marsaglia, Tsang and Wang (2003), "Evaluating Kolmogorov's distribution", Journal of Statistical Software 8(18):
    the limiting distribution and its dual form.

    Examples
    --------
    >>> round(kolmogorov_tail(1.3581), 4)
    0.05
    """
    if not scaled >= 0:
        raise InvariantError(f"a distance is 0 or more, not {scaled}")
    if scaled == 0:
        return 1.0
    if scaled < _DUAL_BELOW:
        rate = (math.pi / scaled) ** 2 / 8
        return 1.0 - math.sqrt(2 * math.pi) / scaled * sum(math.exp(-rate * odd * odd) for odd in (1, 3, 5, 7))
    terms = (math.exp(-2.0 * (k * scaled) ** 2) * (1 if k % 2 else -1) for k in range(1, 8))
    return min(2.0 * sum(terms), 1.0)
