"""How differently groups are treated: the largest difference of a rate between two groups, with its interval."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from anew.domain.errors import InvariantError
from anew.stats.bound import Bounds
from anew.stats.column import Floats
from anew.stats.interval import mean_interval, wilson_interval

__all__ = ["DISPARITIES", "Disparity", "Flags", "disparity", "disparity_excess", "rate_flags"]

Flags = npt.NDArray[np.bool_]

DISPARITIES = ("demographic_parity", "equal_opportunity", "equalized_odds", "error")
"""Names of the metrics: differences of the selection rate, of the true positive rate, of the larger of true and false
positive rate, and of the mean loss."""

_RESAMPLES = 1_000


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


def rate_flags(metric: str, label: Flags, said: Flags) -> Sequence[tuple[Flags, Flags]]:
    """Return for each rate of a metric which rows count, and for which of them it is up.

    Parameters
    ----------
    label, said
        Is the label, is the answer the positive one? Shape (n,).
    """
    everybody = np.ones(len(label), dtype=np.bool_)
    match metric:
        case "demographic_parity":
            return ((everybody, said),)
        case "equal_opportunity":
            return ((label, said),)
        case "equalized_odds":
            return ((label, said), (~label, said))
    raise InvariantError(f"there is no fairness metric {metric!r}; there are {', '.join(DISPARITIES)}")


def disparity(
    rates: Sequence[tuple[Flags, Floats]], group: npt.NDArray[np.intp], groups: int, confidence: float = 0.95
) -> Disparity:
    """Return the largest difference of any of the rates between any two groups.

    Parameters
    ----------
    rates
        For each rate which rows count and what they contribute, in [0, 1]; shapes (n,).
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
    metric: str, label: Flags, ours: Flags, theirs: Flags, group: npt.NDArray[np.intp], confidence: float = 0.95
) -> Disparity:
    """Return by how much the disparity of `ours` exceeds that of `theirs`, answers to the same rows.

    The interval is a paired bootstrap's percentile one, seeded, drawn from counts: rows that agree in group, label and
    both answers are exchangeable, so that a resample is one draw of a multinomial.

    Raises
    ------
    InvariantError
        There are fewer than two groups.
    """
    groups = int(group.max()) + 1 if len(group) else 0
    if groups < 2:
        raise InvariantError(f"a disparity needs two groups, not {groups}")
    cell = ((group * 2 + label) * 2 + ours) * 2 + theirs
    counts = np.bincount(cell, minlength=groups * 8).astype(np.float64)
    chance = np.random.default_rng(0)
    drawn = chance.multinomial(len(group), counts / len(group), _RESAMPLES)
    found = _excess(metric, np.vstack([counts[None], drawn]).reshape(-1, groups, 2, 2, 2))
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(found[1:], [tail, 1 - tail])
    return Disparity(float(found[0]), float(low), float(high), len(group))


def _excess(metric: str, counts: Floats) -> Floats:
    """Return the excess of each resample; axes of `counts`: resample, group, label, our answer, their answer."""
    found = []
    for axis in (3, 4):
        other = 7 - axis
        by = counts.sum(axis=other)  # resample, group, label, answer
        if metric == "demographic_parity":
            rates = [by[:, :, :, 1].sum(axis=2) / _safe(by.sum(axis=(2, 3)))]
        else:
            wanted = (1,) if metric == "equal_opportunity" else (1, 0)
            rates = [by[:, :, each, 1] / _safe(by[:, :, each].sum(axis=2)) for each in wanted]
        found.append(np.max([np.nanmax(rate, axis=1) - np.nanmin(rate, axis=1) for rate in rates], axis=0))
    return np.asarray(found[0] - found[1])


def _safe(counts: Floats) -> Floats:
    return np.where(counts > 0, counts, np.nan)
