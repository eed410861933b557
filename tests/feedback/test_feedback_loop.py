"""A model whose own answers decide what is labelled: fifty rounds, with a random audit and without."""

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]  # ships no types

from anew.feedback.choice import choose

Floats = npt.NDArray[np.float64]

ROUNDS, CASES, AUDITED, TURN = 50, 1000, 60, 10


def world(number: int) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return the cases of a round and which are good: from the turn on many of those that were bad."""
    chance = np.random.default_rng([3, number + 1])
    x = chance.normal(size=CASES)
    likely = 1 / (1 + np.exp(-3 * x)) if number < TURN else 1 / (1 + np.exp(-3 * (np.abs(x) - 0.3)))
    return x, chance.random(CASES) < likely


def shape(x: Floats) -> Floats:
    return np.column_stack([np.minimum(x, 0.0), np.maximum(x, 0.0)])


def lived(audited: int) -> tuple[Floats, Floats]:
    """Accept, label what was accepted and what the audit draws of all, weigh by chance, learn; error said and true.

    Without an audit what is rejected is never labelled, and what is said is of the accepted alone.
    """
    x, good = world(-1)
    first = (shape(x), good, np.ones(CASES))
    seen_before: list[tuple[Floats, npt.NDArray[np.bool_], Floats]] = []
    model = LogisticRegression().fit(first[0], first[1])
    said, true = [], []
    for number in range(ROUNDS):
        x, good = world(number)
        accepted = model.predict(shape(x))
        ids = [f"{number}/{i}" for i in range(CASES)]
        audit = {each.prediction: each.propensity for each in choose(ids, {}, audited, 1.0)} if audited else {}
        drawn = np.array([audit.get(each, 0.0) for each in ids])
        seen = accepted | (drawn > 0)
        chance = np.where(accepted, 1.0, drawn)[seen]
        wrong = (accepted != good)[seen]
        said.append(float((wrong / chance).sum() / (1 / chance).sum()))
        true.append(float((accepted != good).mean()))
        seen_before = [*seen_before[-4:], (shape(x)[seen], good[seen], 1 / chance)]
        rows, labels, weights = (np.concatenate(each) for each in zip(first, *seen_before, strict=True))
        model.fit(rows, labels, sample_weight=weights)
    return np.array(said), np.array(true)


def late(values: Floats) -> float:
    return float(values[TURN + 5 :].mean())


@pytest.mark.fault("A5")
def test_what_an_audit_says_of_a_model_that_chooses_its_labels_is_true() -> None:
    said, true = lived(AUDITED)
    assert abs(late(said) - late(true)) < 0.01, (late(said), late(true))
    assert np.abs(said - true).max() < 0.15, "one round of some thirty rejected cases says so much, and not more"


@pytest.mark.fault("A5")
def test_control_without_an_audit_what_is_never_seen_does_not_count_and_is_not_learned_from() -> None:
    blind, worse = lived(0)
    assert late(worse) - late(blind) > 0.1
    assert late(worse) > late(lived(AUDITED)[1]) + 0.1
