"""Out-of-distribution rows: the declared share of ordinary rows is flagged, strange ones are found."""

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf  # type: ignore[import-untyped]  # ships no types
from sklearn.ensemble import IsolationForest  # type: ignore[import-untyped]  # ships no types

from anew.domain.errors import InvariantError
from anew.stats.ood import Method, fit_out_of_distribution


def cloud(n: int, seed: int, d: int = 8) -> np.ndarray:
    chance = np.random.default_rng(seed)
    mix = np.random.default_rng(0).normal(size=(d, d))
    return chance.normal(size=(n, d)) @ mix


@pytest.mark.parametrize("method", ["mahalanobis", "isolation_forest"])
def test_ordinary_rows_are_taken_for_strange_at_the_declared_rate(method: Method) -> None:
    shares = [
        fit_out_of_distribution(cloud(1000, seed), method, false_share=0.05).strange(cloud(2000, seed + 100)).mean()
        for seed in range(5)
    ]
    assert 0.03 < float(np.mean(shares)) < 0.07


@pytest.mark.parametrize("method", ["mahalanobis", "isolation_forest"])
def test_strange_rows_are_found(method: Method) -> None:
    model = fit_out_of_distribution(cloud(1000, 1), method)
    assert model.strange(cloud(200, 2) + 30).mean() > 0.95
    assert model.threshold > 0
    assert model.calibrated_on == 500


def test_mahalanobis_sees_what_no_single_column_shows() -> None:
    chance = np.random.default_rng(3)
    x = chance.normal(size=1000)
    together = np.column_stack([x, x + 0.05 * chance.normal(size=1000)])
    model = fit_out_of_distribution(together, false_share=0.01)
    apart = np.column_stack([chance.normal(size=100), chance.normal(size=100)])
    assert model.strange(apart).mean() > 0.7


def test_it_equals_the_textbook_distance_where_shrinking_does_nothing() -> None:
    rows = cloud(40_000, 4, d=2)
    fitted = rows[::2]
    inverse = np.linalg.inv(np.cov(fitted.T))
    centred = rows[:50] - fitted.mean(axis=0)
    expected = np.sqrt(np.einsum("ij,jk,ik->i", centred, inverse, centred))
    assert fit_out_of_distribution(rows).score(rows[:50]) == pytest.approx(expected, rel=0.01)


def test_missing_and_infinite_values_are_ordinary() -> None:
    rows = cloud(400, 5)
    rows[::7, 0], rows[1::7, 1] = np.nan, np.inf
    model = fit_out_of_distribution(rows)
    assert not model.strange(np.full((3, 8), np.nan)).any()
    assert np.isfinite(model.score(np.full((1, 8), -np.inf))).all()


def test_a_constant_column_stops_nothing() -> None:
    rows = np.column_stack([cloud(100, 6, d=2), np.ones(100)])
    assert fit_out_of_distribution(rows).strange(rows).mean() < 0.2


@pytest.mark.parametrize(
    ("rows", "false_share"), [(cloud(39, 1), 0.1), (np.zeros((50, 0)), 0.1), (cloud(50, 1), 0.0), (cloud(50, 1), 1.0)]
)
def test_what_cannot_be_fitted_is_refused(rows: np.ndarray, false_share: float) -> None:
    with pytest.raises(InvariantError):
        fit_out_of_distribution(rows, false_share=false_share)


def test_rows_of_another_width_are_refused() -> None:
    with pytest.raises(InvariantError, match=r"rows have the shape \(n, 8\)"):
        fit_out_of_distribution(cloud(50, 1)).score(cloud(5, 1, d=7))


def test_scores_equal_those_of_scikit_learn() -> None:
    rows, asked = cloud(400, 1), cloud(50, 2)
    fitted = rows[::2]
    near = LedoitWolf(assume_centered=True).fit((fitted - fitted.mean(axis=0)) / fitted.std(axis=0))
    distance = np.sqrt(near.mahalanobis((asked - fitted.mean(axis=0)) / fitted.std(axis=0)))
    np.testing.assert_allclose(fit_out_of_distribution(rows).score(asked), distance)
    forest = IsolationForest(n_estimators=100, random_state=3).fit(fitted)
    found = fit_out_of_distribution(rows, "isolation_forest", seed=3).score(asked)
    np.testing.assert_allclose(found, -forest.score_samples(asked))
