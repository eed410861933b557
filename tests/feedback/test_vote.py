"""Votes: agreement of two, a majority by weight where they differ, and nothing from who fails known answers."""

from itertools import product
from random import Random

import pytest

from anew.feedback.vote import Decided, Gold, Vote, decide_votes, vote_weight

EQUAL = {"ada": 1.0, "bob": 1.0, "eve": 1.0, "kim": 1.0}


def votes(*said: tuple[str, float | str]) -> list[Vote]:
    return [Vote(labeller=labeller, value=value) for labeller, value in said]


def test_one_vote_settles_where_one_is_needed() -> None:
    assert decide_votes(votes(("ada", 1)), EQUAL, 1) == Decided(value=1, by=("ada",), agreed=True)
    assert decide_votes([], EQUAL, 1) is None


def test_two_have_to_agree_and_a_third_decides_between_them() -> None:
    assert decide_votes(votes(("ada", 1)), EQUAL, 2) is None
    assert decide_votes(votes(("ada", 1), ("bob", 1)), EQUAL, 2) == Decided(value=1, by=("ada", "bob"), agreed=True)
    apart = votes(("ada", 1), ("bob", 0))
    assert decide_votes(apart, EQUAL, 2) is None
    third = decide_votes([*apart, *votes(("eve", 0))], EQUAL, 2)
    assert third == Decided(value=0, by=("bob", "eve"), agreed=False)


def test_three_opinions_of_three_wait_for_a_fourth() -> None:
    apart = votes(("ada", "a"), ("bob", "b"), ("eve", "c"))
    assert decide_votes(apart, EQUAL, 2) is None
    assert decide_votes([*apart, *votes(("kim", "c"))], EQUAL, 2) is None, "half is no majority"


@pytest.mark.fault("A7")
def test_who_weighs_nothing_has_not_voted() -> None:
    weights = EQUAL | {"eve": 0.0}
    assert decide_votes(votes(("eve", 1)), weights, 1) is None
    assert decide_votes(votes(("eve", 1), ("ada", 0)), weights, 2) is None
    assert decide_votes(votes(("stranger", 1)), weights, 1) is None
    found = decide_votes(votes(("eve", 1), ("ada", 0), ("bob", 0)), weights, 2)
    assert found == Decided(value=0, by=("ada", "bob"), agreed=True)


def test_numbers_that_are_close_mean_the_same() -> None:
    close = votes(("ada", 10.0), ("bob", 10.4))
    assert decide_votes(close, EQUAL, 2, within=0.5) == Decided(value=10.0, by=("ada", "bob"), agreed=True)
    assert decide_votes(close, EQUAL, 2, within=0.3) is None


@pytest.mark.fault("A7")
def test_weights_follow_the_known_answers() -> None:
    rule = Gold(at_least=5, accuracy=0.7)
    assert vote_weight(3, 5, rule) == 0.0
    assert vote_weight(3, 4, rule) > 0, "too few questions to be judged by"
    assert vote_weight(4, 5, rule) > 0
    weights = [vote_weight(right, 40, rule) for right in range(28, 41)]
    assert weights == sorted(weights)
    assert weights[0] > 0 == vote_weight(27, 40, rule)
    assert vote_weight(20, 20, rule, classes=10) > vote_weight(20, 20, rule)


def test_the_weighted_majority_errs_less_than_the_plain_one() -> None:
    """Exactly, over all outcomes of three voters who are right with 0.95, 0.6 and 0.6."""
    accuracy = {"ada": 0.95, "bob": 0.6, "eve": 0.6}
    asked = 10_000
    weights = {name: vote_weight(round(share * asked), asked, Gold(accuracy=0.5)) for name, share in accuracy.items()}

    def right(by: dict[str, float]) -> float:
        total = 0.0
        for outcome in product((1, 0), repeat=3):
            chance = 1.0
            for (_, share), value in zip(accuracy.items(), outcome, strict=True):
                chance *= share if value else 1 - share
            found = decide_votes(votes(*zip(accuracy, outcome, strict=True)), by, 2)
            total += chance * (found is not None and found.value == 1)
        return total

    assert right(dict.fromkeys(accuracy, 1.0)) == pytest.approx(0.816)
    assert right(weights) > 0.95 * 0.84, "who is nearly always right outweighs two who guess"


@pytest.mark.fault("A7")
def test_labels_of_a_crowd_with_a_saboteur() -> None:
    """A third of the votes are flipped by one who fails the known answers: with weights hardly any label is wrong."""
    assert misled(weighed=True) < 200


@pytest.mark.fault("A7")
def test_control_the_same_crowd_without_weights_is_misled() -> None:
    assert misled(weighed=False) > 600


def misled(*, weighed: bool) -> int:
    """Return how many of 2,000 labels come out wrong."""
    chance, wrong = Random(3), 0
    rule = Gold(at_least=5 if weighed else 10**9)
    gold = {"ada": (19, 20), "bob": (18, 20), "eve": (1, 20)}
    weights = {name: vote_weight(right, asked, rule) for name, (right, asked) in gold.items()}
    weights |= {} if weighed else dict.fromkeys(weights, 1.0)
    for _ in range(2_000):
        said = votes(*((name, int(chance.random() < right / asked)) for name, (right, asked) in gold.items()))
        chance.shuffle(said)
        found = next((each for n in (1, 2, 3) if (each := decide_votes(said[:n], weights, 1)) is not None), None)
        wrong += found is None or found.value != 1
    return wrong
