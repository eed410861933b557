"""What a look counts: pairs, arms, and each user once."""

from typing import Any

import numpy as np
import pytest

from anew.loop.look import Counted, Look, Outcomes, look

NAN = float("nan")


def outcomes(champion: Any, challenger: Any, **more: Any) -> Outcomes:
    """Return a look at shadowed rows, answered by the champion in the present step, unless `more` says otherwise."""
    champion, challenger = np.asarray(champion, float), np.asarray(challenger, float)
    flags = np.ones(len(champion), bool)
    given: dict[str, Any] = {
        "champion": champion,
        "challenger": challenger,
        "champion_arm": champion,
        "challenger_arm": challenger,
        "by_champion": flags,
        "by_challenger": ~flags,
        "in_step": flags,
    }
    return Outcomes(**(given | more))


def users(*names: str) -> Any:
    return np.array(names, dtype=np.str_)


def test_pairs_and_arms_are_counted() -> None:
    by_challenger = np.array([False, True, False, True, False, False])
    found = look(
        outcomes(
            [0.0, 1.0, 0.5, NAN, 0.0, 0.3],
            [1.0, 0.0, 0.5, 0.2, NAN, 0.1],
            by_challenger=by_challenger,
            by_champion=~by_challenger,
            in_step=np.array([True, True, True, True, True, False]),
        )
    )
    assert found.paired_down.n == found.paired_up.n == 4
    assert found.paired_down.mean == pytest.approx(np.mean([-1, 1, 0, 0.2]))
    assert (found.champion_loss.n, found.challenger_loss.n) == (3, 2)
    assert found.champion_loss.mean == pytest.approx(0.5 / 3)
    assert found.challenger_loss.mean == pytest.approx(0.1)


def test_what_the_champion_answered_for_the_challenger_is_in_neither_arm() -> None:
    """The requests that a challenger fails are no fair sample: they would be held against the champion."""
    nobody = np.zeros(3, bool)
    found = look(outcomes([1, 1, 0], [NAN, NAN, NAN], by_champion=nobody, by_challenger=nobody))
    assert (found.champion_loss.n, found.challenger_loss.n) == (0, 0)


def test_gains_between_grid_points_are_rounded_against_each_claim() -> None:
    chance = np.random.default_rng(3)
    champion, challenger = chance.random((2, 200))
    found = look(outcomes(champion, challenger))
    gain = float((champion - challenger).mean())
    assert found.paired_down.mean is not None
    assert found.paired_up.mean is not None
    assert found.paired_down.mean <= gain <= found.paired_up.mean
    assert found.paired_up.mean - found.paired_down.mean <= 0.005 + 1e-9


@pytest.mark.parametrize("names", [None, users()])
def test_a_look_at_nothing_counts_nothing(names: Any) -> None:
    found = look(outcomes([], [], users=names))
    assert (found.paired_down.n, found.paired_up.n, found.champion_loss.n, found.challenger_loss.n) == (0, 0, 0, 0)


def test_a_user_counts_once_by_the_mean_of_the_look_it_is_first_seen_in() -> None:
    counted = Counted()
    first = look(outcomes([1, 1, 0, 0], [0, 0, 0, 1], users=users("ada", "ada", "ada", "bob")), counted)
    assert first.paired_down.n == 2
    assert first.paired_down.mean == pytest.approx((2 / 3 - 1) / 2, abs=0.005)
    again = look(outcomes([1, 1, 1], [0, 0, 0], users=users("ada", "bob", "cleo")), counted)
    assert (again.paired_down.n, again.paired_down.mean) == (1, 1.0)
    assert again.champion_loss.n == 1, "in the arms, too"
    assert counted.paired == counted.arms == {"ada", "bob", "cleo"}


def test_a_user_who_was_seen_without_a_label_or_a_pair_still_has_its_turn() -> None:
    counted = Counted()
    look(outcomes([NAN, 1], [0, NAN], users=users("ada", "bob")), counted)
    assert counted.paired == set()
    found = look(outcomes([1, 1], [0, 0], users=users("ada", "bob")), counted)
    assert found.paired_down.n == 2
    assert found.champion_loss.n == 1, "bob was counted for the champion's arm before"


def judged(*, by_user: bool, seed: int) -> Look:
    """Return a look at an equal challenger and 400 users of 25 requests each, whose requests resemble each other."""
    chance = np.random.default_rng(seed)
    who = np.repeat(np.arange(400), 25)
    better = chance.random(400) < 0.5  # for each user one of the two is simply right
    champion = np.where(chance.random(len(who)) < 0.3, ~better[who], chance.random(len(who)) < 0.5).astype(float)
    challenger = np.where(chance.random(len(who)) < 0.3, better[who], chance.random(len(who)) < 0.5).astype(float)
    names = np.array([str(each) for each in who.tolist()], dtype=np.str_)
    return look(outcomes(champion, challenger, users=names if by_user else None))


def test_requests_of_one_user_promise_no_evidence_that_is_not_there() -> None:
    """Half of the means of equal models lie beyond two standard errors when requests are taken for independent."""

    def beyond(*, by_user: bool) -> float:
        looks = [judged(by_user=by_user, seed=seed).paired_down for seed in range(60)]
        points = np.linspace(-1, 1, len(looks[0].counts))
        far = 0
        for each in looks:
            share = np.array(each.counts) / each.n
            mean = float(share @ points)
            error = float(np.sqrt(share @ (points - mean) ** 2 / each.n))
            far += abs(mean) > 2 * error
        return far / len(looks)

    assert beyond(by_user=False) > 0.2
    assert beyond(by_user=True) < 0.15
