"""How many rows count as one: the textbook's number where there is one, 1 where rows are independent."""

import math

import numpy as np
import pytest

from anew.stats.change import measure_change
from anew.stats.homogeneity import same_rank, same_share
from anew.stats.inertia import level_inertia, number_inertia, resemblance, telling_rows
from anew.stats.profile import Reference


def remembering(phi: float, n: int, seed: int) -> np.ndarray:
    """Return an AR(1) process, standard normal at every instant."""
    rng = np.random.default_rng(seed)
    values, noise = np.empty(n), rng.normal(size=n) * math.sqrt(1 - phi * phi)
    values[0] = rng.normal()
    for i in range(1, n):
        values[i] = phi * values[i - 1] + noise[i]
    return values


@pytest.mark.parametrize("phi", [0.5, 0.9, 0.97])
def test_it_is_that_of_an_autoregressive_process(phi: float) -> None:
    found = np.mean([number_inertia(remembering(phi, 10_000, seed)) for seed in range(5)])
    assert found == pytest.approx((1 + phi) / (1 - phi), rel=0.12)


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(1).normal(size=10_000),
        np.random.default_rng(2).standard_cauchy(10_000),
        np.random.default_rng(3).integers(0, 2, 10_000).astype(float),
        np.where(np.random.default_rng(4).random(10_000) < 0.3, np.nan, 1.0),
        np.tile([0.0, 1.0], 5000),
        np.ones(10_000),
        np.full(10_000, np.nan),
        np.arange(99.0),
        np.zeros(0),
    ],
)
def test_independent_rows_and_nothing_to_tell_count_as_they_are(values: np.ndarray) -> None:
    assert 1.0 <= number_inertia(values) < 1.1


def test_a_sensor_that_is_out_for_hours_is_seen_in_what_is_missing() -> None:
    values = np.random.default_rng(5).normal(size=10_000)
    values[remembering(0.95, 10_000, 6) > 1] = np.nan
    assert number_inertia(values) > 10


def test_levels_count_by_their_most_frequent_ones() -> None:
    rng = np.random.default_rng(7)
    assert level_inertia(rng.integers(-1, 5, 10_000)) < 1.1
    assert level_inertia(np.repeat(rng.integers(0, 5, 500), 20)) == pytest.approx(20, rel=0.2)
    assert level_inertia(np.zeros(0, dtype=np.int64)) == 1.0


def test_windows_of_rows_that_resemble_each_other_alarm_no_more_often_than_others() -> None:
    """Not so when every row is taken as independent."""
    phi, n, alpha, windows = 0.8, 500, 0.05, 150
    against = Reference.fit({"x": remembering(phi, 40_000, 8)})
    own, stream = against.own.columns["x"], remembering(phi, n * windows, 9)
    inertia = number_inertia(remembering(phi, 10_000, 8))
    found = {1.0: 0, inertia: 0}
    for start in range(0, n * windows, n):
        now = against.profile({"x": stream[start : start + n]}).columns["x"]
        for each in found:
            change = measure_change(own, now, inertia=each)
            assert change is not None
            found[each] += change.p_value <= alpha
    assert found[1.0] > 0.4 * windows
    assert found[inertia] <= alpha * windows + 3 * math.sqrt(alpha * windows)


def test_a_window_of_n_rows_of_which_k_count_as_one_is_one_of_so_many_fewer() -> None:
    rng = np.random.default_rng(10)
    first, second = rng.multinomial(40_000, np.full(50, 0.02)), rng.multinomial(4000, np.linspace(0.015, 0.025, 50))
    fewer = same_rank(first // 4, second // 4)
    assert math.log(same_rank(first, second, inertia=4.0)) == pytest.approx(math.log(fewer), rel=0.25)
    assert same_share(40, 400, 60, 4400, inertia=4.0) == same_share(10, 100, 15, 1100)
    assert same_share(3, 400, 3, 4400, inertia=10.0) == 1.0


def chained(rare: float, stays: float, n: int, seed: int) -> np.ndarray:
    """Return two levels, of which the rare one is followed by itself with a chance of `stays`."""
    chance, codes = np.random.default_rng(seed).random(n), np.zeros(n, dtype=int)
    comes = rare * (1 - stays) / (1 - rare)
    for i in range(1, n):
        codes[i] = chance[i] < (stays if codes[i - 1] else comes)
    return np.where(codes == 1, "b", "a")


@pytest.mark.parametrize("rare", [0.02, 0.1, 0.5])
def test_resemblance_scatters_no_more_than_its_telling_rows_allow(rare: float) -> None:
    columns = [chained(rare, 0.6, 1000, seed) for seed in range(200)]
    scatter = np.std([resemblance(column) for column in columns])
    telling = np.mean([telling_rows(column) for column in columns])
    assert 0.4 / math.sqrt(telling) < scatter < 1 / math.sqrt(telling)
    assert rare > 0.1 or scatter > 1.2 / math.sqrt(1000), "control: all rows would allow too little"


def test_all_known_numbers_tell() -> None:
    assert telling_rows(np.array([1.0, np.nan, 2.0, 3.0])) == 3
    assert telling_rows(np.array([])) == telling_rows(np.full(50, 7.0)) == 0
