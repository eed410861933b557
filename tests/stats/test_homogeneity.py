"""The tests behind an alarm agree with independent sources, and keep their level where rules of thumb do not."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2, chi2_contingency, hypergeom, ks_2samp, mannwhitneyu

from anew.domain.errors import InvariantError
from anew.stats.homogeneity import same_extremes, same_order, same_rank, same_share, same_shares

counts = st.lists(st.integers(0, 10_000), min_size=1, max_size=40)


@st.composite
def two_sides(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    first = draw(counts)
    second = draw(st.lists(st.integers(0, 10_000), min_size=len(first), max_size=len(first)))
    first[0] += 1
    second[-1] += 1
    return np.array(first), np.array(second)


@given(two_sides())
def test_every_p_value_is_one_and_the_sides_may_change_places(sides: tuple[np.ndarray, np.ndarray]) -> None:
    first, second = sides
    for test in (same_shares, same_order, same_rank):
        found = test(first, second)
        assert 0 <= found <= 1
        assert found == pytest.approx(test(second, first), rel=1e-6, abs=1e-12)
        assert test(first, 3 * first) > 0.5


@given(two_sides(), st.randoms(use_true_random=False))
def test_only_the_order_tests_care_for_order(sides: tuple[np.ndarray, np.ndarray], chance: object) -> None:
    first, second = sides
    places = list(range(len(first)))
    chance.shuffle(places)  # type: ignore[attr-defined]  # a random.Random
    assert same_shares(first[places], second[places]) == pytest.approx(same_shares(first, second), rel=1e-9)
    assert same_rank(first[::-1], second[::-1]) == pytest.approx(same_rank(first, second), rel=1e-6, abs=1e-12)


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(0, 6000), st.data())
def test_one_share_is_tested_exactly(m: int, rest: int, together: int, data: st.DataObject) -> None:
    total = m + rest
    together = min(together, total)
    law = hypergeom(total, together, m)
    found = data.draw(st.integers(max(0, m + together - total), min(m, together)))
    expected = min(2 * min(law.cdf(found), law.sf(found - 1)), 1.0)
    assert same_share(found, m, together, total) == pytest.approx(expected, rel=1e-6, abs=1e-14)


@pytest.mark.parametrize("given_counts", [(3, 2, 5, 10), (-1, 5, 5, 10), (0, 5, 6, 10), (1, 11, 5, 10)])
def test_counts_that_cannot_be_are_refused(given_counts: tuple[int, int, int, int]) -> None:
    with pytest.raises(InvariantError):
        same_share(*given_counts)


@pytest.mark.parametrize("test", [same_shares, same_order, same_rank])
def test_an_empty_window_is_no_evidence(test: object) -> None:
    for first, second in (([1, 2], [0, 0]), ([0, 0], [1, 2]), ([1, 2], [1, 2, 3])):
        with pytest.raises(InvariantError):
            test(first, second)  # type: ignore[operator]  # one of three functions


def tied(shift: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=3000).round(1), rng.normal(shift, 1, 500).round(1)
    places = np.unique(np.concatenate((x, y)))
    first, second = (np.array([(side == place).sum() for place in places]) for side in (x, y))
    return x, y, first, second


@pytest.mark.parametrize(("shift", "seed"), [(0.0, 1), (0.05, 2), (0.2, 3)])
def test_order_tests_equal_those_on_the_values_themselves(shift: float, seed: int) -> None:
    x, y, first, second = tied(shift, seed)
    assert same_rank(first, second) == pytest.approx(mannwhitneyu(x, y, use_continuity=False).pvalue, rel=0.03)
    assert same_order(first, second) == pytest.approx(ks_2samp(x, y, method="asymp").pvalue, rel=0.05)


def test_shares_equal_the_textbook_where_counts_are_large() -> None:
    first, second = np.array([50_000, 30_000, 20_000]), np.array([5100, 3050, 1900])
    pearson = chi2_contingency([first, second], correction=False).pvalue
    ratio = chi2_contingency([first, second], correction=False, lambda_="log-likelihood").pvalue
    assert same_shares(first, second) == pytest.approx(max(pearson, ratio), rel=0.01)


def levels(test: str, alpha: float) -> float:
    """Return how often a test rejects at `alpha` what is the same, where 5 are expected in each of ten slots of 500."""
    rng = np.random.default_rng(11)
    shares = np.append(np.full(10, 0.01), 0.9)
    wrong, runs = 0, 8000
    for _ in range(runs):
        first, second = rng.multinomial(100_000, shares), rng.multinomial(500, shares)
        if test == "ours":
            wrong += same_shares(first, second) <= alpha
            continue
        expected = (first + second) * (500 / 100_500)
        wrong += chi2.sf(((second - expected) ** 2 / expected).sum() * 1.005, 10) <= alpha
    return wrong / runs


def test_the_level_holds_far_out_where_pearson_does_not() -> None:
    alpha = 1e-3
    assert levels("ours", alpha) <= alpha + 3 * math.sqrt(alpha / 8000)
    assert levels("pearson", alpha) > 1.7 * alpha


def test_the_rank_sum_keeps_its_level_where_nearly_all_rows_are_alike() -> None:
    rng = np.random.default_rng(12)
    shares, alpha, runs = np.array([0.985, 0.01, 0.005]), 1e-3, 20_000
    first, second = rng.multinomial(50_000, shares, runs), rng.multinomial(400, shares, runs)
    wrong = sum(same_rank(a, b) <= alpha for a, b in zip(first, second, strict=True))
    assert wrong / runs <= alpha + 4 * math.sqrt(alpha / runs)


def test_a_shift_is_seen_sooner_by_ranks_and_a_spread_by_shares() -> None:
    rng = np.random.default_rng(13)
    edges = np.linspace(-3, 3, 60)

    def counted(values: np.ndarray) -> np.ndarray:
        return np.bincount(np.searchsorted(edges, values), minlength=61)

    base = counted(rng.normal(size=50_000))
    moved, wider = counted(rng.normal(0.15, 1, 1000)), counted(rng.normal(0, 1.3, 1000))
    assert same_rank(base, moved) < 0.2 * same_order(base, moved)
    assert same_rank(base, wider) > 1e-3 > 1e-6 > same_shares(base, wider)


@pytest.mark.parametrize(("k", "n", "m"), [(1, 5, 5), (2, 3, 3), (4, 10, 6), (25, 100, 50)])
def test_extremes_are_counted_over_all_ways_to_share_the_ranks_out(k: int, n: int, m: int) -> None:
    exact = math.comb(n + m - k, n) / math.comb(n + m, n)
    assert same_extremes(0, k, n, m) == pytest.approx(min(2 * exact, 1.0), rel=1e-9)
    assert same_extremes(k, 0, n, m) == same_extremes(0, k, n, m)
    assert same_extremes(k, 0, n, m, inertia=2.0) >= same_extremes(k, 0, n, m)


def test_extremes_are_found_by_chance_as_rarely_as_promised() -> None:
    chance = np.random.default_rng(11)
    p_values = []
    for _ in range(2000):
        first, second = chance.normal(size=40), chance.normal(size=30)
        below, above = int((second < first.min()).sum()), int((second > first.max()).sum())
        p_values.append(same_extremes(below, above, 40, 30))
    for alpha in (0.05, 0.01):
        assert np.mean(np.array(p_values) <= alpha) <= alpha + 3 * (alpha / 2000) ** 0.5


def test_nothing_beyond_the_range_is_no_evidence_and_impossible_counts_are_refused() -> None:
    assert same_extremes(0, 0, 10, 10) == 1.0
    assert same_extremes(0, 100, 4000, 2000) < 1e-40
    for wrong in ((-1, 0, 5, 5), (3, 3, 5, 5), (0, 0, 0, 5), (0, 0, 5, 0)):
        with pytest.raises(InvariantError):
            same_extremes(*wrong)
