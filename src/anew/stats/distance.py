"""Distances between two columns' counts on the same bins.

Each takes the reference first and the current window second, as column profiles or as plain count vectors of one shape
(k,), and needs at least one row on either side. A distance is a size, not evidence: see `anew.stats.significance`.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from anew.domain.errors import InvariantError
from anew.stats.column import ColumnProfile, Counts, Floats
from anew.stats.tail import chi_squared_tail

__all__ = [
    "ChiSquared",
    "CoarsePSI",
    "Countable",
    "chi_squared",
    "coarse_psi",
    "coarsen",
    "js",
    "kl",
    "ks",
    "psi",
    "psi_deciles",
    "quantile_groups",
    "total_variation",
    "wasserstein",
]

Countable: TypeAlias = "ColumnProfile | npt.ArrayLike"

_EMPTY_SHARE = 1e-4  # what credit-risk practice, and Evidently, puts for an empty bin
_NO_ROWS = "a distance needs rows on both sides: an empty window is no evidence"
_GROUPS = 10  # deciles
_SPECIAL = 4  # -infinity, +infinity, NaN and null
_LEAST_EXPECTED = 5.0  # the usual rule for a chi-squared cell


def _pair(reference: Countable, current: Countable) -> tuple[Counts, Counts]:
    """Return both count vectors without the slots that are empty on both sides."""
    if isinstance(reference, ColumnProfile) and isinstance(current, ColumnProfile):
        _comparable(reference, current)
        first, second = reference.counts, current.counts
    elif isinstance(reference, ColumnProfile) or isinstance(current, ColumnProfile):
        raise InvariantError("compare two column profiles or two count vectors, not one of each")
    else:
        first, second = np.asarray(reference), np.asarray(current)
        if first.shape != second.shape or first.ndim != 1:
            raise InvariantError(f"count vectors have one shape (k,), not {first.shape} and {second.shape}")
    if not first.sum() > 0 or not second.sum() > 0:
        raise InvariantError(_NO_ROWS)
    held = (first > 0) | (second > 0)
    return first[held], second[held]


def _comparable(reference: ColumnProfile, current: ColumnProfile) -> None:
    if reference.edges != current.edges:
        raise InvariantError(f"distances need the same bins: {reference.edges} is not {current.edges}")


def _jeffreys(counts: Counts) -> Floats:
    smoothed = counts + 0.5
    shares: Floats = smoothed / smoothed.sum()
    return shares


def _index(p: Floats, q: Floats) -> float:
    return float(((q - p) * np.log(q / p)).sum())


def psi(reference: Countable, current: Countable) -> float:
    """Return the population stability index over all slots, natural logarithm.

    Binning: as counted (for a profile up to 256 bins and the slots for null, NaN and the rest), without slots empty on
    both sides. Smoothing: Jeffreys, +0.5 on each count. Bias without drift: about (B - 1)(1/n + 1/m), large for 256
    bins and small windows. With the same bins and smoothing it equals Evidently's and NannyML's formula; it is the
    symmetric Kullback-Leibler divergence.

    Raises
    ------
    InvariantError
        A side has no rows, or the bins differ.
    """
    first, second = _pair(reference, current)
    return _index(_jeffreys(first), _jeffreys(second))


def psi_deciles(reference: Countable, current: Countable) -> float:
    """Return the population stability index of credit-risk convention; what a user's "PSI above 0.25" means.

    Binning: `coarsen` (ten reference deciles with open ends, or pooled levels, and the special slots); count vectors as
    they are. Smoothing: none, but an empty share counts as 1e-4. Natural logarithm. Bias without drift: about
    (B - 1)(1/n + 1/m), 0.02 for a window of 450 rows. Equals the textbook index on reference deciles (Siddiqi 2006,
    "Credit Risk Scorecards"), and Evidently's and frouros's formula on the same bins.

    Raises
    ------
    InvariantError
        A side has no rows, or the bins differ.

    Examples
    --------
    >>> round(psi_deciles([50, 50], [60, 40]), 4)
    0.0405
    """
    first, second = coarsen(reference, current)
    p, q = first / first.sum(), second / second.sum()
    return _index(np.where(p > 0, p, _EMPTY_SHARE), np.where(q > 0, q, _EMPTY_SHARE))


class CoarsePSI(NamedTuple):
    """The index of credit-risk convention, that with Jeffreys smoothing on the same groups, and what both rest on.

    Parameters
    ----------
    deciles, smoothed
        As `psi_deciles` has it, and `psi` of the counts of `coarsen`.
    n, m
        Rows of the reference and of the window.
    groups
        Groups that are not empty on both sides.
    """

    deciles: float
    smoothed: float
    n: int
    m: int
    groups: int


def coarse_psi(columns: Sequence[tuple[ColumnProfile, ColumnProfile]]) -> list[CoarsePSI]:
    """Return `psi_deciles` and the smoothed index of many numeric columns at once, each reference first.

    Raises
    ------
    InvariantError
        Of a column a side has no rows, or the bins differ.
    """
    if not columns:
        return []
    for reference, current in columns:
        _comparable(reference, current)
    width = _GROUPS + _SPECIAL
    slots = np.concatenate([quantile_groups(reference.counts, _GROUPS) for reference, _ in columns])
    slots += np.repeat(np.arange(len(columns)) * width, [len(reference.counts) for reference, _ in columns])
    first, second = (
        np.bincount(slots, np.concatenate([pair[side].counts for pair in columns]), len(columns) * width).reshape(
            -1, width
        )
        for side in (0, 1)
    )
    n, m = first.sum(axis=1, keepdims=True), second.sum(axis=1, keepdims=True)
    if not (n.all() and m.all()):
        raise InvariantError(_NO_ROWS)
    held = (first > 0) | (second > 0)
    p, q = (np.where(side > 0, side / rows, _EMPTY_SHARE) for side, rows in ((first, n), (second, m)))
    deciles = np.where(held, (q - p) * np.log(q / p), 0.0).sum(axis=1)
    groups = held.sum(axis=1)
    p, q = ((side + 0.5) / (rows + groups[:, None] / 2) for side, rows in ((first, n), (second, m)))
    smoothed = np.where(held, (q - p) * np.log(q / p), 0.0).sum(axis=1)
    rows = zip(
        deciles.tolist(), smoothed.tolist(), n.ravel().tolist(), m.ravel().tolist(), groups.tolist(), strict=True
    )
    return [CoarsePSI(index, smooth, int(a), int(b), kept) for index, smooth, a, b, kept in rows]


def kl(reference: Countable, current: Countable) -> float:
    """Return the Kullback-Leibler divergence KL(current || reference) in nats.

    Binning: as counted. Smoothing: Jeffreys, +0.5. Bias without drift: about half of PSI's. Equals
    `scipy.stats.entropy(current, reference)` on the smoothed counts; Evidently takes the other direction, and 1e-4 for
    an empty bin.

    Raises
    ------
    InvariantError
        A side has no rows, or the bins differ.
    """
    first, second = _pair(reference, current)
    p, q = _jeffreys(first), _jeffreys(second)
    return float((q * np.log(q / p)).sum())


def js(reference: Countable, current: Countable) -> float:
    """Return the Jensen-Shannon distance, base 2: from 0 (same shares) to 1 (nothing in common).

    Binning: as counted. No smoothing. It is the root of a divergence, so that its bias without drift shrinks only as
    the root of the window. Equals `scipy.spatial.distance.jensenshannon(base=2)`, and NannyML's distance on the same
    bins; Evidently's, with the natural logarithm, is this one times the root of ln 2.

    Raises
    ------
    InvariantError
        A side has no rows, or the bins differ.
    """
    first, second = _pair(reference, current)
    p, q = first / first.sum(), second / second.sum()
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        bits = np.where(p > 0, p * np.log2(p / middle), 0.0) + np.where(q > 0, q * np.log2(q / middle), 0.0)
    return float(np.sqrt(max(bits.sum() / 2, 0.0)))


def total_variation(reference: Countable, current: Countable) -> float:
    """Return the total variation distance: the share of rows that would have to move, 0 to 1.

    Binning: as counted. No smoothing. Biased up without drift, by about the root of k / m. Half the L1 distance;
    NannyML's "L-infinity" is its largest single term; `scipy.stats.wasserstein_distance_nd` between levels that are all
    one apart equals it.

    Raises
    ------
    InvariantError
        A side has no rows, or the bins differ.
    """
    first, second = _pair(reference, current)
    return float(np.abs(first / first.sum() - second / second.sum()).sum() / 2)


def ks(reference: ColumnProfile, current: ColumnProfile) -> float:
    """Return the Kolmogorov-Smirnov distance of two numeric columns: the largest gap of their distribution functions.

    Binning: as counted, gaps are seen at edges only, so at most by a bin's mass (3e-4 in practice with 256 bins) too
    small. NaN and null take no part. Bias without drift: about 0.87 times the root of 1/n + 1/m. Equals
    `scipy.stats.ks_2samp(...).statistic`, NannyML's and alibi-detect's up to the bins.

    Raises
    ------
    InvariantError
        A side has no numbers, the bins differ or the column is categorical.
    """
    return float(np.abs(_gap(reference, current, slice(0, -2))).max())


def _gap(reference: ColumnProfile, current: ColumnProfile, slots: slice) -> Floats:
    if reference.kind != "numeric" or current.kind != "numeric" or reference.edges != current.edges:
        raise InvariantError("this distance needs two numeric columns on the same bins")
    first, second = reference.counts[slots], current.counts[slots]
    if not first.any() or not second.any():
        raise InvariantError("a distance needs numbers on both sides: an empty window is no evidence")
    gap: Floats = np.cumsum(first) / first.sum() - np.cumsum(second) / second.sum()
    return gap


def wasserstein(reference: ColumnProfile, current: ColumnProfile) -> float:
    """Return the first Wasserstein (earth mover's) distance over the reference's interquartile range.

    Binning: the mass of each slot sits at that slot's own mean, below and above included, so that shifts within and
    outside the reference's range are seen. Infinite values, NaN and null take no part. Over the standard deviation
    where the interquartile range is 0, over 1 where both are. Not robust: one value of 1e6 counts in full. Bias without
    drift: about the root of 1/n + 1/m for a normal column, two thirds of that for a uniform one. Equals
    `scipy.stats.wasserstein_distance(...) / iqr` to about 1 % of the interquartile range; NannyML's is not divided by
    anything, Evidently's by the reference's standard deviation.

    Raises
    ------
    InvariantError
        A side has no finite numbers, the bins differ or the column is categorical.
    """
    _gap(reference, current, slice(1, -3))
    x, p = _points(reference)
    y, q = _points(current)
    with np.errstate(over="ignore"):
        places = np.concatenate((x, y))
        order = np.argsort(places, kind="stable")
        gap = np.abs(np.cumsum(np.concatenate((p, -q))[order]))[:-1]
        distance = float((gap * np.diff(places[order])).sum())
    low, high = x[np.searchsorted(np.cumsum(p), [0.25, 0.75])]
    return distance / (float(high - low) or (reference.variance or 0.0) ** 0.5 or 1.0)


def _points(column: ColumnProfile) -> tuple[Floats, Floats]:
    counts, sums = column.counts[1:-3], column.sums[1:-3]
    held = counts > 0
    # Means of neighbouring atoms may cross by a rounding of their sums.
    return np.maximum.accumulate(sums[held] / counts[held]), counts[held] / counts.sum()


class ChiSquared(NamedTuple):
    """Pearson's statistic, its degrees of freedom and its p-value."""

    statistic: float
    freedom: int
    p_value: float


def chi_squared(reference: Countable, current: Countable) -> ChiSquared:
    """Return Pearson's two-sample chi-squared test; the reference is a sample too.

    Binning: count vectors as they are (pool rare levels yourself); profiles through `coarsen`. No smoothing, no Yates
    correction. Equals `scipy.stats.chi2_contingency(correction=False)`; from three levels on NannyML's and
    alibi-detect's too. Evidently and whylogs take the reference as exact, which understates p for a small reference.

    Raises
    ------
    InvariantError
        A side has no rows, or the bins differ.
    """
    first, second = coarsen(reference, current)
    n, m = first.sum(), second.sum()
    expected = (first + second) / (n + m)
    # Both samples deviate from the pooled shares by the same number of rows, up to sign.
    statistic = float(((first - n * expected) ** 2 / expected).sum() * (1 / n + 1 / m))
    freedom = len(first) - 1
    return ChiSquared(statistic, freedom, chi_squared_tail(freedom, statistic) if freedom else 1.0)


def coarsen(reference: Countable, current: Countable, groups: int = _GROUPS) -> tuple[Counts, Counts]:
    """Return both columns' counts on few well filled slots, each of shape (b,); slots empty on both sides are left out.

    Numeric: `groups` quantile groups of the reference, the outer ones open, then -infinity, +infinity, NaN and null. A
    value so heavy that it spans groups stays whole. Categorical: the levels; those that the reference leads to expect
    fewer than 5 times in the window are pooled with other; then new and null. Count vectors are returned as they are.

    Raises
    ------
    InvariantError
        A side has no rows, or the bins differ.
    """
    held = _pair(reference, current)
    if not isinstance(reference, ColumnProfile) or not isinstance(current, ColumnProfile):
        return held
    slots = (
        quantile_groups(reference.counts, groups)
        if reference.kind == "numeric"
        else _pools(reference.counts, current.n)
    )
    size = int(slots.max()) + 1
    first, second = (np.bincount(slots, side.counts, size).astype(np.int64) for side in (reference, current))
    some = (first > 0) | (second > 0)
    return first[some], second[some]


def quantile_groups(counts: Counts, groups: int) -> Counts:
    """Return for each slot of a numeric column, shape (k,), the quantile group of the reference that it goes to.

    The outer groups are open; -infinity, +infinity, NaN and null go to groups of their own, `groups` and above.
    """
    return _quantile_groups(counts.tobytes(), groups)


@lru_cache(maxsize=4096)
def _quantile_groups(counts: bytes, groups: int) -> Counts:
    """Group them once for a reference, which every window is compared with."""
    inner = np.frombuffer(counts, dtype=np.int64)[1:-3]
    total = max(int(inner.sum()), 1)
    # A bin goes where its middle lies.
    group = np.minimum((groups * (np.cumsum(inner) - inner / 2) / total).astype(np.int64), groups - 1)
    found = np.concatenate(([groups], group, groups + np.array([1, 2, 3])))
    found.setflags(write=False)
    return found


def _pools(counts: Counts, window: int) -> Counts:
    """Return for each slot of a categorical column the pool that it goes to."""
    usual = counts[:-2] * (window / counts.sum()) >= _LEAST_EXPECTED
    usual[-1] = False  # other is the pool
    level = np.where(usual, np.cumsum(usual), 0)
    return np.concatenate((level, int(level.max()) + np.array([1, 2])))
