"""Which of two sets of workers answers, and what the other one holds ready."""

from dataclasses import dataclass, replace
from enum import StrEnum

from anew.domain.facts import Stage, TrafficShifted

__all__ = ["Side", "Sides", "held_by", "sides_after"]

_Pair = tuple[str, str]
_NOBODY: _Pair = ("", "")


class Side(StrEnum):
    """One of the two sets."""

    BLUE = "blue"
    GREEN = "green"

    @property
    def other(self) -> "Side":
        """The other one."""
        return Side.GREEN if self is Side.BLUE else Side.BLUE


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """Where the two sets stand since a routing.

    Attributes
    ----------
    epoch
        Of that routing.
    active
        The set that answers.
    blue, green
        The version and digest that each has loaded as its own.
    """

    epoch: int
    active: Side
    blue: _Pair
    green: _Pair

    def holds(self, side: Side) -> _Pair:
        """Return what a set has loaded."""
        return self.blue if side is Side.BLUE else self.green


def sides_after(before: Sides | None, order: TrafficShifted, *, ready: bool) -> Sides:
    """Return where the sets stand under `order`, and the same for every repeat of it.

    A champion that the resting set holds, and has loaded in all of its workers (`ready`), is switched to, and back
    likewise. Any other is answered by the set that answers already: that of a rollback it has warm, and until another
    is loaded it goes on as before, so that no caller ever waits. The resting set holds the challenger; where there is
    none the fallback; where there is neither the champion, so that it could take over as it is.
    """
    if before is not None and order.epoch <= before.epoch:
        return before
    active = Side.BLUE if before is None else before.active
    if before is not None and ready and before.holds(active) != order.champion == before.holds(active.other):
        active = active.other
    rests = next(pair for pair in (order.challenger, order.fallback, order.champion) if pair != _NOBODY)
    pairs = {active: order.champion, active.other: rests}
    return Sides(epoch=order.epoch, active=active, blue=pairs[Side.BLUE], green=pairs[Side.GREEN])


def held_by(side: Side, sides: Sides, order: TrafficShifted) -> TrafficShifted:
    """Return the routing by which one set serves: its own version alone, with a fallback only where it answers."""
    answers = side is sides.active
    return replace(
        order,
        stage=Stage.STEADY,
        share=0.0,
        champion=sides.holds(side),
        challenger=_NOBODY,
        arms=(),
        trial="",
        fallback=order.fallback if answers else _NOBODY,
    )
