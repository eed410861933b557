"""How many rows of a stream tell as much as one independent row: rows that resemble those before them tell less."""

import numpy as np
import numpy.typing as npt

from anew.stats.column import Floats

__all__ = ["level_inertia", "number_inertia", "resemblance", "telling_rows"]

_LEAST_ROWS = 100
_LEVELS = 3
"""Most frequent levels of a category that are looked at."""


def number_inertia(values: Floats) -> float:
    """Return the rows that count as one, 1 or more, of numbers in time order, shape (n,); NaN is missing.

    That of the ranks, by which outliers weigh no more than others, or of being missing, whichever is larger. Windows
    are then judged as if they had so many times fewer rows. Under 100 rows nothing can be said: 1.

    Examples
    --------
    >>> number_inertia(np.random.default_rng(1).normal(size=5000)) < 1.1
    True
    """
    known = np.isfinite(values)
    _, place, counts = np.unique(values[known], return_inverse=True, return_counts=True)
    ranks = np.zeros(len(values))
    if known.any():
        middle = np.cumsum(counts) - counts / 2
        ranks[known] = middle[place] / known.sum() - 0.5
    return max(_inertia(ranks), _inertia((~known).astype(np.float64)))


def level_inertia(codes: npt.NDArray[np.int64]) -> float:
    """Return the same of levels, given as codes from 0, -1 for missing: the largest one of the most frequent levels."""
    found, counts = np.unique(codes, return_counts=True)
    frequent = found[np.argsort(-counts, kind="stable")][:_LEVELS]
    return max((_inertia((codes == each).astype(np.float64)) for each in frequent), default=1.0)


def resemblance(values: npt.NDArray[np.generic]) -> float:
    """Return how much rows resemble the row before them, from about 0 for a mere heap of rows up to 1; shape (n,).

    Of numbers the rank correlation with the row before, missing ones left out; of anything else the share of rows that
    are the same as the row before, beyond what chance gives (as Cohen's kappa). NaN of a constant, whose order says
    nothing.

    Examples
    --------
    >>> walk = np.sin(np.arange(500) / 20)
    >>> heap = np.random.default_rng(1).permutation(walk)
    >>> resemblance(walk) > 0.9, abs(resemblance(heap)) < 0.2
    (True, True)
    """
    if values.dtype.kind not in "fiu":
        _, counts = np.unique(values, return_counts=True)
        chance = float(np.square(counts / max(len(values), 1)).sum())
        return (float((values[1:] == values[:-1]).mean()) - chance) / (1 - chance) if 0 < chance < 1 else float("nan")
    numbers = values.astype(np.float64)
    pairs = np.isfinite(numbers[1:]) & np.isfinite(numbers[:-1])
    known = np.isfinite(numbers)
    ranks = np.zeros(len(numbers))
    _, place, counts = np.unique(numbers[known], return_inverse=True, return_counts=True)
    ranks[known] = (np.cumsum(counts) - counts / 2)[place]
    before, after = ranks[:-1][pairs], ranks[1:][pairs]
    if len(before) < 2 or not np.ptp(before) or not np.ptp(after):
        return float("nan")
    before, after = before - before.mean(), after - after.mean()
    return float((before * after).sum() / ((before * before).sum() * (after * after).sum()) ** 0.5)


def telling_rows(values: npt.NDArray[np.generic]) -> int:
    """Return how many rows their `resemblance` rests on: all, or fewer where most have the same value; shape (n,).

    Of two levels it is the share of rare rows that follow one of their kind, beyond what chance gives: as many trials
    as rare rows, with a standard deviation of 1 / (2 √rare) at most. Two rows of each are counted, all of n where both
    levels are equally frequent, so that 1 / √rows bounds it in either case. One rare row follows none of its kind,
    however well ordered its column is.

    Examples
    --------
    >>> rare = np.array(["a"] * 98 + ["b"] * 2)
    >>> telling_rows(rare), telling_rows(np.arange(100.0))
    (4, 100)
    """
    numbers = values.dtype.kind in "fiu"
    known = values[np.isfinite(values.astype(np.float64))] if numbers else values
    _, counts = np.unique(known, return_counts=True)
    return min(len(known), 2 * (len(known) - int(counts.max(initial=0))))


def _inertia(series: Floats) -> float:
    """Return the integrated autocorrelation time: by how much the variance of a mean exceeds that of independent rows.

    References
    ----------
    Geyer (1992), "Practical Markov chain Monte Carlo", Statistical Science 7, section 3.3: the sum over pairs of lags
    ends with the first pair that is not positive; here, that is not above one standard deviation of its noise.
    """
    n = len(series)
    centred = series - series.mean() if n else series
    if n < _LEAST_ROWS or not centred.any():
        return 1.0
    spectrum = np.fft.rfft(centred, 2 * n)
    together = np.fft.irfft(spectrum * np.conj(spectrum))[: n // 2]
    pairs = together[: len(together) // 2 * 2].reshape(-1, 2).sum(axis=1) / together[0]
    below = np.flatnonzero(pairs <= (2 / n) ** 0.5)
    return max(2 * float(pairs[: below[0] if len(below) else len(pairs)].sum()) - 1, 1.0)
