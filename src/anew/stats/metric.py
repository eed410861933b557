"""Losses of single rows, and metrics of many rows with their intervals."""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from anew.domain.errors import InvariantError
from anew.stats.column import Floats
from anew.stats.interval import Bounds, mean_interval, wilson_interval

__all__ = [
    "METRICS",
    "Score",
    "absolute_loss",
    "accuracy",
    "error",
    "error_loss",
    "f1",
    "mae",
    "mean_score",
    "metric",
    "precision",
    "quantile_loss",
    "recall",
    "rmse",
]

Average: TypeAlias = Literal["binary", "macro"]


class Score(NamedTuple):
    """A metric measured on n rows.

    Parameters
    ----------
    low, high
        Interval of confidence; None where none is known (macro averages, one row).
    n
        Rows that bear on it: all rows for accuracy, predicted positives for precision, actual ones for recall.
    """

    value: float
    low: float | None
    high: float | None
    n: int


def _rows(y: npt.ArrayLike, prediction: npt.ArrayLike) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.generic]]:
    truth, answer = np.asarray(y), np.asarray(prediction)
    if truth.shape != answer.shape or truth.ndim != 1:
        raise InvariantError(f"labels and predictions have one shape (n,), not {truth.shape} and {answer.shape}")
    return truth, answer


def _some(y: npt.ArrayLike, prediction: npt.ArrayLike) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.generic]]:
    truth, answer = _rows(y, prediction)
    if not len(truth):
        raise InvariantError("a metric needs rows: nothing measured is no score")
    return truth, answer


def error_loss(y: npt.ArrayLike, prediction: npt.ArrayLike) -> Floats:
    """Return 1 where the prediction is wrong, else 0; shape (n,) like both arguments. NaN is always wrong."""
    truth, answer = _rows(y, prediction)
    return np.asarray(truth != answer, dtype=np.float64)


def absolute_loss(y: npt.ArrayLike, prediction: npt.ArrayLike, scale: float) -> Floats:
    """Return ``min(|y - prediction| / scale, 1)``, shape (n,): a loss in [0, 1] that bets can be made on.

    Parameters
    ----------
    scale
        The error that counts as a whole one, in the target's unit; larger ones count no more. An answer that is not a
        number counts as a whole one.

    Raises
    ------
    InvariantError
        `scale` is not finite and above 0, or a label is not a number (it is no label).
    """
    truth, answer = _rows(y, prediction)
    if not 0 < scale < math.inf:
        raise InvariantError(f"the scale of a loss is finite and above 0, not {scale}")
    errors = np.minimum(_errors(truth, answer), scale) / scale
    return np.where(np.isnan(errors), 1.0, errors)


def _errors(truth: npt.NDArray[np.generic], answer: npt.NDArray[np.generic]) -> Floats:
    target = truth.astype(np.float64)
    if np.isnan(target).any():
        raise InvariantError("a label is NaN: leave out rows without a label")
    with np.errstate(invalid="ignore", over="ignore"):
        errors: Floats = np.abs(target - answer.astype(np.float64))
    return errors


def accuracy(y: npt.ArrayLike, prediction: npt.ArrayLike, *, confidence: float = 0.95) -> Score:
    """Return the share of right predictions, with its Wilson interval.

    Raises
    ------
    InvariantError
        There are no rows, or not as many predictions as labels.

    Examples
    --------
    >>> accuracy([1, 0, 1, 1], [1, 0, 0, 1]).value
    0.75
    """
    truth, answer = _some(y, prediction)
    return _share(int((truth == answer).sum()), len(truth), confidence)


def error(y: npt.ArrayLike, prediction: npt.ArrayLike, *, confidence: float = 0.95) -> Score:
    """Return the share of wrong predictions, with its Wilson interval; otherwise as `accuracy`."""
    truth, answer = _some(y, prediction)
    return _share(int((truth != answer).sum()), len(truth), confidence)


def _share(part: int, whole: int, confidence: float) -> Score:
    return Score(part / whole, *wilson_interval(part, whole, confidence), whole)


def mae(y: npt.ArrayLike, prediction: npt.ArrayLike, *, confidence: float = 0.95) -> Score:
    """Return the mean absolute error, with its t interval cut at 0.

    Raises
    ------
    InvariantError
        There are no rows, not as many predictions as labels, or a label is NaN. A prediction of NaN gives NaN.
    """
    return mean_score(_errors(*_some(y, prediction)), confidence)


def rmse(y: npt.ArrayLike, prediction: npt.ArrayLike, *, confidence: float = 0.95) -> Score:
    """Return the root of the mean squared error, with the root of its t interval; otherwise as `mae`."""
    with np.errstate(over="ignore"):
        square = mean_score(np.square(_errors(*_some(y, prediction))), confidence)
    low, high = (None if end is None else math.sqrt(end) for end in (square.low, square.high))
    return Score(math.sqrt(square.value), low, high, square.n)


