"""Distances against scipy and the textbook, and what they must and must not be moved by."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from anew.domain.errors import InvariantError
from anew.stats.column import ColumnProfile
from anew.stats.distance import (
    chi_squared,
    coarsen,
    js,
    kl,
    ks,
    psi,
    psi_deciles,
    total_variation,
    wasserstein,
)
from anew.stats.profile import Column, Reference
from anew.stats.significance import psi_evidence

COUNTS = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=1, max_size=30).filter(
    lambda pairs: sum(a for a, _ in pairs) > 0 and sum(b for _, b in pairs) > 0
)


def profiles(reference: Column, current: Column) -> tuple[ColumnProfile, ColumnProfile]:
    against = Reference.fit({"x": reference})
    return against.own.columns["x"], against.profile({"x": current}).columns["x"]


def vectors(pairs: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([a for a, _ in pairs]), np.array([b for _, b in pairs])


FIRST, SECOND = np.array([120, 340, 25, 515]), np.array([30, 60, 20, 90])
P, Q = (FIRST + 0.5) / 1002, (SECOND + 0.5) / 202


def test_psi_and_kl_are_the_textbook_sums_of_smoothed_shares() -> None:
    by_hand = sum((q - p) * math.log(q / p) for p, q in zip(P, Q, strict=True))
    assert psi(FIRST, SECOND) == pytest.approx(by_hand)
    assert kl(FIRST, SECOND) == pytest.approx(stats.entropy(Q, P))
    assert psi(FIRST, SECOND) == pytest.approx(kl(FIRST, SECOND) + kl(SECOND, FIRST))


def test_js_is_scipys_distance_base_2() -> None:
    assert js(FIRST, SECOND) == pytest.approx(jensenshannon(FIRST, SECOND, base=2))
    assert js([1, 0], [0, 5]) == pytest.approx(1.0)


def test_total_variation_is_half_the_sum_of_absolute_differences() -> None:
    assert total_variation([50, 30, 20], [5, 3, 2]) == 0.0
    assert total_variation([50, 50, 0], [25, 50, 25]) == pytest.approx(0.25)


@pytest.mark.parametrize("current", [SECOND, FIRST, np.array([1, 2, 3, 4])])
def test_chi_squared_is_scipys_two_sample_test(current: np.ndarray) -> None:
    theirs = stats.chi2_contingency(np.array([FIRST, current]), correction=False)
    ours = chi_squared(FIRST, current)
    assert (ours.statistic, ours.freedom, ours.p_value) == pytest.approx((theirs.statistic, theirs.dof, theirs.pvalue))


def test_psi_deciles_is_the_credit_risk_index_on_reference_deciles() -> None:
    rng = np.random.default_rng(1)
    reference, current = rng.normal(size=51_200), rng.normal(0.4, 1.1, size=5000)
    edges = np.quantile(reference, np.arange(1, 10) / 10)
    p, q = (np.bincount(np.digitize(x, edges), minlength=10) / len(x) for x in (reference, current))
    textbook = float(((q - p) * np.log(q / p)).sum())
    assert psi_deciles(*profiles(reference, current)) == pytest.approx(textbook, rel=0.02)


def test_psi_deciles_puts_1e_4_for_an_empty_share() -> None:
    assert psi_deciles([50, 50, 0], [40, 40, 20]) == pytest.approx(
        2 * (0.4 - 0.5) * math.log(0.4 / 0.5) + (0.2 - 1e-4) * math.log(0.2 / 1e-4)
    )


SHAPES: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "normal": lambda rng, n: rng.normal(size=n),
    "lognormal": lambda rng, n: rng.lognormal(sigma=1.5, size=n),
    "uniform": lambda rng, n: rng.random(size=n),
    "poisson": lambda rng, n: rng.poisson(4.0, size=n).astype(float),
    "third zeros": lambda rng, n: np.where(rng.random(n) < 0.3, 0.0, rng.normal(size=n)),
    "instants": lambda rng, n: 1.7e9 + rng.normal(scale=86_400.0, size=n),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_ks_and_wasserstein_are_scipys_on_the_raw_values(shape: str, shift: float) -> None:
    rng = np.random.default_rng(2)
    reference, current = SHAPES[shape](rng, 50_000), SHAPES[shape](rng, 5_000)
    current = current + shift * reference.std()
    first, second = profiles(reference, current)
    exact = stats.ks_2samp(reference, current).statistic
    assert exact - 0.005 <= ks(first, second) <= exact + 1e-12
    iqr = float(np.subtract(*np.quantile(reference, [0.75, 0.25], method="inverted_cdf")))
    earth = stats.wasserstein_distance(reference, current) / iqr
    assert wasserstein(first, second) == pytest.approx(earth, rel=0.03, abs=0.012)


def test_wasserstein_falls_back_where_the_reference_has_no_quartiles() -> None:
    mostly = np.array([0.0] * 90 + [10.0] * 10)
    assert wasserstein(*profiles(mostly, mostly + 3.0)) == pytest.approx(3.0 / mostly.std())
    assert wasserstein(*profiles(np.full(10, 5.0), np.full(3, 7.0))) == pytest.approx(2.0)


@settings(deadline=None, max_examples=200)
@given(COUNTS)
def test_the_laws_that_any_two_counts_obey(pairs: list[tuple[int, int]]) -> None:
    a, b = vectors(pairs)
    for symmetric in (psi, psi_deciles, js, total_variation):
        assert symmetric(a, b) == pytest.approx(symmetric(b, a), abs=1e-12)
    for distance in (psi, psi_deciles, kl, js, total_variation):
        assert 0.0 <= distance(a, b) + 1e-12 < math.inf
        assert distance(a, a) == pytest.approx(0.0, abs=1e-7)
    assert js(a, b) <= 1.0 + 1e-12
    assert total_variation(a, b) <= 1.0 + 1e-12
    # Pinsker's inequality ties them together: TV <= sqrt(KL / 2), on the same smoothed shares.
    held = (a + b) > 0
    p, q = ((x[held] + 0.5) / (x[held] + 0.5).sum() for x in (a, b))
    assert np.abs(p - q).sum() / 2 <= math.sqrt(max(kl(a, b), 0.0) / 2) + 1e-7
    # Slots that are empty on both sides are no evidence of anything.
    assert psi(np.append(a, 0), np.append(b, 0)) == pytest.approx(psi(a, b), abs=1e-12)
    assert 0.0 <= chi_squared(a, b).p_value <= 1.0


STRANGE = [
    np.array([5.0]),
    np.full(400, 5.0),
    np.array([np.nan, 1.0]),
    np.array([np.inf, -np.inf, 0.0]),
    np.array([1e308, -1e308]),
    np.array([None, 1.0], dtype=object),
    np.arange(400.0),
]


@pytest.mark.parametrize("reference", STRANGE, ids=str)
@pytest.mark.parametrize("current", STRANGE, ids=str)
def test_strange_columns_have_finite_distances(reference: np.ndarray, current: np.ndarray) -> None:
    first, second = profiles(reference, current)
    for distance in (psi, psi_deciles, kl, js, total_variation, ks, wasserstein):
        assert math.isfinite(distance(first, second)), distance
    assert 0.0 <= chi_squared(first, second).p_value <= 1.0


def test_one_value_of_a_million_among_twenty_thousand_moves_little() -> None:
    rng = np.random.default_rng(3)
    reference, current = rng.normal(size=20_000), rng.normal(0.5, size=20_000)
    struck = current.copy()
    struck[7] = 1e6
    first, clean = profiles(reference, current)
    _, dirty = profiles(reference, struck)
    for distance in (psi, psi_deciles, js, kl):
        assert distance(first, dirty) == pytest.approx(distance(first, clean), rel=0.01)


@pytest.mark.parametrize(("shape", "moved"), [("normal", 1.0), ("uniform", 2 / 3)])
def test_without_drift_they_are_off_by_as_much_as_they_say(shape: str, moved: float) -> None:
    rng = np.random.default_rng(6)
    draw = rng.normal if shape == "normal" else rng.uniform
    pairs = [profiles(draw(size=5000), draw(size=1000)) for _ in range(60)]
    noise = math.sqrt(1 / 5000 + 1 / 1000)
    assert np.mean([ks(*each) for each in pairs]) == pytest.approx(0.87 * noise, rel=0.1)
    assert np.mean([wasserstein(*each) for each in pairs]) == pytest.approx(moved * noise, rel=0.12)


def test_nulls_from_none_to_forty_percent_are_seen() -> None:
    rng = np.random.default_rng(4)
    reference = rng.normal(size=20_000)
    current = rng.normal(size=500).astype(object)
    current[rng.random(500) < 0.4] = None
    first, second = profiles(reference, current)
    assert psi_deciles(first, second) > 0.25
    assert psi_evidence(first, second).p_value < 1e-12
    # It is the nulls that are seen, not the rest.
    third = profiles(reference, np.array([x for x in current if x is not None], dtype=object))[1]
    assert psi_deciles(first, third) < 0.1


def test_a_new_category_of_five_percent_is_finite_and_seen() -> None:
    rng = np.random.default_rng(5)
    reference = np.array(list("abc"))[rng.integers(0, 3, 20_000)]
    current = np.where(rng.random(500) < 0.05, "new", np.array(list("abc"))[rng.integers(0, 3, 500)])
    first, second = profiles(reference, current)
    assert 0.25 < psi_deciles(first, second) < 1.0
    assert psi_evidence(first, second).p_value < 1e-6
    assert math.isfinite(psi(first, second))
    assert math.isfinite(kl(first, second))


def test_coarse_slots_are_deciles_with_open_ends_and_the_special_ones() -> None:
    reference = np.random.default_rng(6).normal(size=10_000)
    window = np.array([-99.0, 99.0, 99.0, None, np.nan, np.inf, np.inf, np.inf, -np.inf], dtype=object)
    first, second = coarsen(*profiles(reference, window))
    assert first[:10].sum() == 10_000
    assert np.abs(first[:10] - 1000).max() <= 40
    assert first[10:].tolist() == [0, 0, 0, 0]
    assert second.tolist() == [1, *[0] * 8, 2, 1, 3, 1, 1]  # ten groups, -infinity, +infinity, NaN, null


def test_levels_that_the_window_can_hardly_hold_are_pooled_but_new_ones_are_not() -> None:
    reference = np.repeat(np.array(["often", "rare one", "rare two"]), [980, 10, 10])
    window = np.array(["often"] * 90 + ["rare one"] * 6 + ["rare two"] * 2 + ["new"] * 2)
    assert [side.tolist() for side in coarsen(*profiles(reference, window))] == [[20, 980, 0], [8, 90, 2]]


def test_other_is_the_pool_however_heavy_it_is() -> None:
    reference = np.repeat(np.array(["often", "rare", *"abcdefgh"]), [500, 200, *[100] * 8])
    against = Reference.fit({"x": reference}, vocabulary=2)
    window = against.profile({"x": np.array(["often"] * 6 + ["rare"] * 2 + ["a"] * 12)}).columns["x"]
    first, second = coarsen(against.own.columns["x"], window)
    assert (first.tolist(), second.tolist()) == ([1000, 500], [14, 6])


def test_distances_refuse_what_cannot_be_compared() -> None:
    first, second = profiles(np.arange(10.0), np.arange(5.0))
    other = Reference.fit({"x": np.arange(11.0)}).own.columns["x"]
    levels = Reference.fit({"x": np.array(["a"])}).own.columns["x"]
    empty = profiles(np.arange(10.0), np.empty(0))[1]
    for distance in (psi, psi_deciles, kl, js, total_variation, ks, wasserstein, chi_squared, coarsen):
        with pytest.raises(InvariantError, match="empty window"):
            distance(first, empty)
        with pytest.raises(InvariantError, match="same bins"):
            distance(first, other)
    for distance in (ks, wasserstein):
        with pytest.raises(InvariantError, match="numeric"):
            distance(levels, levels)
    with pytest.raises(InvariantError, match="not one of each"):
        psi(first, second.counts)
    with pytest.raises(InvariantError, match="one shape"):
        psi([1, 2], [1, 2, 3])
