"""A classifier between two samples: its area is that of scikit-learn, and chance alone does not tell them apart."""

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier  # type: ignore[import-untyped]  # ships no types
from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped]  # ships no types

from anew.domain.errors import InvariantError
from anew.stats.domain_classifier import separation


def points(n: int, seed: int, shift: float = 0.0) -> np.ndarray:
    chance = np.random.default_rng(seed)
    return np.column_stack((chance.normal(shift, 1, n), chance.normal(size=n)))


def test_the_area_is_that_of_both_halves() -> None:
    x, y = points(200, 1), points(200, 2, 1.0)
    areas = []
    for fitted, told in ((0, 1), (1, 0)):
        trees = ExtraTreesClassifier(
            n_estimators=100, min_samples_leaf=5, class_weight="balanced", random_state=0, n_jobs=1
        ).fit(np.concatenate((x[fitted::2], y[fitted::2])), np.repeat([0, 1], 100))
        score = trees.predict_proba(np.concatenate((x[told::2], y[told::2])))[:, 1]
        areas.append(roc_auc_score(np.repeat([0, 1], 100), score))
    found = separation(x, y)
    assert found.auc == pytest.approx(np.mean(areas), abs=1e-12)
    assert found.auc > 0.7
    assert found.p_value < 1e-6


def test_the_same_distribution_is_told_apart_as_rarely_as_promised() -> None:
    found = [separation(points(60, seed), points(60, seed + 500)) for seed in range(25)]
    assert sum(each.p_value <= 0.05 for each in found) <= 4
    assert np.mean([each.auc for each in found]) == pytest.approx(0.5, abs=0.05)


def test_it_sees_two_columns_that_move_together_no_longer() -> None:
    chance = np.random.default_rng(3)
    common = chance.normal(size=(400, 1))
    together = common + 0.3 * chance.normal(size=(400, 2))
    apart = np.column_stack((together[:, 0], chance.permutation(together[:, 1])))
    assert separation(together, apart).auc > 0.75


def test_too_few_points_are_refused() -> None:
    with pytest.raises(InvariantError, match="40 points"):
        separation(points(39, 0), points(100, 1))
    with pytest.raises(InvariantError):
        separation(points(50, 0), points(50, 1)[:, :1])
