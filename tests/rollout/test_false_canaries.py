"""How often a canary's judge is wrong when it is read after every few labels, and what a plain test would do."""

from itertools import pairwise
from math import sqrt

import numpy as np
import pytest

from anew.rollout import Outcome
from anew.rollout.canary import Canary
from tests.rollout.test_judges import arms

RUNS, EVERY, ERRORS, SHARE = 200, 20, 0.1, 0.5
SHIPPED = Canary()
EXACT = Canary(harm=0.005, margin=0.01, at_least_rows=100)
"""Nothing but the confidence sequence keeps this one from ruling: it calls any excess harm, and asks for proof."""
MOST = EXACT.alpha + 3 * sqrt(EXACT.alpha * (1 - EXACT.alpha) / RUNS)
"""The promised level, and the chance of so many runs."""
FAR, PLAIN = 2.7, 1.645
MARGIN = EXACT.margin or 0.0


def worlds(gain: float, looks: int, every: int = EVERY) -> np.ndarray:
    """Return the (right, wrong) answers of champion and challenger at each look, shape `(RUNS, looks, 2, 2)`."""
    chance = np.random.default_rng((11, round(1000 * gain) + 1000))
    answered = chance.multinomial(every, [1 - SHARE, SHARE], size=(RUNS, looks))
    wrong = chance.binomial(answered, [ERRORS, ERRORS - gain])
    return np.cumsum(np.stack([answered - wrong, wrong], axis=-1), axis=1)


def excess(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return by how much the challenger loses more at each look, its standard error, and the labels of each arm."""
    n = np.maximum(counts.sum(axis=-1), 1)
    rate = counts[..., 1] / n
    error = np.sqrt(np.maximum((rate * (1 - rate) / n).sum(axis=-1), 1e-12))
    return rate[..., 1] - rate[..., 0], error, n.min(axis=-1)


def ends(judge: Canary, counts: np.ndarray) -> list[Outcome]:
    """Return how each run ends.

    The judge is asked where it could rule: its sequence is never shorter than so many standard errors to each side.
    """
    mean, error, n = excess(counts)
    proof = mean <= judge.harm if judge.margin is None else mean + FAR * error < judge.margin
    near = ((mean > judge.harm) & (mean > FAR * error)) | (proof & (n >= judge.at_least_rows))
    near[:, -1] = True
    found = []
    for run, asked in zip(counts, near, strict=True):
        told = (judge.rule(arms(ours, theirs)).outcome for theirs, ours in run[asked].tolist())
        found.append(next((each for each in told if each is not Outcome.HOLD), Outcome.HOLD))
    return found


def share(outcome: Outcome, found: list[Outcome]) -> float:
    return found.count(outcome) / len(found)


@pytest.mark.fault("P10")
@pytest.mark.parametrize("judge", [SHIPPED, EXACT], ids=["shipped", "exact"])
def test_the_same_model_in_both_arms_is_seldom_taken_back_however_often_it_is_looked_at(judge: Canary) -> None:
    found = ends(judge, worlds(0.0, 200))
    assert share(Outcome.HARM, found) <= MOST
    if judge is SHIPPED:
        assert share(Outcome.ADVANCE, found) > 0.9


@pytest.mark.fault("P11")
@pytest.mark.parametrize("gain", [-MARGIN, -0.03])
def test_a_canary_that_is_worse_seldom_goes_on_where_proof_is_asked_for(gain: float) -> None:
    found = ends(EXACT, worlds(gain, 30, 800))
    assert share(Outcome.ADVANCE, found) <= MOST
    if gain < -MARGIN:
        assert share(Outcome.HARM, found) > 0.9


@pytest.mark.fault("P11")
def test_a_canary_that_is_grossly_worse_is_taken_back_without_a_margin() -> None:
    assert share(Outcome.HARM, ends(SHIPPED, worlds(-0.3, 60))) > 0.9


@pytest.mark.fault("P10")
@pytest.mark.fault("P11")
@pytest.mark.parametrize(("gain", "of"), [(0.0, "harm"), (-MARGIN, "proof")])
def test_control_a_plain_test_of_the_arms_read_as_often_breaks_the_level(gain: float, of: str) -> None:
    mean, error, n = excess(worlds(gain, 200))
    far = (mean if of == "harm" else MARGIN - mean) / error > PLAIN
    assert (far & (n >= EXACT.at_least_rows)).any(axis=1).mean() > 2 * MOST


@pytest.mark.fault("P10")
def test_the_level_decides_how_sure_the_judge_has_to_be() -> None:
    """One and the same excess: at 5 % it is not shown to be harm yet, at 30 % it is."""
    judged = [Canary(alpha=alpha).rule(arms((820, 180), (900, 100))) for alpha in (0.001, 0.01, 0.05, 0.3)]
    shown = [each.evidence[0] for each in judged]
    assert [each.confidence for each in shown] == pytest.approx([0.999, 0.99, 0.95, 0.7])
    bounds = [(each.low or 0.0, each.high or 0.0) for each in shown]
    assert all(low < inner < outer < high for (low, high), (inner, outer) in pairwise(bounds))
    assert [each.outcome for each in judged] == [Outcome.HOLD, Outcome.HOLD, Outcome.HOLD, Outcome.HARM]
