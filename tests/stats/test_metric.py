"""Metrics against scikit-learn, losses within their bounds, and nothing measured is no score."""

import math
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as theirs  # type: ignore[import-untyped]  # ships no types

from anew.domain.errors import InvariantError
from anew.stats.interval import wilson_interval
from anew.stats.metric import (
    METRICS,
    absolute_loss,
    accuracy,
    error,
    error_loss,
    f1,
    mae,
    metric,
    precision,
    quantile_loss,
    recall,
    rmse,
)

RNG = np.random.default_rng(1)
BINARY = RNG.integers(0, 2, 200), RNG.integers(0, 2, 200)
WORDS = np.array(["cat", "dog", "emu", "fox"])
MANY = WORDS[RNG.integers(0, 3, 200)], WORDS[RNG.integers(0, 4, 200)]
REAL = RNG.normal(size=200), RNG.normal(size=200)


def test_binary_metrics_are_scikit_learns() -> None:
    assert accuracy(*BINARY).value == pytest.approx(theirs.accuracy_score(*BINARY))
    assert error(*BINARY).value == pytest.approx(theirs.zero_one_loss(*BINARY))
    assert precision(*BINARY).value == pytest.approx(theirs.precision_score(*BINARY))
    assert recall(*BINARY).value == pytest.approx(theirs.recall_score(*BINARY))
    assert f1(*BINARY).value == pytest.approx(theirs.f1_score(*BINARY))
    assert f1(*BINARY, positive=0).value == pytest.approx(theirs.f1_score(*BINARY, pos_label=0))


def test_macro_metrics_are_scikit_learns() -> None:
    for ours, other in ((precision, theirs.precision_score), (recall, theirs.recall_score), (f1, theirs.f1_score)):
        score = ours(*MANY, average="macro")
        assert score.value == pytest.approx(other(*MANY, average="macro", zero_division=0))
        assert (score.low, score.high, score.n) == (None, None, 200)


def test_regression_metrics_are_scikit_learns_with_t_intervals() -> None:
    assert mae(*REAL).value == pytest.approx(theirs.mean_absolute_error(*REAL))
    assert rmse(*REAL).value == pytest.approx(theirs.root_mean_squared_error(*REAL))
    expected = stats.ttest_1samp(np.abs(REAL[0] - REAL[1]), 0.0).confidence_interval(0.9)
    assert mae(*REAL, confidence=0.9)[1:3] == pytest.approx((expected.low, expected.high))
    squares = stats.ttest_1samp(np.square(REAL[0] - REAL[1]), 0.0).confidence_interval(0.95)
    assert rmse(*REAL)[1:3] == pytest.approx((math.sqrt(squares.low), math.sqrt(squares.high)))
    assert mae([1.0], [3.0]) == (2.0, None, None, 1)
    assert mae([0.0, 0.0, 0.0], [0.0, 0.0, 9.0]).low == 0.0


def test_the_rows_that_count_are_those_that_bear_on_the_metric() -> None:
    y, prediction = [1, 1, 1, 0, 0, 0, 0, 0], [1, 1, 0, 1, 0, 0, 0, 0]
    assert accuracy(y, prediction)[1:] == (*wilson_interval(6, 8), 8)
    assert precision(y, prediction)[1:] == (*wilson_interval(2, 3), 3)
    assert recall(y, prediction)[1:] == (*wilson_interval(2, 3), 3)
    assert f1(y, prediction).n == 4


