"""Whether a person holds the rollout under way: by the record, and by what gateways obey that is not on record yet."""

from collections.abc import Sequence
from dataclasses import dataclass

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
    """Who is on probation by the record, and the order that holds them there; what `anew.rollout` knows, in brief.

    Attributes
    ----------
    arms
        The challengers under way: one, or the arms of a trial.
    known
        Epoch of the newest routing on record.
    frozen
        Does a freeze of the policy keep them where they are?
    last
        The newest order.
    held
        The order that holds the rollout under way; None where there is none or it goes on.
    """

    arms: tuple[str, ...] = ()
    known: int = 0
    frozen: bool = False
    last: TrafficOrdered | None = None
    held: TrafficOrdered | None = None
    _champion: str = ""

    def hear(self, fact: Fact) -> None:
        """Take note of the next fact."""
        match fact:
            case RolloutStarted():
                self.arms = (*self.arms, fact.version)
            case RolloutSuperseded():
                self._leave(fact.version)
            case RolledBack() if fact.version in self.arms:
                self._leave(fact.version)
            case RolledBack() if fact.version == self._champion and fact.to:
                self._champion, self.arms, self.held = fact.to, (), None
            case VersionPromoted():
                self._champion, self.arms, self.held = fact.version, (), None
            case FreezeBegan() | FreezeEnded():
                self.frozen = isinstance(fact, FreezeBegan)
            case TrafficShifted():
                self.known = max(self.known, fact.epoch)
            case TrafficOrdered():
                self.known, self.last = max(self.known, fact.epoch), fact
                if {each.version for each in fact.challengers} & set(self.arms):
                    self.held = {Order.HOLD: fact, Order.RESUME: None}.get(fact.action, self.held)

    def held_after(self, orders: Sequence[TrafficOrdered]) -> TrafficOrdered | None:
        """Return the order that holds it once those of `orders` that are not on record yet are."""
        held = self.held
        for order in orders:
            if order.epoch > self.known:
                held = order if order.action is Order.HOLD else None
        return held

    def _leave(self, version: str) -> None:
        self.arms = tuple(each for each in self.arms if each != version)
        self.held = self.held if self.arms else None
