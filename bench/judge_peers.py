"""What others judge a challenger with, written after their papers and sources, for the table of `judge.py` alone.

All of them answer whether a challenger is worse by a point, on requests of two arms of equal size that are read after
every 100: promoted when it is shown not to be, taken back when it is shown to be worse.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from judge_trials import ERRORS, GRID, HORIZON, SHADOW, Trial, pairs
from scipy.special import ndtri

from anew.stats.betting import e_value_threshold, paired_e_values

__all__ = ["PEERS", "decided"]

LOOK, MARGIN, ALPHA = 100, SHADOW.margin, SHADOW.alpha
LOOKS = HORIZON // LOOK
Read = Callable[[float, np.random.Generator], tuple[np.ndarray, np.ndarray]]


def _arms(gain: float, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Return requests and errors of both arms at each look: n0, w0, n1, w1, each of shape (LOOKS,)."""
    half = LOOK // 2
    n = half * np.arange(1, LOOKS + 1)
    return n, rng.binomial(half, ERRORS, LOOKS).cumsum(), n, rng.binomial(half, ERRORS - gain, LOOKS).cumsum()


def _difference(gain: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return requests of one arm, the challenger's gain and the variance of one request's part in it, at each look."""
    n, w0, _, w1 = _arms(gain, rng)
    p0, p1 = w0 / n, w1 / n
    return n, p0 - p1, np.maximum(p0 * (1 - p0) + p1 * (1 - p1), 1e-9)


def z_test(gain: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A test for a fixed number of requests, read at each look: what an analyst at a dashboard does."""
    n, found, variance = _difference(gain, rng)
    half = ndtri(1 - ALPHA / 2) * np.sqrt(variance / n)
    return found - half > -MARGIN, found + half < 0


def mann_whitney(gain: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Kayenta's judge: a Mann-Whitney test at 98 % in every interval, here of right and wrong, with its ties.

    It asks for superiority: a metric that is not significantly higher or lower is neither.
    """
    n, w0, _, w1 = _arms(gain, rng)
    wrong, total = w0 + w1, 2 * n
    rank_difference = (w0 - w1) * n / 2  # U less its mean: each wrong request of the champion outranks the right ones
    ties = (wrong**3 - wrong + (total - wrong) ** 3 - (total - wrong)) / (total * (total - 1.0))
    sigma = np.sqrt(np.maximum(n * n / 12.0 * (total + 1 - ties), 1e-9))
    z = rank_difference / sigma
    bar = ndtri(1 - 0.02 / 2)
    return z > bar, z < -bar


def msprt(gain: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The mixture sequential probability ratio test of Johari, Pekelis and Walsh (2015), as intervals always valid."""
    n, found, variance = _difference(gain, rng)
    tau = 0.02**2
    shape = variance * (variance + n * tau) / (n**2 * tau)
    half = np.sqrt(shape * (2 * np.log(1 / ALPHA) + np.log((variance + n * tau) / variance)))
    return found - half > -MARGIN, found + half < 0


def paired_bets(gain: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """What ships: both answers to the same request."""
    drawn = pairs(gain, HORIZON, rng).reshape(LOOKS, LOOK)
    counts = np.stack([(drawn == point).sum(axis=1) for point in GRID], axis=1).cumsum(axis=0)
    bar = np.log(e_value_threshold(ALPHA))
    proof = paired_e_values(counts, GRID, MARGIN, "non_inferiority") >= bar
    return proof, paired_e_values(counts, GRID, MARGIN, "harm") >= bar


PEERS: Mapping[str, Read] = MappingProxyType(
    {
        "A/B, z-test for a fixed horizon, read repeatedly": z_test,
        "A/B, Kayenta's Mann-Whitney, read repeatedly": mann_whitney,
        "A/B, mSPRT": msprt,
        "paired shadow, bets (ships)": paired_bets,
    }
)


def decided(name: str, gain: float, runs: int, seed: int) -> Trial:
    """Return how the runs end by the judge of this name."""
    read = PEERS[name]
    good, bad, labels = np.zeros(runs, bool), np.zeros(runs, bool), np.full(runs, HORIZON)
    for run in range(runs):
        yes, no = read(gain, np.random.default_rng((seed, run, round(gain * 1000) + 3000)))
        ends = np.flatnonzero(yes | no)
        if len(ends):
            at = int(ends[0])
            labels[run] = (at + 1) * LOOK
            good[run], bad[run] = bool(yes[at]) and not bool(no[at]), bool(no[at])
    return Trial(good, bad, labels)
