"""A named metric of served answers, whatever the task: binary, multiclass or regression."""

import numpy.typing as npt

from anew.domain.column import Task
from anew.domain.errors import InvariantError
from anew.stats.metric import METRICS, Score, metric

__all__ = ["METRIC_NAMES", "known_for", "measure_metric"]

METRIC_NAMES: tuple[str, ...] = tuple(sorted(METRICS))
"""Every metric by name."""

_NUMERIC = frozenset({"mae", "rmse"})
_AVERAGED = frozenset({"f1", "precision", "recall"})


def known_for(task: Task) -> tuple[str, ...]:
    """Return the metrics that can be asked of a task, sorted."""
    return tuple(name for name in METRIC_NAMES if (name in _NUMERIC) != task.classifies)


def measure_metric(
    name: str, task: Task, label: npt.ArrayLike, output: npt.ArrayLike, *, positive: object = None
) -> Score:
    """Measure the metric `name` on labels and answers, both of shape (n,).

    Parameters
    ----------
    positive
        For binary f1, precision and recall the label that counts as positive; multiclass ones are macro averages.

    Raises
    ------
    InvariantError
        The metric is unknown or makes no sense for the task, or there are no rows to measure it on.
    """
    if name not in known_for(task):
        raise InvariantError(f"there is no metric {name!r} for {task}; there are {', '.join(known_for(task))}")
    if name not in _AVERAGED:
        return metric(name)(label, output)
    if task is Task.BINARY:
        return metric(name)(label, output, average="binary", positive=positive)
    return metric(name)(label, output, average="macro")