def quantile_loss(
    y: npt.ArrayLike, prediction: npt.ArrayLike, *, quantile: float = 0.5, confidence: float = 0.95
) -> Score:
    """Return the mean pinball loss of answers that mean the target's `quantile`; otherwise as `mae`.

    What lies above the answer costs `quantile` of its distance, what lies below the rest of it; as scikit-learn's
    `mean_pinball_loss`.
    """
    if not 0 < quantile < 1:
        raise InvariantError(f"a quantile lies between 0 and 1, not at {quantile}")
    truth, answer = _some(y, prediction)
    errors = _errors(truth, answer)
    with np.errstate(invalid="ignore"):
        above = truth.astype(np.float64) >= answer.astype(np.float64)
    return mean_score(errors * np.where(above, quantile, 1 - quantile), confidence)


def mean_score(values: Floats, confidence: float) -> Score:
    """Return the mean of values >= 0, shape (n,), with its t interval cut at 0."""
    n = len(values)
    with np.errstate(over="ignore", invalid="ignore"):
        mean, variance = float(values.mean()), float(values.var(ddof=1)) if n > 1 else math.nan
    if not math.isfinite(mean) or not math.isfinite(variance):
        return Score(mean, None, None, n)
    low, high = mean_interval(n, mean, variance, confidence)
    return Score(mean, max(low, 0.0), high, n)


class _Hits(NamedTuple):
    """Predictions of one class: right ones, false alarms, misses."""

    hits: int
    alarms: int
    misses: int


def _precision(found: _Hits) -> tuple[int, int]:
    return found.hits, found.hits + found.alarms


def _recall(found: _Hits) -> tuple[int, int]:
    return found.hits, found.hits + found.misses


def _jaccard(found: _Hits) -> tuple[int, int]:
    return found.hits, sum(found)


def _same(share: float) -> float:
    return share


def _f1_of_jaccard(share: float) -> float:
    return 2 * share / (1 + share)


def _score(
    rows: tuple[npt.NDArray[np.generic], npt.NDArray[np.generic]],
    average: Average,
    positive: object,
    confidence: float,
    shape: tuple[Callable[[_Hits], tuple[int, int]], Callable[[float], float]],
) -> Score:
    """Return a share of hits, or a monotone function of it, for one class or averaged over all."""
    truth, answer = rows
    share, function = shape
    if average == "binary":
        hits, whole = share(_hits(truth, answer, positive))
        if not whole:
            raise InvariantError(f"no row bears on this metric of {positive!r}: nothing measured is no score")
        ends = Bounds(*(function(end) for end in wilson_interval(hits, whole, confidence)))
        return Score(function(hits / whole), ends.low, ends.high, whole)
    if average != "macro":
        raise InvariantError(f"a metric is averaged 'binary' or 'macro', not {average!r}")
    each = [share(_hits(truth, answer, label)) for label in np.union1d(truth, answer).tolist()]
    return Score(sum(function(hits / max(whole, 1)) for hits, whole in each) / len(each), None, None, len(truth))


def _hits(truth: npt.NDArray[np.generic], answer: npt.NDArray[np.generic], label: object) -> _Hits:
    actual, said = np.asarray(truth == label), np.asarray(answer == label)
    return _Hits(int((actual & said).sum()), int((said & ~actual).sum()), int((actual & ~said).sum()))


def precision(
    y: npt.ArrayLike,
    prediction: npt.ArrayLike,
    *,
    average: Average = "binary",
    positive: object = 1,
    confidence: float = 0.95,
) -> Score:
    """Return how many of the predicted positives are right.

    Parameters
    ----------
    average
        ``binary`` looks at `positive` alone, with a Wilson interval; ``macro`` is the plain mean over all classes met
        among labels and predictions, a class without rows counting 0 as in scikit-learn, without an interval.

    Raises
    ------
    InvariantError
        No row bears on it: there are no predicted positives (for recall: no actual ones; for F1: neither).
    """
    return _score(_some(y, prediction), average, positive, confidence, (_precision, _same))


def recall(
    y: npt.ArrayLike,
    prediction: npt.ArrayLike,
    *,
    average: Average = "binary",
    positive: object = 1,
    confidence: float = 0.95,
) -> Score:
    """Return how many of the actual positives were predicted; otherwise as `precision`."""
    return _score(_some(y, prediction), average, positive, confidence, (_recall, _same))


def f1(
    y: npt.ArrayLike,
    prediction: npt.ArrayLike,
    *,
    average: Average = "binary",
    positive: object = 1,
    confidence: float = 0.95,
) -> Score:
    """Return the harmonic mean of precision and recall; otherwise as `precision`.

    F1 = 2J / (1 + J) with J the share of hits among rows that are or were called positive, so that J's Wilson interval
    gives F1's.
    """
    return _score(_some(y, prediction), average, positive, confidence, (_jaccard, _f1_of_jaccard))


METRICS: dict[str, Callable[..., Score]] = {
    "accuracy": accuracy,
    "error": error,
    "f1": f1,
    "mae": mae,
    "precision": precision,
    "recall": recall,
    "rmse": rmse,
}


def metric(name: str) -> Callable[..., Score]:
    """Return the metric of that name.

    Raises
    ------
    InvariantError
        There is none; the message lists those that there are.
    """
    if name not in METRICS:
        raise InvariantError(f"there is no metric {name!r}; there are {', '.join(sorted(METRICS))}")
    return METRICS[name]
