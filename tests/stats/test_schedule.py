"""Hindsight's schedules: against trying all of them, and honest about noise."""

from itertools import combinations, product

import numpy as np
import pytest

from anew.domain.errors import InvariantError
from anew.stats.schedule import Fit, best_schedules, cross_fitted, schedule_losses

WINDOWS, START = 8, 2


def losses(seed: int, spans: int = 2) -> np.ndarray:
    found = np.random.default_rng(seed).exponential(size=(spans, WINDOWS, WINDOWS))
    for end in range(WINDOWS):
        found[:, end, :end] = np.inf
    return found


@pytest.mark.parametrize("delay", [0, 2])
@pytest.mark.parametrize("seed", range(5))
def test_no_schedule_is_better_of_all_that_there_are(seed: int, delay: int) -> None:
    board = losses(seed)
    found = best_schedules(board, start=START, delay=delay, most=3)
    for k in range(4):
        tried = [
            schedule_losses(
                board,
                tuple(Fit(window=w, span=s) for w, s in zip(windows, chosen, strict=True)),
                start=START,
                delay=delay,
            ).sum()
            for windows in combinations(range(START + delay + 1, WINDOWS), k)
            for chosen in product(range(2), repeat=k)
        ]
        assert schedule_losses(board, found[k], start=START, delay=delay).sum() == pytest.approx(min(tried))


def test_a_model_that_could_not_be_trained_is_in_no_schedule() -> None:
    board = losses(0)
    board[:, 4] = np.inf
    board[1, 5] = np.inf
    for schedule in best_schedules(board, start=START, delay=0, most=4):
        assert all(fit.window != 4 and (fit.window, fit.span) != (5, 1) for fit in schedule)


def test_more_fits_than_there_are_windows_are_as_good_as_all() -> None:
    found = best_schedules(losses(1), start=START, delay=3, most=WINDOWS)
    assert [len(each) for each in found] == [0, 1, 2, 2, 2, 2, 2, 2, 2]


def test_hindsight_gains_nothing_on_noise_when_it_is_scored_on_other_rows() -> None:
    chance = np.random.default_rng(0)
    halves = tuple(chance.normal(10.0, 1.0, size=(3, 40, 40)) for _ in range(2))
    naive = schedule_losses(halves[0], best_schedules(halves[0], start=2, delay=0, most=15)[15], start=2, delay=0).sum()
    honest = cross_fitted((halves[0], halves[1]), start=2, delay=0, most=15).loss
    assert naive < 0.95 * 380
    assert honest[15] == pytest.approx(760, rel=0.02)
    assert honest[0] == pytest.approx((halves[0] + halves[1])[0, 2, 2:].sum())


def test_what_cannot_be_scheduled_is_refused() -> None:
    with pytest.raises(InvariantError, match="no schedule"):
        best_schedules(losses(0), start=0, delay=0, most=1)
