"""Verdicts of gates and judges: a closed, ordered set in which the worst wins."""

from collections.abc import Iterable
from enum import IntEnum

__all__ = ["Verdict", "worst"]


class Verdict(IntEnum):
    """What a check found, from best to worst; nothing measured is INCONCLUSIVE, never PASS."""

    PASS = 0
    INCONCLUSIVE = 1
    ERROR = 2
    FAIL = 3


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst of `verdicts`; of none at all, INCONCLUSIVE.

    >>> worst([Verdict.PASS, Verdict.ERROR])
    <Verdict.ERROR: 2>
    >>> worst([])
    <Verdict.INCONCLUSIVE: 1>
    """
    return max(verdicts, default=Verdict.INCONCLUSIVE)