def test_the_interval_of_f1_holds_it_at_its_level() -> None:
    rng = np.random.default_rng(2)
    missed = 0
    for _ in range(600):
        y = rng.random(300) < 0.3
        prediction = np.where(rng.random(300) < 0.85, y, ~y)
        _, low, high, _ = f1(y, prediction, positive=True)
        # Hits .255, false alarms .105, misses .045 of all rows.
        assert low is not None
        assert high is not None
        missed += not low <= 2 * 0.255 / (2 * 0.255 + 0.105 + 0.045) <= high
    assert 0.02 < missed / 600 < 0.09


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(-1e9, 1e9), st.floats(allow_nan=True, allow_infinity=True)), max_size=30),
    st.floats(1e-3, 1e6),
)
def test_losses_lie_between_0_and_1(rows: list[tuple[float, float]], scale: float) -> None:
    y, prediction = np.array([a for a, _ in rows]), np.array([b for _, b in rows])
    for losses in (absolute_loss(y, prediction, scale), error_loss(y, prediction)):
        assert losses.shape == (len(rows),)
        assert ((losses >= 0.0) & (losses <= 1.0)).all()
    nonsense = ~np.isfinite(prediction)
    assert (absolute_loss(y, prediction, scale)[nonsense] == 1.0).all()
    assert (error_loss(y, prediction)[nonsense] == 1.0).all()


def test_losses_by_hand() -> None:
    assert absolute_loss([0.0, 0.0, 5.0], [1.0, -9.0, 5.0], 4.0).tolist() == [0.25, 1.0, 0.0]
    assert error_loss(np.array(["a", "b"]), np.array(["a", "c"])).tolist() == [0.0, 1.0]


def test_metrics_are_found_by_name() -> None:
    assert metric("f1") is f1
    with pytest.raises(InvariantError, match="no metric 'acuracy'; there are accuracy, error"):
        metric("acuracy")


@pytest.mark.parametrize("name", sorted(METRICS))
def test_nothing_measured_is_no_score(name: str) -> None:
    with pytest.raises(InvariantError, match="nothing measured"):
        METRICS[name]([], [])
    with pytest.raises(InvariantError, match="one shape"):
        METRICS[name]([1, 0], [1])


def test_a_class_that_never_occurs_has_no_score() -> None:
    for ours, y, prediction in ((precision, [1, 0], [0, 0]), (recall, [0, 0], [1, 0]), (f1, [0, 0], [0, 0])):
        with pytest.raises(InvariantError, match="no row bears"):
            ours(y, prediction)
    assert f1([1, 0], [0, 0]).value == 0.0
    with pytest.raises(InvariantError, match="micro"):
        f1([1], [1], average="micro")  # type: ignore[arg-type]  # the mistake under test


def test_answers_and_labels_that_are_no_numbers() -> None:
    assert math.isnan(mae([1.0, 2.0], [1.0, math.nan]).value)
    assert rmse([0.0, 0.0], [1e120, -1e90])[1:] == (None, None, 2)
    assert accuracy([1.0, 2.0], [1.0, math.nan]).value == 0.5
    for measured in (mae, rmse):
        with pytest.raises(InvariantError, match="label is NaN"):
            measured([1.0, math.nan], [1.0, 1.0])
    with pytest.raises(InvariantError, match="label is NaN"):
        absolute_loss([math.nan], [1.0], 1.0)
    for scale in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(InvariantError, match="above 0"):
            absolute_loss([1.0], [1.0], scale)


def test_an_error_too_large_for_a_number_is_the_largest_there_is() -> None:
    most = sys.float_info.max
    assert mae([1e308, 1e308, 0.0], [0.0, 0.0, 0.0]) == (most, None, None, 3)
    assert mae([0.0, 0.0], [math.inf, 1.0]).value == most
    assert rmse([0.0, 0.0], [1e200, -1e300]) == (math.sqrt(most), None, None, 2)
    assert math.isnan(mae([1e308, 1e308, 0.0], [0.0, 0.0, math.nan]).value), "what was not measured stays so"


def test_pinball_loss_is_scikit_learns() -> None:
    y, answer = RNG.normal(size=(2, 300))
    for quantile in (0.1, 0.5, 0.9):
        expected = theirs.mean_pinball_loss(y, answer, alpha=quantile)
        assert quantile_loss(y, answer, quantile=quantile).value == pytest.approx(expected)
    with pytest.raises(InvariantError, match="between 0 and 1"):
        quantile_loss(y, answer, quantile=1.0)
