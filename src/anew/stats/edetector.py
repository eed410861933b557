"""A change of the mean that may be looked for at every look: bets that the loss has risen, begun again and again."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from anew.domain.errors import InvariantError
from anew.stats.column import Floats

__all__ = ["RiseEvidence", "rise_evidence", "rise_of_counts"]

# Shares of the wealth put at stake: a rise from 0.2 to 0.22 is bet on best by 0.025, one to 0.4 by 0.25.
_BETS = np.array([0.025, 0.05, 0.1, 0.2, 0.4])


class RiseEvidence(NamedTuple):
    """What bets against "the mean is at most so much" have made.

    Parameters
    ----------
    log_sum
        Natural logarithm of the sum of the e-values of all beginnings.
    since
        Number of the first row after the beginning whose bets made most.
    """

    log_sum: float
    since: int


def rise_evidence(losses: Floats, beginnings: npt.NDArray[np.int64], mean: float) -> RiseEvidence:
    """Bet against H0: given the past, each loss has at most this mean.

    Parameters
    ----------
    losses
        Shape (n,), in [0, 1], in time order.
    beginnings
        Shape (n,), not falling: number of the interval that each row lies in. Bets begin anew with each interval; which
        row lies in which may not depend on losses.
    mean
        Between 0 and 1.

    Returns
    -------
    RiseEvidence
        Under H0 the sum is at most the number of beginnings in expectation, at every stopping time. So the chance that
        it *ever* reaches c during N beginnings is at most N / c, and reaching c takes c beginnings or more on average,
        however often it is read. Leaving out the oldest beginnings keeps both.

    Raises
    ------
    InvariantError
        There are no rows, a loss lies outside [0, 1], beginnings fall, or `mean` is not between 0 and 1.

    References
    ----------
    Shin, Ramdas and Rinaldo (2023), "E-detectors: a nonparametric framework for sequential change detection", NEJSDS:
    the Shiryaev-Roberts e-detector, theorem 2.4; here with a mixture of fixed bets as in `anew.stats.betting`, and
    beginnings at fixed instants instead of at every row.

    Examples
    --------
    >>> losses = np.repeat([0.0, 1.0, 0.0, 1.0, 1.0], [80, 20, 40, 30, 30])
    >>> rise_evidence(losses, np.arange(200) // 20, 0.25).since
    140
    """
    if not len(losses) or losses.shape != beginnings.shape or not (losses.min() >= 0 and losses.max() <= 1):
        raise InvariantError(f"losses lie in [0, 1], one or more, each with its beginning: {losses.shape}")
    if not 0 < mean < 1 or (np.diff(beginnings) < 0).any():
        raise InvariantError(f"the mean {mean} lies between 0 and 1, and beginnings do not fall")
    starts = np.flatnonzero(np.diff(beginnings, prepend=beginnings[0] - 1))
    # Divided by the mean, a loss of 0 takes the whole stake and no more.
    gains = np.log1p(np.multiply.outer(losses / mean - 1.0, _BETS))
    found = _evidence(np.add.reduceat(gains, starts, axis=0))
    return found._replace(since=int(starts[found.since]))


def rise_of_counts(right: npt.NDArray[np.int64], wrong: npt.NDArray[np.int64], mean: float) -> RiseEvidence:
    """Return what `rise_evidence` does of losses that are 0 or 1, counted for each beginning that has any.

    Parameters
    ----------
    right, wrong
        Shape (k,): how many lost 0 and 1; `since` is the number of a beginning among them.

    Raises
    ------
    InvariantError
        There are no rows, or `mean` is not between 0 and 1.
    """
    if not len(right) or right.shape != wrong.shape or not 0 < mean < 1:
        raise InvariantError(f"the mean {mean} lies between 0 and 1, and counts are of one shape: {right.shape}")
    return _evidence(np.outer(right, np.log1p(-_BETS)) + np.outer(wrong, np.log1p((1 / mean - 1.0) * _BETS)))


def _evidence(each: Floats) -> RiseEvidence:
    """Return what the gains of each beginning's own rows, shape (k, bets), come to; `since` is the number of one."""
    wealth = np.cumsum(each[::-1], axis=0)[::-1]
    best = float(wealth.max())
    log_sum = best + math.log(float(np.exp(wealth - best).sum()) / len(_BETS))
    return RiseEvidence(log_sum, int(wealth.max(axis=1).argmax()))
