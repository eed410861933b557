"""What people's votes on one prediction come to, and how much each person's counts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Decided", "Gold", "Vote", "decide_votes", "vote_weight"]

Value = float | int | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """What one person said."""

    labeller: str
    value: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Gold:
    """When a labeller is believed: after `at_least` questions with known answers, with a share of `accuracy` right."""

    at_least: int = 5
    accuracy: float = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """The value that the votes of `by` came to; `agreed` says whether all of them said the same."""

    value: Value
    by: tuple[str, ...]
    agreed: bool


def vote_weight(right: int, asked: int, rule: Gold, classes: int = 2) -> float:
    """Return how much a labeller's vote counts; 0 for one who fails the questions with known answers.

    The log-odds of being right, which is the weight of independent voters that a weighted majority errs least with; an
    unknown labeller is taken to be right four times in five, on the strength of five questions.

    References
    ----------
    Nitzan and Paroush (1982), "Optimal decision rules in uncertain dichotomous choice situations", Int. Econ. Review
    23.

    Examples
    --------
    >>> vote_weight(1, 5, Gold()), round(vote_weight(0, 0, Gold()), 3)
    (0.0, 1.386)
    """
    if asked >= rule.at_least and right < rule.accuracy * asked:
        return 0.0
    share = (right + 4.0) / (asked + 5.0)
    return max(0.0, math.log(share * (max(classes, 2) - 1) / (1.0 - share)))


def decide_votes(
    votes: Sequence[Vote], weights: Mapping[str, float], needed: int, *, within: float = 0.0
) -> Decided | None:
    """Return what the votes come to, None while more are needed.

    All that are needed agree, or, where they do not, one more person than that has voted and those of one opinion
    outweigh all others.

    Parameters
    ----------
    votes
        One of each person, in the order in which they came.
    weights
        By person; who has none, or 0, has not voted.
    within
        Numbers that are no further apart mean the same; the earliest of them is taken.
    """
    counted = [vote for vote in votes if weights.get(vote.labeller, 0.0) > 0]
    if len(counted) < needed:
        return None
    opinions: list[list[Vote]] = []
    for vote in counted:
        group = next((each for each in opinions if _same(each[0].value, vote.value, within)), None)
        if group is None:
            opinions.append([vote])
        else:
            group.append(vote)
    totals = [sum(weights[vote.labeller] for vote in group) for group in opinions]
    first = max(range(len(opinions)), key=totals.__getitem__)
    if len(opinions) > 1 and (len(counted) == needed or totals[first] <= sum(totals) / 2):
        return None
    return Decided(
        value=opinions[first][0].value,
        by=tuple(vote.labeller for vote in opinions[first]),
        agreed=len(opinions) == 1,
    )


def _same(one: Value, other: Value, within: float) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    return abs(one - other) <= within
