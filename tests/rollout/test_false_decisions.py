"""How often the shadow's judge is wrong when it is read after every single request, and what a plain test would do."""

from math import log, sqrt

import numpy as np
import pytest

from anew.rollout import Outcome
from anew.rollout.shadow import Shadow
from anew.stats.betting import e_value_threshold, paired_e_values
from tests.rollout.test_judges import paired

RUNS, REQUESTS, DISAGREE = 300, 4000, 0.06
GRID = np.array([-1.0, 0.0, 1.0])
JUDGE = Shadow()
MOST = JUDGE.alpha + 3 * sqrt(JUDGE.alpha * (1 - JUDGE.alpha) / RUNS)
"""The promised level, and the chance of so many runs."""


def worlds(gain: float) -> np.ndarray:
    """Return paired gains of so much in the mean, shape `(RUNS, REQUESTS)`."""
    drawn = np.random.default_rng((7, round(1000 * gain) + 1000)).random((RUNS, REQUESTS))
    gains: np.ndarray = np.where(drawn < (DISAGREE + gain) / 2, 1, np.where(drawn < DISAGREE, -1, 0))
    return gains


def ruled(counts: np.ndarray) -> Outcome:
    """Ask the judge itself."""
    return JUDGE.rule(paired(*counts.tolist())).outcome


def decided(gains: np.ndarray) -> Outcome:
    """Return how one run ends: its e-values tell where the judge has to be asked."""
    counts = np.stack([np.cumsum(gains == point) for point in GRID], axis=1)
    bar, enough = log(e_value_threshold(JUDGE.alpha)), np.arange(1, len(gains) + 1) >= JUDGE.at_least_rows
    sure = [paired_e_values(counts, GRID, JUDGE.margin, side) >= bar for side in ("non_inferiority", "harm")]
    ends = np.flatnonzero((sure[0] | sure[1]) & enough)
    if not len(ends):
        assert ruled(counts[-1]) is Outcome.HOLD
        return Outcome.HOLD
    outcome = ruled(counts[ends[0]])
    assert outcome is not Outcome.HOLD
    return outcome


def share(outcome: Outcome, gain: float) -> float:
    return sum(decided(run) is outcome for run in worlds(gain)) / RUNS


@pytest.mark.fault("P10")
def test_the_same_model_on_both_sides_is_seldom_taken_back_however_often_it_is_looked_at() -> None:
    assert share(Outcome.HARM, 0.0) <= MOST


@pytest.mark.fault("P11")
@pytest.mark.parametrize("gain", [-JUDGE.margin, -0.03])
def test_a_challenger_that_is_worse_is_seldom_promoted_however_often_it_is_looked_at(gain: float) -> None:
    assert share(Outcome.ADVANCE, gain) <= MOST
    if gain < -JUDGE.margin:
        assert share(Outcome.HARM, gain) > 0.9


@pytest.mark.fault("P10")
@pytest.mark.fault("P11")
@pytest.mark.parametrize(("gain", "of"), [(0.0, "harm"), (-JUDGE.margin, "proof")])
def test_control_a_plain_test_read_as_often_breaks_the_level(gain: float, of: str) -> None:
    gains = worlds(gain)
    n = np.arange(1, REQUESTS + 1)
    mean = np.cumsum(gains, axis=1) / n
    error = np.sqrt(np.maximum(np.cumsum(gains**2, axis=1) / n - mean**2, 1e-12) / n)
    far = (-mean if of == "harm" else mean + JUDGE.margin) / error
    wrong = (far[:, JUDGE.at_least_rows :] > 1.645).any(axis=1).mean()
    assert wrong > 2 * MOST
