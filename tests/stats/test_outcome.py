"""Metrics by name: which make sense for a task, and that each is what its name says."""

import numpy as np
import pytest
from sklearn import metrics as peer  # type: ignore[import-untyped]  # ships no types

from anew.domain.column import Task
from anew.domain.errors import InvariantError
from anew.stats.outcome import METRIC_NAMES, known_for, measure_metric

CHANCE = np.random.default_rng(5)
LABEL = CHANCE.choice(["a", "b", "c"], 400)
OUTPUT = np.where(CHANCE.random(400) < 0.7, LABEL, CHANCE.choice(["a", "b", "c"], 400))


def test_every_metric_belongs_to_a_task() -> None:
    assert set(known_for(Task.BINARY)) == set(known_for(Task.MULTICLASS))
    assert set(known_for(Task.BINARY)) | set(known_for(Task.REGRESSION)) == set(METRIC_NAMES)
    assert not set(known_for(Task.BINARY)) & set(known_for(Task.REGRESSION))


@pytest.mark.parametrize("name", ["f1", "precision", "recall"])
def test_binary_ones_are_about_the_positive_class(name: str) -> None:
    keep = (LABEL != "c") & (OUTPUT != "c")
    label, output = LABEL[keep], OUTPUT[keep]
    expected = getattr(peer, f"{name}_score")(label, output, pos_label="b")
    assert measure_metric(name, Task.BINARY, label, output, positive="b").value == pytest.approx(expected)


@pytest.mark.parametrize("name", ["f1", "precision", "recall"])
def test_multiclass_ones_are_macro_averages(name: str) -> None:
    expected = getattr(peer, f"{name}_score")(LABEL, OUTPUT, average="macro")
    assert measure_metric(name, Task.MULTICLASS, LABEL, OUTPUT).value == pytest.approx(expected)


def test_error_and_accuracy_are_each_others_rest() -> None:
    error, accuracy = (measure_metric(name, Task.MULTICLASS, LABEL, OUTPUT).value for name in ("error", "accuracy"))
    assert error == pytest.approx((LABEL != OUTPUT).mean())
    assert error + accuracy == pytest.approx(1.0)


def test_numbers_have_their_own() -> None:
    label, output = CHANCE.normal(size=50), CHANCE.normal(size=50)
    assert measure_metric("mae", Task.REGRESSION, label, output).value == pytest.approx(np.abs(label - output).mean())
    assert measure_metric("rmse", Task.REGRESSION, label, output).value == pytest.approx(
        np.sqrt(((label - output) ** 2).mean())
    )


@pytest.mark.parametrize(
    ("name", "task"), [("mae", Task.BINARY), ("f1", Task.REGRESSION), ("auc", Task.BINARY), ("", Task.MULTICLASS)]
)
def test_what_makes_no_sense_for_a_task_is_refused_with_what_does(name: str, task: Task) -> None:
    with pytest.raises(InvariantError, match=f"there is no metric '{name}' for {task}; there are "):
        measure_metric(name, task, LABEL, OUTPUT)


def test_no_rows_measure_nothing() -> None:
    with pytest.raises(InvariantError):
        measure_metric("error", Task.BINARY, LABEL[:0], OUTPUT[:0])
