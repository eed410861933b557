"""Maximum mean discrepancy: do two samples of points come from one distribution, in whatever way they might differ?"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from anew.domain.errors import InvariantError

__all__ = ["Discrepancy", "mmd"]

Floats = npt.NDArray[np.float64]

_PERMUTATIONS = 999
_BATCH = 999
_ENOUGH = 10
"""Permutations as far apart as the samples, among the first 999, after which no more are drawn."""
_LEAST = 10


class Discrepancy(NamedTuple):
    """The squared discrepancy, and its p-value, of which one over the permutations and one is the least."""

    value: float
    p_value: float


def mmd(
    first: Floats, second: Floats, *, width: float | None = None, seed: int = 0, permutations: int = _PERMUTATIONS
) -> Discrepancy:
    """Return the squared maximum mean discrepancy of two samples, by a Gaussian kernel, with a permutation test.

    Parameters
    ----------
    first, second
        Shapes (n, d) and (m, d), 10 points or more each; memory and time grow with (n + m)².
    width
        Of the kernel ``exp(-|x - y|² / (2 width²))``; None: the median distance of all points from each other.
    seed
        Of the permutations.
    permutations
        999 or more. Of more than 999 the rest are drawn where the first leave a p-value of 0.01 or less; what was clear
        by then stays so, and the p-value is valid either way.

    Returns
    -------
    Discrepancy
        The unbiased estimate: about 0 without a difference, and then below it as often as above. Equals Evidently's of
        the same width. The p-value is exact: without a difference it is at most alpha with the probability alpha or
        less.

    Raises
    ------
    InvariantError
        There are too few points or permutations, points have not one number of coordinates, or one is not finite.

    References
    ----------
    Gretton, Borgwardt, Rasch, Schölkopf and Smola (2012), "A kernel two-sample test", JMLR 13, lemma 6 and section 8
    (the median); Phipson and Smyth (2010), "Permutation p-values should never be zero"; to stop early Besag and
    Clifford (1991), "Sequential Monte Carlo p-values", Biometrika 78.

    Examples
    --------
    >>> chance = np.random.default_rng(1)
    >>> mmd(chance.normal(size=(100, 2)), chance.normal(0.8, size=(100, 2))).p_value
    0.001
    """
    if first.ndim != 2 or first.shape[1:] != second.shape[1:] or min(len(first), len(second)) < _LEAST:
        raise InvariantError(f"{_LEAST} points on both sides, (n, d) and (m, d): found {first.shape}, {second.shape}")
    points = np.concatenate((first, second))
    if not np.isfinite(points).all():
        raise InvariantError("points have finite coordinates")
    if permutations < _PERMUTATIONS:
        raise InvariantError(f"{permutations} permutations; {_PERMUTATIONS} are the least")
    squares = np.square(points).sum(axis=1)
    apart = np.maximum(squares[:, None] + squares - 2 * points @ points.T, 0.0)
    np.fill_diagonal(apart, 0.0)
    if width is None:
        width = float(np.sqrt(np.median(apart[np.triu_indices(len(points), 1)]))) or 1.0
    kernel = np.exp(-apart / (2 * width * width))
    np.fill_diagonal(kernel, 0.0)
    n, total = len(first), len(points)
    found = _unbiased(kernel, (np.arange(total) < n)[:, None].astype(np.float64), n, total - n)[0]
    # Rounding must not make an equal permutation a lesser one.
    least = found - 1e-12 * abs(found)
    chance = np.random.default_rng(seed)
    larger, drawn = 0, 0
    for size in _batches(permutations):
        larger += int((_permuted(kernel, n, size, chance) >= least).sum())
        drawn += size
        if drawn == _BATCH and larger >= _ENOUGH:  # only here: to look after each batch would not be valid
            break
    return Discrepancy(float(found), (larger + 1) / (drawn + 1))


def _batches(permutations: int) -> Iterator[int]:
    for drawn in range(0, permutations, _BATCH):
        yield min(_BATCH, permutations - drawn)


def _permuted(kernel: Floats, n: int, size: int, chance: np.random.Generator) -> Floats:
    """Return the estimate for so many random ways of taking n of the points as the first sample."""
    total = len(kernel)
    first = np.broadcast_to((np.arange(total) < n)[:, None], (total, size)).astype(np.float64)
    return _unbiased(kernel, chance.permuted(first, axis=0), n, total - n)


def _unbiased(kernel: Floats, marks: Floats, n: int, m: int) -> Floats:
    """Return the estimate for each way of marking n of the points, shape (n + m, k), as the first sample."""
    within = (marks * (kernel @ marks)).sum(axis=0)
    touching = kernel.sum(axis=1) @ marks
    other = kernel.sum() - 2 * touching + within
    found: Floats = within / (n * (n - 1)) + other / (m * (m - 1)) - 2 * (touching - within) / (n * m)
    return found
