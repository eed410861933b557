"""Whether a person holds the rollout under way: by the record, and by what gateways obey that is not on record yet."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from anew.domain.fact import Fact
from anew.domain.facts import (
    FreezeBegan,
    FreezeEnded,
    Order,
    RolledBack,
    RolloutStarted,
    RolloutSuperseded,
    TrafficOrdered,
    TrafficShifted,
    VersionPromoted,
)
from anew.rollout import Rollout, RolloutState

__all__ = ["HOLDING", "Holding"]

HOLDING = frozenset(
    each.__name__
    for each in (
        FreezeBegan,
        FreezeEnded,
        RolledBack,
        RolloutStarted,
        RolloutSuperseded,
        TrafficOrdered,
        TrafficShifted,
        VersionPromoted,
    )
)
"""Kinds of the facts that `Holding` has to hear."""


@dataclass(slots=True)
class Holding:
    """What is on record of who is on probation, and of the order that holds them there.

    Attributes
    ----------
    known
        Epoch of the newest routing on record.
    last, hold
        The newest order, and the newest one to hold.
    """

    state: RolloutState = field(default_factory=RolloutState)
    known: int = 0
    last: TrafficOrdered | None = None
    hold: TrafficOrdered | None = None

    def hear(self, fact: Fact) -> None:
        """Take note of the next fact."""
        self.state = Rollout().apply(self.state, fact)
        if isinstance(fact, TrafficShifted | TrafficOrdered):
            self.known = max(self.known, fact.epoch)
        if isinstance(fact, TrafficOrdered):
            self.last = fact
            self.hold = fact if fact.action is Order.HOLD else self.hold

    @property
    def held(self) -> TrafficOrdered | None:
        """The order that holds the rollout under way; None where there is none or it goes on."""
        return self.hold if any(each.held for each in self.state.arms) else None

    def held_after(self, orders: Sequence[TrafficOrdered]) -> TrafficOrdered | None:
        """Return the order that holds it once those of `orders` that are not on record yet are."""
        held = self.held
        for order in orders:
            if order.epoch > self.known:
                held = order if order.action is Order.HOLD else None
        return held
