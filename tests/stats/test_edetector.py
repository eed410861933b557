"""Bets that the loss has risen: seldom won without a rise, whenever one looks, and soon with one."""

import math

import numpy as np
import pytest

from anew.domain.errors import InvariantError
from anew.stats.edetector import rise_evidence, rise_of_counts

ROWS, PARTS = 1600, 32
NUMBER = np.arange(ROWS) // (ROWS // PARTS)


def errors(seed: int, rate: np.ndarray) -> np.ndarray:
    return (np.random.default_rng(seed).random(len(rate)) < rate).astype(np.float64)


def ever(losses: np.ndarray, mean: float, alpha: float) -> bool:
    """Look after every interval."""
    limit = math.log(PARTS / alpha)
    looks = range(ROWS // PARTS, ROWS + 1, ROWS // PARTS)
    return any(rise_evidence(losses[:k], NUMBER[:k], mean).log_sum >= limit for k in looks)


def test_looking_always_wins_seldom_without_a_rise() -> None:
    won = [ever(errors(seed, np.full(ROWS, 0.2)), 0.2, 0.1) for seed in range(150)]
    assert np.mean(won) <= 0.1
    # Planted: without paying for its 32 beginnings it would win too often.
    cheap = [ever(errors(seed, np.full(ROWS, 0.2)), 0.2, 0.1 * PARTS * 4) for seed in range(150)]
    assert np.mean(cheap) > 0.1


@pytest.mark.parametrize(
    "rate",
    [np.repeat([0.2, 0.35], [1200, 400]), np.concatenate([np.full(800, 0.2), np.linspace(0.2, 0.4, 800)])],
    ids=["abrupt", "gradual"],
)
def test_rises_are_mostly_won(rate: np.ndarray) -> None:
    assert np.mean([ever(errors(seed, rate), 0.2, 0.05) for seed in range(40)]) >= 0.9


def test_the_expected_sum_is_the_number_of_beginnings() -> None:
    sums = [
        math.exp(rise_evidence(errors(seed, np.full(40, 0.3)), np.arange(40) // 10, 0.3).log_sum)
        for seed in range(4000)
    ]
    assert np.mean(sums) == pytest.approx(4.0, rel=0.15)


def test_numbers_of_one_beginning_are_those_of_a_plain_bet() -> None:
    losses = np.array([1.0, 0.0, 1.0, 0.5])
    bets = [0.025, 0.05, 0.1, 0.2, 0.4]
    plain = np.mean([np.prod(1 + bet * (losses / 0.25 - 1)) for bet in bets])
    assert rise_evidence(losses, np.zeros(4, dtype=np.int64), 0.25).log_sum == pytest.approx(math.log(plain))


def test_the_change_is_placed_at_the_beginning_before_it() -> None:
    found = rise_evidence(errors(1, np.repeat([0.1, 0.6], [1000, 600])), NUMBER, 0.12)
    assert found.since == pytest.approx(1000, abs=50)


def test_an_old_beginning_left_out_only_takes_evidence_away() -> None:
    losses = errors(4, np.full(ROWS, 0.25))
    whole = rise_evidence(losses, NUMBER, 0.2).log_sum
    later = rise_evidence(losses[400:], NUMBER[400:], 0.2).log_sum
    assert later <= whole


@pytest.mark.parametrize(
    ("losses", "number", "mean"),
    [
        ([], [], 0.2),
        ([1.2], [0], 0.2),
        ([np.nan], [0], 0.2),
        ([0.1, 0.1], [1, 0], 0.2),
        ([0.1], [0], 1.0),
        ([0.1], [0], 0.0),
    ],
)
def test_what_cannot_be_bet_on_is_refused(losses: list[float], number: list[int], mean: float) -> None:
    with pytest.raises(InvariantError):
        rise_evidence(np.array(losses), np.array(number, dtype=np.int64), mean)


@pytest.mark.parametrize("seed", range(5))
def test_counts_of_losses_that_are_0_or_1_give_what_the_losses_do(seed: int) -> None:
    chances = np.random.default_rng(seed)
    number = np.sort(chances.integers(0, 12, 300))
    losses = (chances.random(300) < np.where(number > 7, 0.5, 0.2)).astype(float)
    met = np.unique(number)
    wrong = np.array([int(losses[number == each].sum()) for each in met])
    right = np.array([int((number == each).sum()) for each in met]) - wrong
    whole, counted = rise_evidence(losses, number, 0.2), rise_of_counts(right, wrong, 0.2)
    assert counted.log_sum == pytest.approx(whole.log_sum)
    assert number[whole.since] == met[counted.since]


def test_nothing_counted_is_nothing_to_bet_on() -> None:
    none = np.empty(0, dtype=np.int64)
    with pytest.raises(InvariantError):
        rise_of_counts(none, none, 0.2)
