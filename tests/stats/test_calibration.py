"""Scores into probabilities: as scikit-learn's isotonic regression has them, adding up to 1."""

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression  # type: ignore[import-untyped]  # ships no types

from anew.domain.errors import InvariantError
from anew.stats.calibration import fit_calibration


def test_two_classes_are_mapped_by_isotonic_regression() -> None:
    draw = np.random.default_rng(1)
    last = draw.random(500)
    label = (draw.random(500) < last**2).astype(np.intp)
    asked = np.linspace(-0.2, 1.2, 57)
    found = fit_calibration(np.column_stack((1 - last, last)), label).probabilities(np.column_stack((1 - asked, asked)))
    wanted = IsotonicRegression(out_of_bounds="clip").fit(last, label).predict(asked)
    assert np.allclose(found[:, 1], wanted, atol=1e-12)
    assert np.allclose(found.sum(axis=1), 1.0)


def test_many_classes_add_up_to_one_and_an_unclaimed_row_keeps_its_scores() -> None:
    scores = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]] * 20)
    label = np.array([0, 1, 2] * 20)
    calibration = fit_calibration(scores, label)
    asked = np.array([[0.8, 0.1, 0.1], [0.1, 0.1, 0.1]])
    found = calibration.probabilities(asked)
    assert found[0].tolist() == [1.0, 0.0, 0.0]
    assert found[1].tolist() == [0.1, 0.1, 0.1]


def test_a_weight_counts_like_repeated_rows() -> None:
    draw = np.random.default_rng(2)
    scores = draw.dirichlet((1, 1), 60)
    label = draw.integers(0, 2, 60)
    times = draw.integers(1, 4, 60)
    weighted = fit_calibration(scores, label, times.astype(np.float64))
    repeated = fit_calibration(np.repeat(scores, times, axis=0), np.repeat(label, times))
    assert np.allclose(weighted.probabilities(scores), repeated.probabilities(scores))


@pytest.mark.parametrize("shape", [(0, 2), (3, 1), (4, 2)])
def test_rows_that_do_not_fit_are_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(InvariantError, match=r"\(n, k\)"):
        fit_calibration(np.zeros(shape), np.zeros(0 if shape[0] == 0 else 3, dtype=np.intp))
