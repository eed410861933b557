"""Bets: levels kept under peeking, power as published, and rounding that never helps the claim."""

import math
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anew.domain.errors import InvariantError
from anew.stats.betting import (
    BETS,
    Side,
    difference_confidence_sequence,
    difference_grid,
    discretise,
    e_value_threshold,
    mean_confidence_sequence,
    paired_confidence_sequence,
    paired_e_value,
    paired_e_values,
    unit_grid,
)

SIGNS = np.array([-1.0, 0.0, 1.0])
ALPHA, LOOK, LOOKS, RUNS = 0.05, 100, 200, 2000
BAR = math.log(1 / ALPHA)


def looks(worse: float, better: float, seed: int) -> np.ndarray:
    """Return counts of (worse, same, better) pairs at each look, shape (RUNS, LOOKS, 3)."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(LOOK, [worse, 1 - worse - better, better], size=(RUNS, LOOKS)).cumsum(axis=1)


def wealth(counts: np.ndarray, margin: float, side: Side) -> np.ndarray:
    """Return log e-values of many counts, shape (..., 3), written apart from the code under test."""
    gains, worst = (SIGNS + margin, 1 - margin) if side == "non_inferiority" else (-SIGNS - margin, 1 + margin)
    logs = [counts @ np.log(1 + bet * gains / worst) for bet in BETS]
    mixed: np.ndarray = np.logaddexp.reduce(logs) - math.log(len(BETS))
    return mixed


def first(reached: np.ndarray) -> np.ndarray:
    """Return the first look at which something held, LOOKS if never; shape (RUNS,)."""
    return np.where(reached.any(axis=1), reached.argmax(axis=1), LOOKS)


def judged(worse: float, better: float, seed: int) -> tuple[float, float, float]:
    """Return the shares promoted and rolled back, and the median events to either, margin 1 point and harm 0."""
    counts = looks(worse, better, seed)
    good = first(wealth(counts, 0.01, "non_inferiority") >= BAR)
    bad = first(wealth(counts, 0.0, "harm") >= BAR)
    return (good < bad).mean(), (bad < good).mean(), (np.median(np.minimum(good, bad)) + 1) * LOOK


SLACK = 3 * math.sqrt(ALPHA * (1 - ALPHA) / RUNS)


def test_an_equal_challenger_is_promoted_in_most_runs_after_3400_events() -> None:
    promoted, rolled_back, median = judged(0.025, 0.025, seed=1)
    assert promoted > 0.95
    assert rolled_back <= ALPHA + SLACK
    assert 2800 <= median <= 4000


def test_one_that_is_worse_by_the_margin_is_seldom_promoted() -> None:
    counts = looks(0.03, 0.02, seed=2)
    ever = (wealth(counts, 0.01, "non_inferiority") >= BAR).any(axis=1).mean()
    assert 0.005 < ever <= ALPHA + SLACK


def test_one_that_is_just_within_the_harm_is_seldom_condemned() -> None:
    counts = looks(0.03, 0.02, seed=3)
    ever = (wealth(counts, 0.01, "harm") >= BAR).any(axis=1).mean()
    assert 0.005 < ever <= ALPHA + SLACK


def test_clear_cases_are_decided_early() -> None:
    promoted, _, median = judged(0.02, 0.03, seed=4)
    assert promoted > 0.99
    assert median <= 1400
    promoted, rolled_back, median = judged(0.04, 0.01, seed=5)
    assert promoted < 0.01
    assert rolled_back > 0.99
    assert median <= 700


@pytest.mark.parametrize("side", ["non_inferiority", "harm"])
def test_skewed_differences_keep_the_level_too(side: Side) -> None:
    # The mean lies on the margin, where rare large differences are easily missed: asymptotic tests fail here.
    rng = np.random.default_rng(6)
    sign = -1.0 if side == "non_inferiority" else 1.0
    # One in 50 is worth a half, the rest make up for it: mean -0.01 either way.
    rare = 0.02
    common = (-0.01 - rare * sign * 0.5) / (1 - rare)
    hits = rng.binomial(LOOK, rare, size=(RUNS, LOOKS)).cumsum(axis=1)
    misses = LOOK * np.arange(1, LOOKS + 1) - hits
    values = np.array([sign * 0.5, common])
    gains, worst = (values + 0.01, 0.99) if side == "non_inferiority" else (-values - 0.01, 1.01)
    logs = [hits * np.log(1 + b * gains[0] / worst) + misses * np.log(1 + b * gains[1] / worst) for b in BETS]
    ever = (np.logaddexp.reduce(logs) - math.log(len(BETS)) >= BAR).any(axis=1).mean()
    assert ever <= ALPHA + SLACK


@settings(deadline=None)
@given(
    counts=st.lists(st.integers(0, 5000), min_size=3, max_size=3),
    margin=st.sampled_from([0.0, 0.01, 0.05, 0.5]),
    side=st.sampled_from(["non_inferiority", "harm"]),
)
def test_the_e_value_is_the_mixture_of_products_by_hand(counts: list[int], margin: float, side: Side) -> None:
    expected = float(wealth(np.array(counts), margin, side))
    assert paired_e_value(counts, SIGNS, margin, side) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("side", ["non_inferiority", "harm"])
def test_many_looks_at_once_are_each_as_by_itself(side: Side) -> None:
    counts = np.random.default_rng(0).integers(0, 400, size=(20, 3))
    found = paired_e_values(counts, SIGNS, 0.01, side)
    assert found.tolist() == pytest.approx([paired_e_value(row, SIGNS, 0.01, side) for row in counts])


@pytest.mark.parametrize("counts", [[1.0, 2.0, 3.0], [[1, -1, 0]], [], [[1, 2]]])
def test_many_looks_that_are_none_are_refused(counts: object) -> None:
    with pytest.raises(InvariantError):
        paired_e_values(counts, SIGNS, 0.01, "harm")  # type: ignore[arg-type]  # on purpose


@settings(deadline=None)
@given(st.lists(st.floats(-1.0, 1.0), max_size=60), st.sampled_from([1, 3, 10, 100]))
def test_rounding_never_helps_the_claim(values: list[float], steps: int) -> None:
    grid = difference_grid(steps)
    exact_grid = np.unique([*values, -1.0, 0.0, 1.0])
    exact = np.array([values.count(point) for point in exact_grid.tolist()])
    roundings: tuple[tuple[Side, Literal["down", "up"]], ...] = (("non_inferiority", "down"), ("harm", "up"))
    for side, direction in roundings:
        counts = discretise(values, grid, direction)
        assert counts.sum() == len(values)
        rounded = paired_e_value(counts, grid, 0.02, side)
        assert rounded <= paired_e_value(exact, exact_grid, 0.02, side) + 1e-9


def test_values_on_the_grid_stay_where_they_are() -> None:
    grid = difference_grid(4)
    assert grid.tolist() == [-1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0]
    assert discretise(grid, grid, "down").tolist() == discretise(grid, grid, "up").tolist() == [1] * 9
    assert discretise([0.1, -0.1], SIGNS, "down").tolist() == [1, 1, 0]
    assert discretise([0.1, -0.1], SIGNS, "up").tolist() == [0, 1, 1]
    assert unit_grid(2).tolist() == [0.0, 0.5, 1.0]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 300), min_size=3, max_size=3), st.lists(st.integers(0, 300), min_size=3, max_size=3))
def test_evidence_of_a_better_challenger_grows_and_of_harm_shrinks(counts: list[int], more: list[int]) -> None:
    better, worse = [0, 0, sum(more)], [sum(more), 0, 0]
    base = paired_e_value(counts, SIGNS, 0.01, "non_inferiority")
    assert paired_e_value(np.add(counts, better), SIGNS, 0.01, "non_inferiority") >= base
    assert paired_e_value(np.add(counts, worse), SIGNS, 0.01, "non_inferiority") <= base
    harm = paired_e_value(counts, SIGNS, 0.01, "harm")
    assert paired_e_value(np.add(counts, worse), SIGNS, 0.01, "harm") >= harm
    # A wider margin is easier to prove, a larger harm is harder to prove.
    assert paired_e_value(counts, SIGNS, 0.05, "harm") <= harm + 1e-9 or counts[0] < sum(counts) * 0.01


def test_no_evidence_is_worth_one_and_decides_nothing() -> None:
    assert paired_e_value([0, 0, 0], SIGNS, 0.01, "non_inferiority") == 0.0
    assert mean_confidence_sequence([0, 0], [0.0, 1.0]) == (0.0, 1.0)
    assert paired_confidence_sequence([0, 0, 0], SIGNS) == (-1.0, 1.0)
    assert difference_confidence_sequence([0, 0], [0, 0], [0.0, 1.0]) == (-1.0, 1.0)
    assert e_value_threshold(0.05) == pytest.approx(20.0)


@pytest.mark.parametrize(("share", "seed"), [(0.05, 7), (0.5, 8)])
def test_a_means_bounds_hold_it_at_all_times_and_narrow(share: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    runs = 150
    sizes = np.diff([0, 10, 30, 100, 300, 1000, 3000, 10_000])
    hits = rng.binomial(sizes, share, size=(runs, len(sizes))).cumsum(axis=1)
    missed, widths = 0, []
    for run in hits:
        found = [
            mean_confidence_sequence([n - h, h], [0.0, 1.0], 0.1)
            for h, n in zip(run.tolist(), sizes.cumsum().tolist(), strict=True)
        ]
        missed += any(not low <= share <= high for low, high in found)
        widths.append([found[0].width, found[-1].width])
    assert missed / runs <= 0.1 + 3 * math.sqrt(0.09 / runs)
    last = 2 * 1.645 * math.sqrt(share * (1 - share) / 10_000)
    assert np.mean(widths, axis=0)[1] < 2.5 * last
    assert np.mean(widths, axis=0)[0] > 0.2


def test_bounds_invert_the_bets() -> None:
    low, high = mean_confidence_sequence([40, 0, 60], [0.0, 0.5, 1.0], 0.05)
    assert 0.0 < low < 0.6 < high < 1.0
    mirrored = mean_confidence_sequence([60, 0, 40], [0.0, 0.5, 1.0], 0.05)
    assert (1 - mirrored.high, 1 - mirrored.low) == pytest.approx((low, high))
    wider = mean_confidence_sequence([40, 0, 60], [0.0, 0.5, 1.0], 0.01)
    assert wider.low < low < high < wider.high
    paired = paired_confidence_sequence([40, 0, 60], SIGNS)
    assert paired == pytest.approx((2 * low - 1, 2 * high - 1))


def test_two_arms_share_the_level_and_are_wider_than_pairs() -> None:
    a, b = [900, 100], [950, 50]
    low, high = difference_confidence_sequence(a, b, [0.0, 1.0], 0.05)
    first_arm, second_arm = (mean_confidence_sequence(arm, [0.0, 1.0], 0.025) for arm in (a, b))
    assert (low, high) == pytest.approx((first_arm.low - second_arm.high, first_arm.high - second_arm.low))
    assert low < 0.05 < high
    paired = paired_confidence_sequence([25, 950, 25], SIGNS)
    assert paired.width < difference_confidence_sequence(b, b, [0.0, 1.0]).width


def test_what_cannot_be_bet_on_is_refused() -> None:
    for value in (math.nan, 1.1, -1.1, math.inf):
        with pytest.raises(InvariantError, match="within the grid"):
            discretise([0.0, value], SIGNS, "down")
    with pytest.raises(InvariantError, match="down or up"):
        discretise([0.0], SIGNS, "nearest")  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(InvariantError, match="increasing"):
        discretise([0.0], SIGNS[::-1], "down")
    for grid in ([-1.0, 1.0], [-0.5, 0.0, 1.0], [-1.0, 0.0, 0.5]):
        with pytest.raises(InvariantError, match="runs from -1 to 1"):
            paired_e_value([1] * len(grid), grid, 0.01, "harm")
    with pytest.raises(InvariantError, match="runs from 0 to 1"):
        mean_confidence_sequence([1, 1, 1], SIGNS)
    for counts in ([1, 1], [1, -1, 1], [1, math.nan, 1]):
        with pytest.raises(InvariantError, match="one count"):
            paired_e_value(counts, SIGNS, 0.01, "harm")
    for margin in (-0.01, 1.0, math.nan):
        with pytest.raises(InvariantError, match="margin"):
            paired_e_value([1, 1, 1], SIGNS, margin, "harm")
    for bets in ((), (1.0,), (0.0, 0.5)):
        with pytest.raises(InvariantError, match="bets lie"):
            paired_e_value([1, 1, 1], SIGNS, 0.01, "harm", bets=bets)
    with pytest.raises(InvariantError, match="side"):
        paired_e_value([1, 1, 1], SIGNS, 0.01, "better")  # type: ignore[arg-type]  # the mistake under test
    for alpha in (0.0, 1.0, math.nan):
        with pytest.raises(InvariantError, match="alpha"):
            e_value_threshold(alpha)
