"""Two samples of points: the discrepancy is the definition's, and its test keeps its level and sees what moved."""

import numpy as np
import pytest
from scipy.stats import binom

from anew.domain.errors import InvariantError
from anew.stats.mmd import mmd


def points(n: int, seed: int, shift: float = 0.0, d: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, 1, size=(n, d))


def test_it_is_the_definition_term_by_term() -> None:
    x, y, width = points(12, 1), points(15, 2, 0.5), 1.3

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.exp(-((a - b) ** 2).sum() / (2 * width**2)))

    within = [
        sum(kernel(a[i], a[j]) for i in range(len(a)) for j in range(len(a)) if i != j) / (len(a) * (len(a) - 1))
        for a in (x, y)
    ]
    between = sum(kernel(a, b) for a in x for b in y) / (len(x) * len(y))
    assert mmd(x, y, width=width).value == pytest.approx(sum(within) - 2 * between, rel=1e-12)


def test_the_width_is_the_median_distance_where_none_is_given() -> None:
    x, y = points(40, 3), points(30, 4)
    whole = np.concatenate((x, y))
    apart = [float(np.linalg.norm(a - b)) for i, a in enumerate(whole) for b in whole[i + 1 :]]
    assert mmd(x, y).value == pytest.approx(mmd(x, y, width=float(np.median(apart))).value, rel=1e-3)


def test_no_difference_is_found_as_rarely_as_promised() -> None:
    p_values = np.array([mmd(points(30, seed), points(25, seed + 1000)).p_value for seed in range(100)])
    assert (p_values <= 0.05).sum() <= 11  # the 99 % quantile of 100 at 5 %
    assert p_values.mean() == pytest.approx(0.5, abs=0.12)


def test_more_permutations_reach_smaller_p_values_and_stop_where_they_cannot_matter() -> None:
    """The first 999 are the same ones; only where they leave 0.01 or less are more drawn."""
    few = [mmd(points(30, seed), points(25, seed + 1000)).p_value for seed in range(15)]
    many = [mmd(points(30, seed), points(25, seed + 1000), permutations=9_999).p_value for seed in range(15)]
    assert [one == other for one, other in zip(few, many, strict=True)] == [each > 0.01 for each in few]
    assert mmd(points(40, 1), points(40, 2, 2.0), permutations=9_999).p_value == 0.0001


def test_stopping_early_keeps_the_level() -> None:
    """Of a thousand pairs of tiny samples no more fall below a small level than that, by the 99.9 % quantile."""
    found = np.array(
        [mmd(points(10, s, d=1), points(10, s + 9000, d=1), permutations=1_998).p_value for s in range(3000)]
    )
    for level in (0.005, 0.01, 0.05):
        assert (found <= level).sum() <= binom.ppf(0.999, len(found), level)


def test_it_sees_columns_that_move_together_no_longer() -> None:
    chance = np.random.default_rng(5)
    common = chance.normal(size=(300, 1))
    together = common + 0.3 * chance.normal(size=(300, 2))
    apart = np.column_stack((together[:, 0], chance.permutation(together[:, 1])))
    assert mmd(together, apart).p_value == 0.001
    assert mmd(together, apart) == mmd(together, apart)


def test_points_that_are_all_one_are_no_difference() -> None:
    same = np.ones((20, 2))
    assert mmd(same, same).value == pytest.approx(0.0, abs=1e-12)
    assert mmd(same, same).p_value == 1.0


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (points(9, 0), points(20, 1)),
        (points(20, 0), points(20, 1, d=2)),
        (points(20, 0)[:, 0], points(20, 1)),
        (np.full((20, 3), np.nan), points(20, 1)),
    ],
)
def test_what_cannot_be_compared_is_refused(first: np.ndarray, second: np.ndarray) -> None:
    with pytest.raises(InvariantError):
        mmd(first, second)


def test_fewer_permutations_than_a_thousandth_needs_are_refused() -> None:
    with pytest.raises(InvariantError, match="99 permutations"):
        mmd(points(20, 1), points(20, 2), permutations=99)
