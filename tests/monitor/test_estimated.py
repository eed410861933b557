"""Metrics estimated without labels: a breach is found, told as an estimate, and never where nothing can be known."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from anew.domain.column import Task
from anew.domain.errors import InvariantError
from anew.domain.severity import Severity
from anew.monitor import SeenRows, Yardstick
from anew.monitor.estimated import Estimated
from tests.monitor.windows import reference_of, scored, seen


def classified(n: int, seed: int, moved: float = 0.0, held: bool = True) -> pl.DataFrame:
    """Rows of a model that is right where `x` is far from 0."""
    draw = np.random.default_rng(seed)
    x = draw.normal(0, 1, n) * (1 - moved)
    p = 1 / (1 + np.exp(-3 * x))
    label = draw.random(n) < p
    return pl.DataFrame(
        {
            "x": x,
            "_label": np.where(label, "yes", "no"),
            "_output": np.where(p > 0.5, "yes", "no"),
            "_p0": 1 - p,
            "_p1": p,
            "_held": np.full(n, held),
        }
    )


def forecast(n: int, seed: int, moved: float = 0.0) -> pl.DataFrame:
    """Rows of a model whose error grows with `x`."""
    draw = np.random.default_rng(seed)
    x = draw.uniform(0, 1, n) ** (1 / (1 + moved))
    return pl.DataFrame(
        {"x": x, "_label": draw.normal(0, x), "_output": np.zeros(n), "_held": np.ones(n, dtype=np.bool_)}
    )


def yardstick(sample: pl.DataFrame) -> Yardstick:
    return Yardstick(features=reference_of(sample.select("x")), sample=sample)


def window(rows: pl.DataFrame, held: Yardstick, task: Task = Task.BINARY) -> SeenRows:
    classes = ("no", "yes") if task.classifies else ()
    return replace(seen(rows.drop("_label", "_held"), held, task), classes=classes)


@pytest.fixture(scope="module")
def classifier() -> Yardstick:
    return yardstick(classified(600, 1))


@pytest.mark.parametrize(("moved", "severity"), [(0.0, None), (0.65, Severity.MEDIUM), (0.9, Severity.HIGH)])
def test_rows_that_the_model_is_unsure_of_break_the_objective(
    classifier: Yardstick, moved: float, severity: Severity | None
) -> None:
    detector = Estimated(metric="error", at_most=0.3)
    rows = classified(400, 2, moved)
    evidence = detector.measure_seen(window(rows, classifier))
    truth = float((rows["_label"] != rows["_output"]).mean())  # type: ignore[arg-type]  # a number
    assert evidence[0].low is not None
    assert evidence[0].high is not None
    assert evidence[0].low <= truth <= evidence[0].high
    finding = detector.judge(evidence)
    assert (finding.severity if finding else None) is severity
    if finding is not None:
        assert "estimated, without labels" in finding.message
        assert "wanted at most 0.3" in finding.message


def test_a_share_too_low_is_found_as_well(classifier: Yardstick) -> None:
    detector = Estimated(metric="roc_auc", at_least=0.8)
    fine = detector.measure_seen(window(classified(400, 2), classifier))
    bad = detector.measure_seen(window(classified(400, 2, 0.9), classifier))
    assert detector.judge(fine) is None
    assert detector.judge(bad) is not None


def test_labels_that_turned_are_not_seen(classifier: Yardstick) -> None:
    rows = classified(400, 2).with_columns(_label=pl.lit("no"))
    detector = Estimated(metric="error", at_most=0.3)
    assert detector.judge(detector.measure_seen(window(rows, classifier))) is None


@pytest.mark.parametrize("metric", ["mae", "rmse"])
def test_regression_is_estimated_from_where_it_erred(metric: str) -> None:
    held = yardstick(forecast(800, 1))
    detector = Estimated(metric=metric, at_most=0.5 if metric == "mae" else 0.65)
    usual = detector.measure_seen(window(forecast(400, 2), held, Task.REGRESSION))
    worse = detector.measure_seen(window(forecast(400, 2, 2.0), held, Task.REGRESSION))
    assert detector.judge(usual) is None
    found = detector.judge(worse)
    assert found is not None
    assert found.severity is Severity.HIGH


@pytest.mark.parametrize("metric", ["error", "accuracy"])
def test_a_classifier_without_probabilities_is_estimated_from_where_it_erred(metric: str) -> None:
    bare = [each.drop("_p0", "_p1") for each in (classified(800, 1), classified(400, 2), classified(400, 2, 0.9))]
    held = yardstick(bare[0])
    detector = (
        Estimated(metric="error", at_most=0.3) if metric == "error" else Estimated(metric="accuracy", at_least=0.7)
    )
    assert detector.judge(detector.measure_seen(window(bare[1], held))) is None
    assert detector.judge(detector.measure_seen(window(bare[2], held))) is not None


def test_rows_trained_on_are_no_reference() -> None:
    trained = classified(600, 3, held=False).with_columns(_label=pl.col("_output"))
    detector = Estimated(metric="error", at_most=0.05)
    both = yardstick(pl.concat([trained, classified(600, 1)]))
    (found,) = detector.measure_seen(window(classified(400, 2), both))
    assert detector.judge((found,)) is not None
    (none,) = detector.measure_seen(window(classified(400, 2), yardstick(trained)))
    assert "50 held-out rows" in none.problem


def test_where_nothing_can_be_known_nothing_is_measured(classifier: Yardstick) -> None:
    detector = Estimated(metric="f1", at_least=0.5)
    rows = classified(100, 2)
    bare = Yardstick(features=classifier.features)
    few = detector.measure_seen(window(rows.head(49), classifier))
    unsampled = detector.measure_seen(window(rows, bare))
    silent = detector.measure_seen(window(rows.drop("_p0", "_p1"), classifier))
    assert "50 are needed" in few[0].problem
    assert "lacks the columns" in unsampled[0].problem
    assert "class probabilities" in silent[0].problem
    assert detector.judge((*few, *unsampled, *silent)) is None
    assert detector.measure_scored(scored(["yes"] * 60, classifier)) == ()


def test_rows_without_an_answer_or_its_probabilities_do_not_count(classifier: Yardstick) -> None:
    rows = classified(200, 2)
    holes = pl.concat(
        [rows, rows.with_columns(_p0=pl.lit(float("nan"))), rows.with_columns(_p1=pl.lit(None, pl.Float64))]
    )
    detector = Estimated(metric="error", at_most=0.3)
    assert detector.measure_seen(window(holes, classifier)) == detector.measure_seen(window(rows, classifier))


@pytest.mark.parametrize(
    "given",
    [
        {"metric": "charm", "at_most": 1.0},
        {"metric": "error"},
        {"metric": "error", "at_most": 0.1, "at_least": 0.1},
        {"metric": "error", "at_most": float("inf")},
        {"metric": "error", "at_most": 0.1, "at_least_rows": 0},
    ],
)
def test_objectives_that_mean_nothing_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(InvariantError, match="estimated"):
        Estimated(**given)  # type: ignore[arg-type]  # as a file may say it
