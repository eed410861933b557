"""Label and answer shift: beyond the limit it is found, with the classes that moved; within it is not."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from scipy.stats import chi2_contingency

from anew.domain.column import Task
from anew.domain.errors import InvariantError
from anew.domain.severity import Severity
from anew.monitor import Yardstick
from anew.monitor.label_shift import LabelShift
from anew.monitor.prediction_shift import PredictionShift
from anew.stats.profile import Reference
from tests.monitor.windows import reference_of, scored, seen

MOODS = ["good"] * 500 + ["bad"] * 400 + ["neutral"] * 100


def yardstick(values: Sequence[object], name: str) -> Yardstick:
    features = reference_of(pl.DataFrame({"x": [1.0, 2.0]}))
    reference = Reference.fit({name: pl.Series(values).to_arrow()})
    return Yardstick(features=features, labels=reference if name == "label" else None, outputs=reference)


def test_more_neutral_labels_are_found_and_named() -> None:
    detector = LabelShift()
    window = ["good"] * 40 + ["bad"] * 30 + ["neutral"] * 30
    evidence = detector.measure_scored(scored(window, yardstick(MOODS, "label"), Task.MULTICLASS))
    expected = chi2_contingency([[500, 400, 100], [40, 30, 30]], correction=False).pvalue
    assert evidence[0].p_value == pytest.approx(expected)
    finding = detector.judge(evidence)
    assert finding is not None
    assert "neutral 10.0% to 30.0%" in finding.message
    assert finding.message.index("neutral") < finding.message.index("good")


@pytest.mark.parametrize(
    ("detector", "window", "found"),
    [
        (LabelShift(), ["good"] * 50 + ["bad"] * 40 + ["neutral"] * 10, False),
        (LabelShift(p_below=1e-12), ["good"] * 40 + ["bad"] * 30 + ["neutral"] * 30, False),
        (LabelShift(test="psi", above=0.2), ["good"] * 40 + ["bad"] * 30 + ["neutral"] * 30, True),
        (LabelShift(test="psi", above=0.9), ["good"] * 40 + ["bad"] * 30 + ["neutral"] * 30, False),
        (LabelShift(at_least_rows=101), ["neutral"] * 100, False),
    ],
)
def test_the_limit_decides(detector: LabelShift, window: list[object], found: bool) -> None:
    evidence = detector.measure_scored(scored(window, yardstick(MOODS, "label"), Task.MULTICLASS))
    assert (detector.judge(evidence) is not None) is found


def test_regression_labels_are_compared_by_deciles() -> None:
    chance = np.random.default_rng(5)
    base = yardstick(chance.normal(size=2000).tolist(), "label")
    assert (
        LabelShift().judge(LabelShift().measure_scored(scored(chance.normal(size=300).tolist(), base, Task.REGRESSION)))
        is None
    )
    finding = LabelShift().judge(
        LabelShift().measure_scored(scored(chance.normal(2, 1, 300).tolist(), base, Task.REGRESSION))
    )
    assert finding is not None
    assert finding.severity is Severity.HIGH


def test_without_training_labels_nothing_is_measured() -> None:
    (evidence,) = LabelShift().measure_scored(scored(MOODS, None))
    assert "without its training labels" in evidence.problem
    assert LabelShift().judge((evidence,)) is None


def test_answers_of_a_period_are_measured_with_the_scores() -> None:
    base = yardstick(["0"] * 900 + ["1"] * 100, "output")
    moved = pl.DataFrame({"x": [1.0] * 200, "_output": ["0"] * 100 + ["1"] * 100})
    detector = PredictionShift(period=timedelta(days=7))
    assert (detector.labels, detector.over, detector.key) == (
        True,
        timedelta(days=7),
        "prediction_shift(psi>0.25 over 168h)",
    )
    assert detector.measure_seen(seen(moved, base)) == ()
    evidence = detector.measure_scored(replace(scored(["0"], base), answers=moved, rows=200))
    assert evidence[0].value == PredictionShift().measure_seen(seen(moved, base))[0].value
    assert detector.judge(evidence) is not None
    assert PredictionShift().measure_scored(scored(["0"] * 200, base)) == ()
    (unknown,) = detector.measure_scored(scored(["0"], None))
    assert "without its own answers" in unknown.problem


def test_answers_that_moved_are_found() -> None:
    base = yardstick(["0"] * 900 + ["1"] * 100, "output")
    ordinary = pl.DataFrame({"x": [1.0] * 200, "_output": ["0"] * 180 + ["1"] * 20})
    moved = pl.DataFrame({"x": [1.0] * 200, "_output": ["0"] * 100 + ["1"] * 100})
    detector = PredictionShift()
    assert detector.judge(detector.measure_seen(seen(ordinary, base))) is None
    finding = detector.judge(detector.measure_seen(seen(moved, base)))
    assert finding is not None
    assert "1 10.0% to 50.0%" in finding.message


@pytest.mark.parametrize("given", [{"p_below": 0.0}, {"p_below": 1.0}, {"above": 0.0}, {"at_least_rows": 0}])
def test_limits_that_nothing_could_cross_are_refused(given: dict[str, float]) -> None:
    for kind in (LabelShift, PredictionShift):
        with pytest.raises(InvariantError):
            kind(**given)  # type: ignore[arg-type]  # numbers all
