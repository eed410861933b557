"""Losses of single rows, and metrics of many rows with their intervals."""

import math
import sys
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from anew.domain.errors import InvariantError
from anew.stats.column import Floats
from anew.stats.interval import Bounds, mean_interval, wilson_interval
from anew.stats.moments import Moments

__all__ = [
    "METRICS",
    "Hits",
    "Score",
    "absolute_errors",
    "absolute_loss",
    "accuracy",
    "averaged_score",
    "error",
    "error_loss",
    "f1",
    "mae",
    "mean_score",
    "metric",
    "pinball_losses",
    "precision",
    "quantile_loss",
    "recall",
    "rmse",
    "root_score",
    "share_score",
    "squared_errors",
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
    return share_score(int((truth == answer).sum()), len(truth), confidence)


def error(y: npt.ArrayLike, prediction: npt.ArrayLike, *, confidence: float = 0.95) -> Score:
    """Return the share of wrong predictions, with its Wilson interval; otherwise as `accuracy`."""
    truth, answer = _some(y, prediction)
    return share_score(int((truth != answer).sum()), len(truth), confidence)


def share_score(part: int, whole: int, confidence: float) -> Score:
    """Return the share that `part` is of `whole`, 1 or more, with its Wilson interval."""
    return Score(part / whole, *wilson_interval(part, whole, confidence), whole)


def mae(y: npt.ArrayLike, prediction: npt.ArrayLike, *, confidence: float = 0.95) -> Score:
    """Return the mean absolute error, with its t interval cut at 0.

    Raises
    ------
    InvariantError
        There are no rows, not as many predictions as labels, or a label is NaN. A prediction of NaN gives NaN.
    """
    return mean_score(Moments.of(absolute_errors(y, prediction)), confidence)


def rmse(y: npt.ArrayLike, prediction: npt.ArrayLike, *, confidence: float = 0.95) -> Score:
    """Return the root of the mean squared error, with the root of its t interval; otherwise as `mae`."""
    return root_score(mean_score(Moments.of(squared_errors(y, prediction)), confidence))


def root_score(square: Score) -> Score:
    """Return the root of a score that is 0 or more."""
    low, high = (None if end is None else math.sqrt(end) for end in (square.low, square.high))
    return Score(math.sqrt(square.value), low, high, square.n)


def quantile_loss(
    y: npt.ArrayLike, prediction: npt.ArrayLike, *, quantile: float = 0.5, confidence: float = 0.95
) -> Score:
    """Return the mean pinball loss of answers that mean the target's `quantile`; otherwise as `mae`.

    What lies above the answer costs `quantile` of its distance, what lies below the rest of it; as scikit-learn's
    `mean_pinball_loss`.
    """
    return mean_score(Moments.of(pinball_losses(y, prediction, quantile)), confidence)


def absolute_errors(y: npt.ArrayLike, prediction: npt.ArrayLike) -> Floats:
    """Return what `mae` is the mean of, shape (n,); otherwise as `mae`."""
    return _errors(*_some(y, prediction))


def squared_errors(y: npt.ArrayLike, prediction: npt.ArrayLike) -> Floats:
    """Return what `rmse` is the root of the mean of, shape (n,); otherwise as `mae`."""
    with np.errstate(over="ignore"):
        return np.square(_errors(*_some(y, prediction)))


def pinball_losses(y: npt.ArrayLike, prediction: npt.ArrayLike, quantile: float) -> Floats:
    """Return what `quantile_loss` is the mean of, shape (n,); otherwise as `mae`."""
    if not 0 < quantile < 1:
        raise InvariantError(f"a quantile lies between 0 and 1, not at {quantile}")
    truth, answer = _some(y, prediction)
    errors = _errors(truth, answer)
    with np.errstate(invalid="ignore"):
        above = truth.astype(np.float64) >= answer.astype(np.float64)
    return errors * np.where(above, quantile, 1 - quantile)


def mean_score(values: Moments, confidence: float) -> Score:
    """Return the mean of values >= 0, one or more, with its t interval cut at 0.

    One that is too large for a float64 is the largest there is: what it is held against, it is above.
    """
    if not math.isfinite(values.mean) or not math.isfinite(values.variance):
        return Score(min(values.mean, sys.float_info.max), None, None, values.n)
    low, high = mean_interval(values.n, values.mean, values.variance, confidence)
    return Score(values.mean, max(low, 0.0), high, values.n)


class Hits(NamedTuple):
    """Predictions of one class: right ones, false alarms, misses."""

    hits: int
    alarms: int
    misses: int


def _precision(found: Hits) -> tuple[int, int]:
    return found.hits, found.hits + found.alarms


def _recall(found: Hits) -> tuple[int, int]:
    return found.hits, found.hits + found.misses


def _jaccard(found: Hits) -> tuple[int, int]:
    return found.hits, sum(found)


def _same(share: float) -> float:
    return share


def _f1_of_jaccard(share: float) -> float:
    return 2 * share / (1 + share)


_SHAPES: dict[str, tuple[Callable[[Hits], tuple[int, int]], Callable[[float], float]]] = {
    "f1": (_jaccard, _f1_of_jaccard),
    "precision": (_precision, _same),
    "recall": (_recall, _same),
}
"""Share of hits, and the monotone function of it that the metric is."""


def averaged_score(
    name: str, each: Mapping[object, Hits], n: int, *, average: Average, positive: object, confidence: float
) -> Score:
    """Return precision, recall or F1 of counts by class, of `n` rows; see `precision`.

    Raises
    ------
    InvariantError
        No row bears on it.
    """
    share, function = _SHAPES[name]
    if average == "binary":
        hits, whole = share(each.get(positive, Hits(0, 0, 0)))
        if not whole:
            raise InvariantError(f"no row bears on this metric of {positive!r}: nothing measured is no score")
        ends = Bounds(*(function(end) for end in wilson_interval(hits, whole, confidence)))
        return Score(function(hits / whole), ends.low, ends.high, whole)
    if average != "macro":
        raise InvariantError(f"a metric is averaged 'binary' or 'macro', not {average!r}")
    shares = [share(found) for found in each.values()]
    return Score(sum(function(hits / max(whole, 1)) for hits, whole in shares) / len(shares), None, None, n)


def _score(
    name: str,
    rows: tuple[npt.NDArray[np.generic], npt.NDArray[np.generic]],
    average: Average,
    positive: object,
    confidence: float,
) -> Score:
    """Return the same of rows."""
    truth, answer = rows
    labels = [positive] if average == "binary" else np.union1d(truth, answer).tolist()
    each = {label: _hits(truth, answer, label) for label in labels}
    return averaged_score(name, each, len(truth), average=average, positive=positive, confidence=confidence)


def _hits(truth: npt.NDArray[np.generic], answer: npt.NDArray[np.generic], label: object) -> Hits:
    actual, said = np.asarray(truth == label), np.asarray(answer == label)
    return Hits(int((actual & said).sum()), int((said & ~actual).sum()), int((actual & ~said).sum()))


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
    return _score("precision", _some(y, prediction), average, positive, confidence)


def recall(
    y: npt.ArrayLike,
    prediction: npt.ArrayLike,
    *,
    average: Average = "binary",
    positive: object = 1,
    confidence: float = 0.95,
) -> Score:
    """Return how many of the actual positives were predicted; otherwise as `precision`."""
    return _score("recall", _some(y, prediction), average, positive, confidence)


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
    return _score("f1", _some(y, prediction), average, positive, confidence)


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
