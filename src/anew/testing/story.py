"""Stories: what may happen to a loop from outside, as steps that can be drawn, shrunk and told again."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from types import MappingProxyType

__all__ = ["WEIGHTS", "Move", "Step", "Story", "story_of"]


class Move(StrEnum):
    """One kind of thing that comes from outside."""

    ANSWER = "answer"
    FAIL = "fail"
    SPOIL = "spoil"
    LATE = "late"
    WINDOW = "window"
    SCORE = "score"
    LOOK = "look"
    TRIP = "trip"
    TICK = "tick"
    RETRAIN = "retrain"
    ROLLBACK = "rollback"
    ORDER = "order"
    RELEASE = "release"
    OVERRIDE = "override"
    CHANGE = "change"
    REPEAT = "repeat"
    CRASH = "crash"


WEIGHTS: Mapping[Move, int] = MappingProxyType(
    {
        Move.ANSWER: 36,
        Move.FAIL: 2,
        Move.SPOIL: 3,
        Move.LATE: 2,
        Move.WINDOW: 12,
        Move.SCORE: 8,
        Move.LOOK: 48,
        Move.TRIP: 1,
        Move.TICK: 3,
        Move.RETRAIN: 4,
        Move.ROLLBACK: 1,
        Move.ORDER: 2,
        Move.RELEASE: 1,
        Move.OVERRIDE: 6,
        Move.CHANGE: 1,
        Move.REPEAT: 2,
        Move.CRASH: 3,
    }
)
"""How often each move is drawn: so that stories get as far as promotions, rollbacks and refusals."""


@dataclass(frozen=True, slots=True)
class Step:
    """A move; all that is left to chance in it follows from `draw`."""

    move: Move
    draw: int


Story = tuple[Step, ...]


def story_of(seed: int, length: int = 80) -> Story:
    """Return the story of `seed`: the same seed tells the same story.

    >>> story_of(1) == story_of(1) != story_of(2)
    True
    """
    chance = Random(seed)  # noqa: S311  stories are drawn, not kept secret
    moves = chance.choices(tuple(WEIGHTS), weights=tuple(WEIGHTS.values()), k=length)
    return tuple(Step(move, chance.randrange(1 << 16)) for move in moves)
