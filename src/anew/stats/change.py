"""Has a column changed, by more than a margin? One p-value from its two profiles that holds far out in the tail."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from anew.domain.errors import InvariantError
from anew.stats.bound import Bounds
from anew.stats.column import ColumnProfile, Counts
from anew.stats.distance import coarsen, psi, quantile_groups
from anew.stats.homogeneity import same_extremes, same_order, same_rank, same_share, same_shares
from anew.stats.significance import psi_bias, psi_interval, psi_significance

__all__ = ["Change", "measure_change"]

_LEAST_EXPECTED = 5.0
_GROUPS = 10
_INTERVAL_BELOW = 0.05
"""p-value from which on the interval of the size, which takes longer than all else, is of no use to anybody."""
_MARGIN_BELOW = 0.5

_Weighted = list[tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is known of a column's change.

    Parameters
    ----------
    p_value
        That nothing changed: see `measure_change`.
    p_beyond
        That the index is at most the margin; never below `p_value`.
    size
        Population stability index on ten groups or pooled levels, less its bias, 0 or more.
    interval
        Of the true index; None where `p_value` is above 0.05.
    n
        Rows of the window.
    """

    p_value: float
    p_beyond: float
    size: float
    interval: Bounds | None
    n: int


def measure_change(
    reference: ColumnProfile,
    current: ColumnProfile,
    *,
    margin: float = 0.0,
    confidence: float = 0.95,
    inertia: float = 1.0,
) -> Change | None:
    """Measure one column; None if a side has no rows.

    The p-value is that of several tests, each of which sees what the others are blind to, by a weighted Bonferroni
    correction. Numbers: rank sum and Kolmogorov-Smirnov on all bins, shares of ten groups, Rosenbaum's test of those
    beyond the reference's range, and Fisher's exact test for each of infinite, NaN and null. Levels: shares of those
    expected five times or more, and Fisher's test for all the rare ones together (new ones among them) and for null.
    Tests that no row bears on are left out.

    What is rare is told by the rows of both sides together, which keeps the tests exact: told by the reference alone,
    levels that were frequent in it by chance would seem to become rarer. For the same reason, where the reference had
    more levels than its vocabulary holds, only those well above the last one held are looked at by themselves; a new
    level is then not told from the others that do not stand in it.

    Parameters
    ----------
    margin
        Population stability index up to which a change does not matter; see `psi_significance`.
    inertia
        Rows that count as one, because they resemble those before them; see `anew.stats.inertia`.

    Raises
    ------
    InvariantError
        The two are on different bins, the margin is negative or the inertia below 1.
    """
    if reference.edges != current.edges:
        raise InvariantError(f"columns are compared on the same bins: {reference.edges} is not {current.edges}")
    if not (margin >= 0 and 1 <= inertia < float("inf")):
        raise InvariantError(f"a margin is 0 or more and inertia 1 or more, not {margin} and {inertia}")
    if not reference.n or not current.n:
        return None
    tests = (_numbers if reference.kind == "numeric" else _levels)(reference.counts, current.counts, inertia)
    whole = sum(weight for _, weight in tests)
    p_value = min((p * whole / weight for p, weight in tests), default=1.0)
    p_value = min(p_value, 1.0)
    first, second = coarsen(reference, current)
    n, m, bins = reference.n / inertia, current.n / inertia, len(first)
    size = max(psi(first, second), 0.0)
    p_beyond = p_value
    if margin > 0 and p_value <= _MARGIN_BELOW:
        p_beyond = max(p_value, psi_significance(size, n, m, bins, margin))
    interval = psi_interval(size, n, m, bins, confidence) if p_value <= _INTERVAL_BELOW else None
    return Change(
        p_value=p_value,
        p_beyond=p_beyond,
        size=max(size - psi_bias(n, m, bins), 0.0),
        interval=interval,
        n=current.n,
    )


def _numbers(first: Counts, second: Counts, inertia: float) -> _Weighted:
    """Return p-values and weights of the tests of a numeric column."""
    infinite = [int(side[0] + side[-3]) for side in (first, second)]
    special = [infinite, [int(first[-2]), int(second[-2])], [int(first[-1]), int(second[-1])]]
    n, m = int(first.sum()), int(second.sum())
    tests = [(same_share(now, m, then + now, n + m, inertia), 0.1) for then, now in special if then + now]
    ordered = first[:-2], second[:-2]
    if ordered[0].any() and ordered[1].any():
        tests += [(same_rank(*ordered, inertia), 0.35), (same_order(*ordered, inertia), 0.3)]
    slots = quantile_groups(first, _GROUPS)[1:-3]
    a, b = (np.bincount(slots, side[1:-3], _GROUPS).astype(np.int64) for side in (first, second))
    if a.any() and b.any():
        tests.append((same_shares(*_merged(a, b, inertia), inertia), 0.25))
        outside = int(second[1]), int(second[-4])
        tests.append((same_extremes(*outside, int(a.sum()), int(b.sum()), inertia), 0.1))
    return tests


def _merged(first: Counts, second: Counts, inertia: float) -> tuple[Counts, Counts]:
    """Return ordered groups of which each is expected five times or more on both sides, from left to right."""
    sums = first + second
    needed = inertia * _needed(int(first.sum()), int(second.sum()))
    group, held, found = 0, 0, []
    for each in sums.tolist():
        found.append(group)
        held += each
        if held >= needed:
            group, held = group + 1, 0
    # What is left over at the right end goes to the last group that is full.
    slots = np.minimum(found, max(group - 1, 0))
    size = int(slots.max()) + 1
    return (
        np.bincount(slots, first, size).astype(np.int64),
        np.bincount(slots, second, size).astype(np.int64),
    )


def _needed(n: int, m: int) -> float:
    """Return the rows of both sides together from which on a slot is expected often enough on either."""
    return _LEAST_EXPECTED * (n + m) / min(n, m)


def _levels(first: Counts, second: Counts, inertia: float) -> _Weighted:
    """Return p-values and weights of the tests of a categorical column."""
    n, m = int(first.sum()), int(second.sum())
    sums = (first + second)[:-3]
    least = inertia * _needed(n, m)
    if first[-3] and len(sums):
        cut = float(first[:-3].min())
        least = max(least, (cut + 4 * cut**0.5 + 4) * (n + m) / n)
    usual: npt.NDArray[np.bool_] = sums >= least
    a, b = first[:-3][usual], second[:-3][usual]
    tests = []
    if a.any() and b.any() and len(a) > 1:
        tests.append((same_shares(a, b, inertia), 0.7))
    nulls, none = int(second[-1]), int(first[-1] + second[-1])
    rare, both = int(second[:-1].sum() - b.sum()), int((first + second)[:-1].sum() - a.sum() - b.sum())
    if none:
        tests.append((same_share(nulls, m, none, n + m, inertia), 0.1))
    if both:
        tests.append((same_share(rare, m, both, n + m, inertia), 0.2))
    return tests
