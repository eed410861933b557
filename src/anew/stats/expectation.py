"""What a metric of classified rows is expected to be when the chances of their labels are known, but not the labels.

Each metric comes with its slopes: what it gains when one row turns out to be of one class. By them the variance over
the unknown labels follows (delta method), exactly for metrics that are means over rows.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from anew.domain.errors import InvariantError
from anew.stats.calibration import Codes
from anew.stats.column import Floats

__all__ = ["EXPECTED", "Answered", "Expected", "label_variance"]


@dataclass(frozen=True, slots=True)
class Answered:
    """Rows without labels.

    Parameters
    ----------
    chance
        Shape (n, k): probability of each class.
    said
        Shape (n,): number of the class that was answered.
    score
        Shape (n,): what the model said of the last class; what ROC AUC orders rows by.
    averaged
        Are precision, recall and F1 the mean over all classes (macro), and not those of the last class?
    """

    chance: Floats
    said: Codes
    score: Floats
    averaged: bool = False


Expected = tuple[float, Floats]
"""A metric's value, and its slopes, shape (n, k)."""


def label_variance(chance: Floats, slopes: Floats) -> float:
    """Return the variance of a metric over labels drawn by `chance`; both of shape (n, k)."""
    mean = (chance * slopes).sum(axis=1)
    return float(np.maximum((chance * np.square(slopes)).sum(axis=1) - np.square(mean), 0.0).sum())


def _confusion(rows: Answered) -> Floats:
    """Return expected counts, shape (k, k): true class by answered class."""
    found: Floats = rows.chance.T @ np.eye(rows.chance.shape[1])[rows.said]
    return found


def _right(rows: Answered) -> Expected:
    n = len(rows.said)
    slopes = np.zeros_like(rows.chance)
    slopes[np.arange(n), rows.said] = 1.0 / n
    return float((rows.chance * slopes).sum()), slopes


def _wrong(rows: Answered) -> Expected:
    value, slopes = _right(rows)
    return 1.0 - value, -slopes


def _ratio(rows: Answered, whole: Callable[[Floats, Floats], Floats], grows: float, scale: float) -> Expected:
    """Return scale * hits / whole, per class; the whole grows by `grows` with each actual row of the class."""
    counts = _confusion(rows)
    hits, actual, answered = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    wholes = whole(actual, answered)
    # A class counts as met when it was answered, or when half a row of it is to be expected.
    met = (answered > 0) | (actual >= 0.5) if rows.averaged else np.arange(len(hits)) == len(hits) - 1
    if not met.any() or (not rows.averaged and not wholes[-1] > 0):
        raise InvariantError("no row bears on this metric: nothing can be expected of it")
    share = np.divide(hits, wholes, out=np.zeros_like(hits), where=wholes > 0)
    weight = np.divide(scale * met / met.sum(), wholes, out=np.zeros_like(hits), where=wholes > 0)
    slopes = np.tile(-grows * weight * share, (len(rows.said), 1))
    slopes[np.arange(len(rows.said)), rows.said] += weight[rows.said]
    return float((share * met).sum() * scale / met.sum()), slopes


def _precision(rows: Answered) -> Expected:
    return _ratio(rows, lambda actual, answered: answered, 0.0, 1.0)  # noqa: ARG005  one shape for all three


def _recall(rows: Answered) -> Expected:
    return _ratio(rows, lambda actual, answered: actual, 1.0, 1.0)  # noqa: ARG005  one shape for all three


def _f1(rows: Answered) -> Expected:
    return _ratio(rows, lambda actual, answered: actual + answered, 1.0, 2.0)


def _roc_auc(rows: Answered) -> Expected:
    """Count pairs of a positive and a negative row that the score orders rightly, ties half."""
    chance = rows.chance[:, -1]
    points, at = np.unique(rows.score, return_inverse=True)
    positive = np.bincount(at, chance, len(points))
    negative = np.bincount(at, 1.0 - chance, len(points))
    below = np.cumsum(negative) - negative / 2
    above = positive.sum() - np.cumsum(positive) + positive / 2
    p, n = positive.sum(), negative.sum()
    if not (p > 0 and n > 0):
        raise InvariantError("ROC AUC needs rows of both classes: only one is expected here")
    pairs = float(positive @ below)
    slopes = np.zeros_like(rows.chance)
    slopes[:, -1] = (below - above)[at] / (p * n) - pairs * (n - p) / (p * n) ** 2
    return pairs / float(p * n), slopes


EXPECTED: dict[str, Callable[[Answered], Expected]] = {
    "accuracy": _right,
    "error": _wrong,
    "f1": _f1,
    "precision": _precision,
    "recall": _recall,
    "roc_auc": _roc_auc,
}
"""What can be expected, by the metric's name."""
