"""Expected metrics: the metric itself where labels are sure, and the variance that drawn labels show."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped]  # ships no types

from anew.domain.column import Task
from anew.domain.errors import InvariantError
from anew.stats.expectation import EXPECTED, Answered, label_variance
from anew.stats.outcome import measure_metric


def rows(classes: int, n: int = 400, averaged: bool = False) -> Answered:
    draw = np.random.default_rng(classes)
    chance = draw.dirichlet(np.full(classes, 0.7), n)
    said = np.where(draw.random(n) < 0.7, chance.argmax(axis=1), draw.integers(0, classes, n))
    return Answered(chance, said, chance[:, -1] + draw.normal(0, 0.1, n).round(1), averaged)


def measured(metric: str, label: np.ndarray, answered: Answered) -> float:
    if metric == "roc_auc":
        return float(roc_auc_score(label, answered.score))
    task = Task.MULTICLASS if answered.averaged else Task.BINARY
    return measure_metric(metric, task, label, answered.said, positive=answered.chance.shape[1] - 1).value


CASES = [(metric, 2) for metric in sorted(EXPECTED)] + [(m, 3) for m in ("accuracy", "f1", "precision", "recall")]


@pytest.mark.parametrize(("metric", "classes"), CASES)
def test_sure_labels_give_the_metric_itself(metric: str, classes: int) -> None:
    answered = rows(classes, averaged=classes > 2)
    label = np.array([np.random.default_rng(i).choice(classes, p=p) for i, p in enumerate(answered.chance)])
    sure = Answered(np.eye(classes)[label], answered.said, answered.score, answered.averaged)
    value, slopes = EXPECTED[metric](sure)
    assert value == pytest.approx(measured(metric, label, sure), abs=1e-9)
    assert label_variance(sure.chance, slopes) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(("metric", "classes"), CASES)
def test_expectation_and_variance_are_those_of_drawn_labels(metric: str, classes: int) -> None:
    answered = rows(classes, averaged=classes > 2)
    draw = np.random.default_rng(9)
    steps = np.cumsum(answered.chance, axis=1)[:, :-1]
    drawn = [measured(metric, (draw.random((len(steps), 1)) > steps).sum(axis=1), answered) for _ in range(600)]
    value, slopes = EXPECTED[metric](answered)
    # 600 draws: the mean is known to 0.04 and the deviation to 3 % of it; the delta method adds a little of its own.
    deviation = float(np.std(drawn))
    assert value == pytest.approx(np.mean(drawn), abs=0.2 * deviation)
    assert np.sqrt(label_variance(answered.chance, slopes)) == pytest.approx(deviation, rel=0.12)


def test_what_no_row_bears_on_is_refused() -> None:
    none_said = Answered(np.full((5, 2), 0.5), np.zeros(5, dtype=np.intp), np.zeros(5))
    one_class = Answered(np.tile([1.0, 0.0], (5, 1)), np.zeros(5, dtype=np.intp), np.zeros(5))
    with pytest.raises(InvariantError, match="no row bears"):
        EXPECTED["precision"](none_said)
    with pytest.raises(InvariantError, match="both classes"):
        EXPECTED["roc_auc"](one_class)
