"""Intervals against scipy, published values and their own promise."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from anew.domain.errors import InvariantError
from anew.stats.interval import (
    Bounds,
    mean_interval,
    paired_difference_interval,
    paired_proportion_interval,
    wilson_interval,
)


@pytest.mark.parametrize(("successes", "n"), [(0, 1), (1, 1), (0, 10), (3, 10), (81, 263), (15, 148), (999, 1000)])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.999])
def test_wilson_is_scipys(successes: int, n: int, confidence: float) -> None:
    theirs = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    assert wilson_interval(successes, n, confidence) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_wilson_gives_newcombes_published_values() -> None:
    # Newcombe (1998), Statistics in Medicine 17, table I, method 3.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


def test_a_means_interval_is_scipys_t_interval() -> None:
    values = np.random.default_rng(1).normal(size=12)
    theirs = stats.ttest_1samp(values, 0.0).confidence_interval(0.9)
    assert mean_interval(12, values.mean(), values.var(ddof=1), 0.9) == pytest.approx((theirs.low, theirs.high))


def test_a_paired_difference_is_the_t_interval_of_the_differences() -> None:
    rng = np.random.default_rng(2)
    one, other = rng.random(40), rng.random(40)
    theirs = stats.ttest_rel(one, other).confidence_interval(0.95)
    gaps = one - other
    ours = paired_difference_interval(40, gaps.sum(), np.square(gaps).sum())
    assert ours == pytest.approx((theirs.low, theirs.high))


@settings(deadline=None)
@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_share_lies_within_unit_bounds_and_mirrors(pair: tuple[int, int]) -> None:
    successes, n = pair
    low, high = wilson_interval(successes, n)
    assert 0.0 <= low <= successes / n <= high <= 1.0
    mirrored = wilson_interval(n - successes, n)
    assert (1.0 - mirrored.high, 1.0 - mirrored.low) == pytest.approx((low, high), abs=1e-12)
    assert Bounds(low, high).width > wilson_interval(successes, n, 0.5).width


def test_paired_proportions_keep_their_level_and_have_width_without_disagreement() -> None:
    rng = np.random.default_rng(3)
    cells = rng.multinomial(400, [0.03, 0.02, 0.95], size=2000)
    found = [paired_proportion_interval(int(wins), int(losses), 400) for wins, losses, _ in cells]
    assert 0.93 < np.mean([low <= 0.01 <= high for low, high in found]) < 0.985
    low, high = paired_proportion_interval(0, 0, 100)
    assert low == -high
    assert 0.01 < high < 0.05
    assert paired_proportion_interval(1, 0, 1).high <= 1.0


def test_paired_proportions_are_agresti_and_mins_formula_by_hand() -> None:
    # Their 2x2 example: 1144 pairs, 132 against 107 disagreeing ones; a half in each cell.
    gap, size = 25 / 1146, 1146
    half = 1.959963984540054 * math.sqrt((240 / size - gap**2) / size)
    assert paired_proportion_interval(132, 107, 1144) == pytest.approx((gap - half, gap + half))


def test_nothing_measured_has_no_interval() -> None:
    for n in (0, -1, math.nan):
        with pytest.raises(InvariantError, match="needs trials"):
            wilson_interval(0, n)
    with pytest.raises(InvariantError, match="5 of 4"):
        wilson_interval(5, 4)
    for n in (0, 1):
        with pytest.raises(InvariantError, match="2 observations"):
            mean_interval(n, 0.0, 0.0)
        with pytest.raises(InvariantError, match="2 pairs"):
            paired_difference_interval(n, 0.0, 0.0)
    for variance in (-1.0, math.nan, math.inf):
        with pytest.raises(InvariantError):
            mean_interval(5, 0.0, variance)
    for squares in (1.0, math.nan):
        with pytest.raises(InvariantError, match="no 2 differences"):
            paired_difference_interval(2, 2.0, squares)
    for wins, losses, n in ((0, 0, 0), (-1, 0, 5), (3, 3, 5)):
        with pytest.raises(InvariantError, match="among the n pairs"):
            paired_proportion_interval(wins, losses, n)
    for confidence in (0.0, 1.0, math.nan):
        with pytest.raises(InvariantError, match="between 0 and 1"):
            wilson_interval(1, 2, confidence)
