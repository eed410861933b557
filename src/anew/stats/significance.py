"""From a distance to evidence: p-values, corrected sizes and intervals, from counts alone."""

import math
from typing import NamedTuple

from anew.domain.errors import InvariantError
from anew.stats.bound import Bounds
from anew.stats.column import ColumnProfile
from anew.stats.distance import Countable, coarsen, ks, psi
from anew.stats.tail import chi_squared_tail, kolmogorov_tail, noncentral_share, noncentrality

__all__ = ["PSIEvidence", "ks_significance", "psi_bias", "psi_evidence", "psi_interval", "psi_significance"]


def _weight(n: float, m: float) -> float:
    if not (n > 0 and m > 0):
        raise InvariantError(f"significance needs rows on both sides, not {n} and {m}")
    return n * m / (n + m)


def psi_bias(n: float, m: float, bins: int) -> float:
    """Return what PSI is on average when nothing has drifted: (bins - 1)(1/n + 1/m).

    It holds where each bin is expected 5 times or more; hence `coarsen`.
    """
    return max(bins - 1, 0) / _weight(n, m)


def psi_significance(psi: float, n: float, m: float, bins: int, delta: float = 0.0) -> float:
    """Return the p-value of a PSI between n reference and m current rows on `bins` bins.

    Without drift ``nm / (n + m) * PSI`` is chi-squared with bins - 1 degrees of freedom; at a true PSI of `delta` it is
    noncentral with lambda = ``delta * nm / (n + m)``, which tests H0: PSI <= delta, a margin below which nobody cares.
    The approximation is local: it is meant for deltas up to about 0.1 and bins expected 5 times or more. Floored at
    1e-16 when `delta` is above 0.

    Raises
    ------
    InvariantError
        A side has no rows, or `psi` or `delta` is negative or NaN.

    References
    ----------
    Yurdakul and Naranjo (2020), "Statistical properties of the population stability index", Journal of Risk Model
    Validation 14.

    Examples
    --------
    >>> psi_significance(0.05, 100_000, 500, 10) < 0.01
    True
    """
    if not (psi >= 0 and delta >= 0):
        raise InvariantError(f"PSI and its margin are 0 or more, not {psi} and {delta}")
    weight = _weight(n, m)
    if bins < 2:
        return 1.0
    if delta == 0:
        return chi_squared_tail(bins - 1, weight * psi)
    return max(1.0 - noncentral_share(bins - 1, weight * delta, weight * psi).share, 1e-16)


def psi_interval(psi: float, n: float, m: float, bins: int, confidence: float = 0.95) -> Bounds:
    """Return an interval of the true PSI: those margins that the noncentral test does not reject on either side.

    Raises
    ------
    InvariantError
        A side has no rows, `psi` is negative or `confidence` not between 0 and 1.
    """
    if not psi >= 0 or not 0 < confidence < 1:
        raise InvariantError(f"PSI is 0 or more and confidence between 0 and 1, not {psi} and {confidence}")
    weight = _weight(n, m)
    if bins < 2:
        return Bounds(0.0, 0.0)
    tail = (1 - confidence) / 2
    statistic = weight * psi
    low = noncentrality(bins - 1, statistic, 1 - tail)
    return Bounds(low / weight, noncentrality(bins - 1, statistic, tail) / weight)


class PSIEvidence(NamedTuple):
    """A PSI with what it is worth.

    Parameters
    ----------
    psi
        On coarse slots with Jeffreys smoothing.
    corrected
        Less its bias; below 0 by chance.
    interval
        Of the true PSI.
    p_value
        Of H0: PSI <= delta.
    bins, n, m
        Slots compared, reference rows, current rows.
    """

    psi: float
    corrected: float
    interval: Bounds
    p_value: float
    bins: int
    n: int
    m: int


def psi_evidence(
    reference: Countable, current: Countable, *, delta: float = 0.0, confidence: float = 0.95
) -> PSIEvidence:
    """Measure the drift of a column on the slots of `coarsen`, with its significance.

    Raises
    ------
    InvariantError
        A side has no rows, or the bins differ.

    Examples
    --------
    >>> evidence = psi_evidence([50_000, 50_000], [300, 200])
    >>> round(evidence.psi, 3), evidence.p_value < 1e-4
    (0.04, True)
    """
    first, second = coarsen(reference, current)
    n, m, bins = int(first.sum()), int(second.sum()), len(first)
    size = max(psi(first, second), 0.0)
    return PSIEvidence(
        psi=size,
        corrected=size - psi_bias(n, m, bins),
        interval=psi_interval(size, n, m, bins, confidence),
        p_value=psi_significance(size, n, m, bins, delta),
        bins=bins,
        n=n,
        m=m,
    )


def ks_significance(reference: ColumnProfile, current: ColumnProfile) -> float:
    """Return the p-value of the Kolmogorov-Smirnov distance of two numeric columns, by its limiting distribution.

    Conservative: gaps are seen at edges only, and atoms make the true p smaller. It sees a shift of the whole column
    sooner than PSI on ten slots, which sees what happens to nulls. Equals `scipy.stats.ks_2samp(method="asymp")` up to
    the binning.

    Raises
    ------
    InvariantError
        A side has no numbers, the bins differ or the column is categorical.
    """
    distance = ks(reference, current)
    n, m = (int(column.counts[:-2].sum()) for column in (reference, current))
    return kolmogorov_tail(math.sqrt(_weight(n, m)) * distance)
