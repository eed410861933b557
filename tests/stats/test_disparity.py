"""Differences between groups: fairlearn's values exactly, intervals that hold."""

import numpy as np
import pytest

from anew.adapters.fairlearn_disparity import fairlearn_disparity
from anew.domain.errors import InvariantError
from anew.stats.disparity import disparity, disparity_excess, rates_of


@pytest.mark.parametrize("metric", ["demographic_parity", "equal_opportunity", "equalized_odds"])
@pytest.mark.parametrize("seed", range(3))
def test_the_value_is_fairlearns(metric: str, seed: int) -> None:
    chance = np.random.default_rng(seed)
    label, group = chance.random(900) < 0.4, chance.choice(3, 900)
    said = label ^ (chance.random(900) < 0.1 + 0.1 * group)
    rates = rates_of(metric, label, said)
    theirs = fairlearn_disparity(metric, label.astype(str), said.astype(str), group, "True")
    assert disparity(rates, group, 3).value == pytest.approx(theirs, abs=1e-12)
    assert disparity_excess(rates, rates_of(metric, label, label), group, 3).value == pytest.approx(
        theirs - fairlearn_disparity(metric, label.astype(str), label.astype(str), group, "True"), abs=1e-12
    )


def test_the_difference_of_losses_is_fairlearns() -> None:
    chance = np.random.default_rng(1)
    loss, group = chance.random(300), chance.choice(4, 300)
    ours = disparity([(np.ones(300, bool), loss)], group, 4)
    assert ours.value == pytest.approx(fairlearn_disparity("error", loss, loss, group, ""), abs=1e-12)
    with pytest.raises(InvariantError, match="known are error"):
        fairlearn_disparity("karma", loss, loss, group, "")


def test_the_interval_holds_the_true_difference() -> None:
    held = 0
    for seed in range(200):
        chance = np.random.default_rng(seed)
        group = np.arange(600) % 3
        up = (chance.random(600) < np.array([0.3, 0.5, 0.4])[group]).astype(float)
        found = disparity([(np.ones(600, bool), up)], group, 3)
        held += found.low <= 0.2 <= found.high
    assert held >= 190


ALIKE, UNLIKE = [0.2] * 10, [0.1] + [0.2] * 8 + [0.3]


@pytest.mark.parametrize("resembling", [0.0, 0.8])
@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ([0.1, 0.3], [0.1, 0.3]),
        (ALIKE, ALIKE),
        (ALIKE, [0.05] * 10),  # as even, only worse: noise alone pulls the groups apart
        ([0.1] * 5 + [0.3] * 5, UNLIKE),
    ],
)
def test_an_excess_that_is_not_there_is_seldom_found(
    ours: list[float], theirs: list[float], whole: bool, resembling: float
) -> None:
    above = below = 0
    group = np.arange(50 * len(ours)) % len(ours)
    everybody = np.ones(len(group), bool)
    for seed in range(100):
        chance = np.random.default_rng(seed)
        one, other = chance.random((2, len(group)))
        other = np.where(chance.random(len(group)) < resembling, one, other)
        ups = [
            (draw < np.array(rates)[group]).astype(float) if whole else draw * np.array(rates)[group]
            for draw, rates in ((one, ours), (other, theirs))
        ]
        found = disparity_excess([(everybody, ups[0])], [(everybody, ups[1])], group, len(ours))
        above += found.low > 0
        below += found.high < 0
    assert above <= 6
    assert below <= 6


def test_one_group_is_no_disparity() -> None:
    with pytest.raises(InvariantError, match="needs two groups"):
        disparity([(np.ones(9, bool), np.ones(9))], np.zeros(9, dtype=np.intp), 1)
    with pytest.raises(InvariantError, match="fewer than two rows"):
        disparity([(np.arange(9) > 0, np.ones(9))], (np.arange(9) > 0).astype(np.intp), 2)
    alone = [(np.ones(9, bool), np.ones(9))]
    with pytest.raises(InvariantError, match="needs two groups"):
        disparity_excess(alone, alone, np.zeros(9, dtype=np.intp), 1)
    with pytest.raises(InvariantError, match="fewer than two rows"):
        disparity_excess(alone, alone, (np.arange(9) > 7).astype(np.intp), 2)
