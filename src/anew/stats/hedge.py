"""Which span of history serves best? Hedging over a ladder of spans when only two of them are fitted at a time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from anew.domain.errors import InvariantError

__all__ = ["SpanChoice", "SpanComparison", "SpanFit", "SpanHedge", "compare_spans", "span_ladder"]

_LEAST_ERROR = 1e-3
"""Of a relative difference: the least that rows can tell; two models that answer alike are not known to be alike."""
_MOST_COMPARISONS = 200
"""Newest comparisons that are used: older ones weigh nothing, and the equations stay small."""

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanFit:
    """A model: its `name`, which no other has, and the `length` of history that it was fitted on, in windows."""

    name: str
    length: float

    def __post_init__(self) -> None:
        if not 0 < self.length < math.inf:
            raise InvariantError(f"the span of {self.name!r} is {self.length} windows long; it has to be positive")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanComparison:
    """Two models scored on the same rows of one window.

    Attributes
    ----------
    at
        The window's end, in windows since any fixed instant.
    difference
        Mean loss of `second` less that of `first`, over the mean of both: in [-2, 2], dimensionless.
    error
        Standard error of `difference`.
    """

    at: float
    first: SpanFit
    second: SpanFit
    difference: float
    error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanChoice:
    """The span to fit, the one to fit beside it (None when there is no other), and what is expected of each length.

    `expected` has a relative loss for each length that was offered; only their differences mean anything. `weight` is
    the probability that the model on `chosen` will lose less than the one on `beside`, in (0, 1]: 1 with no other.
    """

    chosen: float
    beside: float | None
    expected: tuple[float, ...]
    weight: float = 1.0


def span_ladder(history: float, *, shortest: float = 5.0) -> tuple[float, ...]:
    """Return `shortest`, twice, four times … as long as that is shorter than `history`, and `history`; in windows.

    >>> span_ladder(30.0)
    (5.0, 10.0, 20.0, 30.0)
    >>> span_ladder(3.0)
    (3.0,)
    """
    if not (history > 0 and shortest > 0):
        raise InvariantError(f"a ladder from {shortest} up to {history} windows has no rungs")
    rungs = []
    while shortest < history:
        rungs.append(shortest)
        shortest *= 2
    return (*rungs, history)


def compare_spans(
    at: float, first: SpanFit, second: SpanFit, losses: tuple[_Floats, _Floats], *, inflation: float = 2.0
) -> SpanComparison | None:
    """Compare two models on the rows of one window.

    Parameters
    ----------
    losses
        Of `first` and of `second`, shape `(n,)` each, the same rows in the same order, not negative.
    inflation
        Factor on the standard error of the mean of paired differences: rows of one window resemble each other, and the
        next window's will be others.

    Returns
    -------
    SpanComparison or None
        None of fewer than two rows with finite losses, and of two models without any loss: they say nothing.
    """
    ours, theirs = losses
    if ours.shape != theirs.shape:
        raise InvariantError(f"losses of {ours.size} and {theirs.size} rows are not of the same rows")
    known = np.isfinite(ours) & np.isfinite(theirs)
    ours, theirs = ours[known], theirs[known]
    level = float(np.mean(ours) + np.mean(theirs)) / 2 if ours.size >= 2 else 0.0
    if level <= 0:
        return None
    paired = theirs - ours
    error = inflation * float(np.std(paired, ddof=1)) / math.sqrt(paired.size) / level
    return SpanComparison(
        at=at,
        first=first,
        second=second,
        difference=float(np.mean(paired)) / level,
        error=max(error, _LEAST_ERROR),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanHedge:
    """Learns from paired comparisons how the loss depends on the length of the span, and bets on two lengths.

    The relative loss is a Gaussian process over the logarithm of the length and over time, plus a part of each model's
    own: what is seen of one length says something of its neighbours, and less the longer ago it was. Before anything
    was seen all lengths are alike, and the longest is taken. Beside the best length the one is fitted from which the
    better of the two is expected to gain most: insurance while the world changes, and what is learned from.

    Two fits at each retrain, however many lengths there are. Of two fitted models the one that leads is served; which,
    may be asked whenever labels came (`leader`). Or the two answer together, each weighed by the probability that it is
    the better one (`SpanChoice.weight`).

    Parameters
    ----------
    scale
        Standard deviation of the relative loss among lengths far apart.
    octaves
        Doublings of the length over which the resemblance of two lengths falls to 1/e.
    memory
        Windows after which what was seen of a length counts for 1/e.
    own, own_memory
        Standard deviation of a model's own part, and windows after which it counts for 1/e.

    Notes
    -----
    When not to use it: where labels come later than the next retrain, nothing is learned in time; take ``all``, or a
    fixed length. Where concepts invert and come back, a longer span may lead until the first rows of the new concept
    are trained on; what follows is as good as the better of two fits.

    The scales are orders of magnitude, not fits to data: ten percent of loss between spans of which one is four times
    as long is what published streams show, and five retrains of five windows each are about as long as a regime lasts.

    References
    ----------
    Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, eq. 2.23 f. (posterior), 4.14 with p = 0
    (kernel); Jones, Schonlau and Welch, Efficient global optimization, 1998, eq. 15 (expected improvement, here of the
    better of two over the best). Observations are differences, so no loss has to be known by itself.

    Examples
    --------
    >>> hedge = SpanHedge()
    >>> hedge.choose((5.0, 10.0, 20.0), (), at=20.0).chosen
    20.0
    >>> short, long = SpanFit(name="short", length=5.0), SpanFit(name="long", length=20.0)
    >>> seen = SpanComparison(at=20.0, first=long, second=short, difference=-0.3, error=0.02)
    >>> hedge.choose((5.0, 10.0, 20.0), (seen,), at=20.0).chosen
    5.0
    """

    scale: float = 0.2
    octaves: float = 3.0
    memory: float = 50.0
    own: float = 0.1
    own_memory: float = 10.0

    def __post_init__(self) -> None:
        for name in ("scale", "octaves", "memory", "own", "own_memory"):
            if not 0 < getattr(self, name) < math.inf:
                raise InvariantError(f"{name} is {getattr(self, name)}; it has to be a positive number")

    def choose(self, lengths: Sequence[float], seen: Sequence[SpanComparison], *, at: float) -> SpanChoice:
        """Return the lengths to fit at the instant `at`, given what was seen before.

        Parameters
        ----------
        lengths
            In windows, ascending, each once; see `span_ladder`.

        Raises
        ------
        InvariantError
            There is no length, or they do not ascend.
        """
        if not lengths or any(a >= b for a, b in pairwise(lengths)):
            raise InvariantError(f"spans of {list(lengths)} windows: give at least one, ascending")
        fresh = [SpanFit(name=f"\0{i}", length=length) for i, length in enumerate(lengths)]
        mean, covariance = self._posterior(fresh, seen, at)
        best = _least(mean)
        gains = [
            -1.0 if i == best else _gain(mean[best] - mean[i], covariance[i, i] + covariance[best, best] - 2 * both)
            for i, both in enumerate(covariance[best])
        ]
        expected = tuple(float(each) for each in mean)
        if len(lengths) == 1:
            return SpanChoice(chosen=lengths[best], beside=None, expected=expected)
        beside = int(np.argmax(gains))
        variance = covariance[best, best] + covariance[beside, beside] - 2 * covariance[best, beside]
        return SpanChoice(
            chosen=lengths[best],
            beside=lengths[beside],
            expected=expected,
            weight=float(ndtr((mean[beside] - mean[best]) / math.sqrt(max(variance, 1e-24)))),
        )

    def _posterior(self, fits: Sequence[SpanFit], seen: Sequence[SpanComparison], at: float) -> tuple[_Floats, _Floats]:
        """Return mean `(k,)` and covariance `(k, k)` of the relative losses of `fits` at the instant `at`."""
        asked = _Points.of([(fit, at) for fit in fits])
        prior = self._kernel(asked, asked)
        used = sorted(seen, key=lambda each: each.at)[-_MOST_COMPARISONS:]
        if not used:
            return np.zeros(len(fits)), prior
        first = _Points.of([(each.first, each.at) for each in used])
        second = _Points.of([(each.second, each.at) for each in used])
        between = self._kernel(second, second) + self._kernel(first, first)
        between -= self._kernel(first, second) + self._kernel(second, first)
        between += np.diag([max(each.error, _LEAST_ERROR) ** 2 for each in used])
        to_asked = self._kernel(asked, second) - self._kernel(asked, first)
        differences = np.array([each.difference for each in used])
        solved = np.linalg.solve(between, np.column_stack([differences, to_asked.T]))
        return to_asked @ solved[:, 0], prior - to_asked @ solved[:, 1:]

    def _kernel(self, these: "_Points", those: "_Points") -> _Floats:
        apart = np.abs(these.octave[:, None] - those.octave[None, :]) / self.octaves
        passed = np.abs(these.at[:, None] - those.at[None, :])
        same = these.name[:, None] == those.name[None, :]
        shared = self.scale**2 * np.exp(-apart - passed / self.memory)
        found: _Floats = shared + self.own**2 * same * np.exp(-passed / self.own_memory)
        return found


@dataclass(frozen=True, slots=True)
class _Points:
    """Models at instants, as arrays: logarithm of the length, instant, name."""

    octave: _Floats
    at: _Floats
    name: npt.NDArray[np.str_]

    @classmethod
    def of(cls, pairs: Sequence[tuple[SpanFit, float]]) -> "_Points":
        return cls(
            np.log2([fit.length for fit, _ in pairs]),
            np.array([at for _, at in pairs]),
            np.array([fit.name for fit, _ in pairs]),
        )


def _least(mean: _Floats) -> int:
    """Return the place of the least, the last of those that are alike: with nothing known, more rows are better."""
    rounded = np.round(mean, 12)
    return int(np.flatnonzero(rounded == rounded.min())[-1])


def _gain(lead: float, variance: float) -> float:
    """Return the expected positive part of a normal variable with this mean and variance."""
    deviation = math.sqrt(max(variance, 1e-24))
    z = lead / deviation
    return float(lead * ndtr(z) + deviation * math.exp(-z * z / 2) / math.sqrt(2 * math.pi))
