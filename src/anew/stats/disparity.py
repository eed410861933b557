"""How differently groups are treated: the largest difference of a rate between two groups, with its interval."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri, stdtrit

from anew.domain.errors import InvariantError
from anew.stats.bound import Bounds
from anew.stats.column import Floats
from anew.stats.interval import mean_interval, wilson_interval

__all__ = ["DISPARITIES", "Disparity", "Flags", "Rates", "disparity", "disparity_excess", "rates_of"]

Flags = npt.NDArray[np.bool_]
Rates = Sequence[tuple[Flags, Floats]]
"""For each rate of a metric which rows count and what they contribute, in [0, 1]; shapes (n,)."""

DISPARITIES = ("demographic_parity", "equal_opportunity", "equalized_odds", "error")
"""Names of the metrics: differences of the selection rate, of the true positive rate, of the larger of true and false
positive rate, and of the mean loss."""

_LOOKED_AT = 100
"""Pairs of groups, those that are farthest apart, that are looked at for one that exceeds all of another model's."""


class Disparity(NamedTuple):
    """The largest difference between two groups, its interval, and the rows that it rests on."""

    value: float
    low: float
    high: float
    n: int


class _Rate(NamedTuple):
    value: float
    low: float
    high: float


def rates_of(metric: str, label: Flags, said: Flags) -> Rates:
    """Return the rates of a metric of binary tasks.

    Parameters
    ----------
    label, said
        Is the label, is the answer the positive one? Shape (n,).
    """
    up = said.astype(np.float64)
    match metric:
        case "demographic_parity":
            return ((np.ones(len(label), dtype=np.bool_), up),)
        case "equal_opportunity":
            return ((label, up),)
        case "equalized_odds":
            return ((label, up), (~label, up))
    raise InvariantError(f"there is no fairness metric {metric!r}; there are {', '.join(DISPARITIES)}")


def disparity(rates: Rates, group: npt.NDArray[np.intp], groups: int, confidence: float = 0.95) -> Disparity:
    """Return the largest difference of any of the rates between any two groups.

    Parameters
    ----------
    group
        Number of each row's group, from 0, shape (n,).

    Notes
    -----
    The interval holds for the true largest difference: each pair of groups has an interval of its own, by the method of
    variance estimates recovery from those of the two rates (Wilson's for rates, Student's for means), at a level that
    allows for the number of pairs (Bonferroni). The plain value is biased up by noise, the more the more groups; the
    interval's lower end is not.

    Raises
    ------
    InvariantError
        There are fewer than two groups, or one without a row that counts.

    References
    ----------
    Newcombe (1998), "Interval estimation for the difference between independent proportions", Statistics in Medicine
    17, method 10; Zou and Donner (2008), Statistics in Medicine 27, for anything that has an interval.

    Examples
    --------
    >>> said = np.array([1.0] * 80 + [0.0] * 20 + [1.0] * 50 + [0.0] * 50)
    >>> found = disparity([(np.ones(200, bool), said)], np.repeat([0, 1], 100), 2)
    >>> round(found.value, 2), found.low > 0.1
    (0.3, True)
    """
    if groups < 2:
        raise InvariantError(f"a disparity needs two groups, not {groups}")
    pairs = groups * (groups - 1) // 2 * len(rates)
    level = 1 - (1 - confidence) / pairs
    value, low, high = 0.0, 0.0, 0.0
    for counts, up in rates:
        found = [_rate(up[counts & (group == each)], level) for each in range(groups)]
        for i, first in enumerate(found):
            for second in found[i + 1 :]:
                larger, smaller = (first, second) if first.value >= second.value else (second, first)
                bounds = _difference(larger, smaller)
                value, low, high = (
                    max(value, larger.value - smaller.value),
                    max(low, bounds.low),
                    max(high, bounds.high),
                )
    return Disparity(value, low, high, len(group))


def _rate(up: Floats, level: float) -> _Rate:
    n = len(up)
    if n < 2:
        raise InvariantError("a group has fewer than two rows that count")
    mean = float(up.mean())
    if np.isin(up, (0.0, 1.0)).all():
        return _Rate(mean, *wilson_interval(float(up.sum()), n, level))
    return _Rate(mean, *mean_interval(n, mean, float(up.var(ddof=1)), level))


def _difference(larger: _Rate, smaller: _Rate) -> Bounds:
    difference = larger.value - smaller.value
    below = math.hypot(larger.value - larger.low, smaller.high - smaller.value)
    above = math.hypot(larger.high - larger.value, smaller.value - smaller.low)
    return Bounds(max(difference - below, 0.0), min(difference + above, 1.0))


