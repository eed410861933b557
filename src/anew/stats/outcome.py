"""A named metric of served answers, whatever the task: binary, multiclass or regression."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from anew.domain.column import Task
from anew.domain.errors import InvariantError
from anew.stats.column import Floats
from anew.stats.metric import METRICS, Score, metric, quantile_loss
from anew.stats.probability import PROBABILISTIC

__all__ = ["METRIC_NAMES", "is_higher_better", "is_known", "known_for", "losses", "measure_metric", "needs_chance"]

_NUMERIC = frozenset({"mae", "rmse"})
_AVERAGED = frozenset({"f1", "precision", "recall"})
_GAINS = frozenset({"accuracy", "f1", "precision", "recall", "roc_auc"})
_QUANTILE = re.compile(r"quantile_loss\((0?\.\d+)\)")

METRIC_NAMES: tuple[str, ...] = tuple(sorted({*METRICS, *PROBABILISTIC, "quantile_loss(0.9)"}))
"""Every metric by name; quantile_loss stands for any quantile."""


def known_for(task: Task) -> tuple[str, ...]:
    """Return the metrics that can be asked of a task, sorted."""
    return tuple(
        name for name in METRIC_NAMES if (name in _NUMERIC or _QUANTILE.fullmatch(name) is not None) != task.classifies
    )


def is_known(name: str, task: Task | None = None) -> bool:
    """Is there such a metric, and can it be asked of the task?"""
    plain = "quantile_loss(0.9)" if _QUANTILE.fullmatch(name) else name
    return plain in (METRIC_NAMES if task is None else known_for(task))


def needs_chance(name: str) -> bool:
    """Is the metric one of class probabilities?"""
    return name in PROBABILISTIC


def is_higher_better(name: str) -> bool:
    """Is more of the metric better, as of accuracy, or less of it, as of an error?"""
    return name in _GAINS


def measure_metric(
    name: str,
    task: Task,
    label: npt.ArrayLike,
    output: npt.ArrayLike,
    *,
    positive: object = None,
    chance: npt.ArrayLike | None = None,
    classes: Sequence[str] = (),
    confidence: float = 0.95,
) -> Score:
    """Measure the metric `name` on labels and answers, both of shape (n,).

    Parameters
    ----------
    positive
        For binary f1, precision and recall the label that counts as positive; multiclass ones are macro averages.
    chance, classes
        For roc_auc, log_loss, brier and calibration_error: probabilities, shape (n, k), and the k classes as text.

    Raises
    ------
    InvariantError
        The metric is unknown or makes no sense for the task, or there are no rows to measure it on.
    """
    if not is_known(name, task):
        raise InvariantError(f"there is no metric {name!r} for {task}; there are {', '.join(known_for(task))}")
    if name in PROBABILISTIC:
        if chance is None:
            raise InvariantError(f"{name} needs class probabilities, and the model gives none")
        return PROBABILISTIC[name](label, chance, classes=classes, confidence=confidence)
    if quantile := _QUANTILE.fullmatch(name):
        return quantile_loss(label, output, quantile=float(quantile[1]), confidence=confidence)
    if name not in _AVERAGED:
        return metric(name)(label, output, confidence=confidence)
    if task is Task.BINARY:
        return metric(name)(label, output, average="binary", positive=positive, confidence=confidence)
    return metric(name)(label, output, average="macro", confidence=confidence)


def losses(task: Task, label: npt.NDArray[Any], output: npt.NDArray[Any], scale: float) -> Floats:
    """Return the loss of each answer in [0, 1], shape `(n,)`.

    0 or 1 for classification; for regression the absolute error over `scale` (units of the target, > 0), at most 1.
    A missing label gives NaN; an answer that is not finite has loss 1.
    """
    if task.classifies:
        wrong: Floats = (label != output).astype(np.float64)
        wrong[label == ""] = np.nan
        return wrong
    error = np.abs(label - output) / scale
    loss = np.where(np.isfinite(output), np.minimum(error, 1.0), 1.0)
    loss[np.isnan(label)] = np.nan
    return loss