def disparity_excess(
    ours: Rates, theirs: Rates, group: npt.NDArray[np.intp], groups: int, confidence: float = 0.95
) -> Disparity:
    """Return by how much the disparity of `ours` exceeds that of `theirs`, answers to the same rows.

    Parameters
    ----------
    ours, theirs
        The same rows count in both; a row in one rate at most.
    group
        Number of each row's group, from 0, shape (n,).

    Notes
    -----
    Ours is larger by more than some number when the difference between two groups, of ours, is larger by more than that
    than the one between any two groups, of theirs. Each such comparison is of means over the same rows, and the
    interval's lower end is where all of theirs are cleared: an intersection-union test, which allows for the number of
    pairs of ours alone (Bonferroni). The upper end is the same with the parts exchanged. Contributions of 0 and 1 have
    a half added to each of the four cells of a group, so that there is width where no row was up; others have Student's
    interval, with the degrees of freedom of the smallest group. A bootstrap would not do: both disparities are biased
    up by noise, by different amounts, and resampling doubles that.

    Raises
    ------
    InvariantError
        There are fewer than two groups, or one without two rows that count.

    References
    ----------
    Berger (1982), "Multiparameter hypothesis testing and acceptance sampling", Technometrics 24; Agresti and Min
    (2005), Statistics in Medicine 24, and Price and Bonett (2004), Computational Statistics and Data Analysis 45, for
    the halves; Andrews (2000), Econometrica 68, on the bootstrap of a maximum.

    Examples
    --------
    >>> chance = np.random.default_rng(1)
    >>> everybody, group = np.ones(900, bool), np.arange(900) % 3
    >>> theirs = chance.random(900) / 10
    >>> found = disparity_excess([(everybody, theirs + 0.2 * (group == 1))], [(everybody, theirs)], group, 3)
    >>> round(found.value, 2), found.low > 0.15
    (0.2, True)
    """
    if groups < 2:
        raise InvariantError(f"a disparity needs two groups, not {groups}")
    both = [(counts, up, other) for (counts, up), (_, other) in zip(ours, theirs, strict=True)]
    parts = [(up[rows], other[rows]) for counts, up, other in both for rows in _each(counts, group, groups)]
    least = min(len(up) for up, _ in parts)
    if least < 2:
        raise InvariantError("a group has fewer than two rows that count")
    plain = np.array([(up.mean(), other.mean()) for up, other in parts]).reshape(len(both), groups, 2)
    widest = np.ptp(plain, axis=1).max(axis=0)
    value = float(widest[0] - widest[1])
    binary = all(np.isin(each, (0.0, 1.0)).all() for part in parts for each in part)
    pairs = len(both) * groups * (groups - 1)
    tail = 1 - (1 - confidence) / pairs / 2
    width = float(ndtri(tail) if binary else stdtrit(least - 1, tail))
    found = np.array([_paired(up, other, halves=binary) for up, other in parts])
    low, high = _cleared(found, groups, width), -_cleared(found[:, [1, 0, 3, 2, 4]], groups, width)
    return Disparity(value, max(min(low, value), -1.0), min(max(high, value), 1.0), len(group))


def _each(counts: Flags, group: npt.NDArray[np.intp], groups: int) -> Iterator[Flags]:
    return (counts & (group == each) for each in range(groups))


def _paired(ours: Floats, theirs: Floats, *, halves: bool) -> tuple[float, float, float, float, float]:
    """Return the means of both, the variances of these means, and their covariance."""
    weight = np.ones(len(ours))
    if halves:
        ours, theirs = np.append(ours, [0, 0, 1, 1]), np.append(theirs, [0, 1, 0, 1])
        weight = np.append(weight, [0.5] * 4)
    n = weight.sum()
    mean, other = (weight * ours).sum() / n, (weight * theirs).sum() / n
    off, besides = ours - mean, theirs - other
    down = n * (n if halves else n - 1)
    spread = [float((weight * one * two).sum() / down) for one, two in ((off, off), (besides, besides), (off, besides))]
    return float(mean), float(other), spread[0], spread[1], spread[2]


def _cleared(found: Floats, groups: int, width: float) -> float:
    """Return by how much one difference of ours clearly exceeds all of theirs, at the most.

    Parameters
    ----------
    found
        What `_paired` returns for each rate and, within it, each group.
    width
        Standard errors between the middle of an interval and its end.
    """
    ours, theirs, our_spread, their_spread, shared = found.T
    number = np.arange(len(ours))
    one, two = np.nonzero((number[:, None] // groups == number // groups) & (number[:, None] != number))
    apart, their_apart = ours[one] - ours[two], theirs[one] - theirs[two]
    best = -1.0
    for pair in np.argsort(-apart)[:_LOOKED_AT]:
        first, second = one[pair], two[pair]
        together = shared[first] * ((one == first) * 1.0 - (two == first))
        together += shared[second] * ((two == second) * 1.0 - (one == second))
        spread = our_spread[first] + our_spread[second] + their_spread[one] + their_spread[two] - 2 * together
        best = max(best, float((apart[pair] - their_apart - width * np.sqrt(np.maximum(spread, 0.0))).min()))
    return best
