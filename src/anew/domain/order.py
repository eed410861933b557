"""Orders of people to the gateways: what one makes of the routing in force.

An order goes out before it is on record, so that it works while the record does not. Its epoch outranks whatever the
loop has decided meanwhile.
"""

from anew.domain.errors import PolicyError
from anew.domain.facts.rollout import Order, Stage, TrafficOrdered, TrafficShifted

__all__ = ["ordered"]

_NOBODY = ("", "")
_ROOM = 1_000
"""Orders have epochs that are multiples of this, and at least the half of it lies between one and what it outranks.

That is more than a loop could decide and publish before it hears of the order. One that stood at the loop's own next
epoch would never be heard of.
"""


def ordered(routing: TrafficShifted, action: Order, *, command: str, by: str, reason: str) -> TrafficOrdered:
    """Return the order that `action` comes to under the routing in force; whoever is named in that is known to serve.

    A rollback ends the rollout under way when there is one, a trial with all its arms; else it goes from the champion
    to its fallback.

    Raises
    ------
    PolicyError
        There is nothing to hold, to end or to go back to.
    """
    champion, challenger, fallback = routing.champion, routing.challenger, routing.fallback
    if action in (Order.HOLD, Order.RESUME, Order.ABORT) and challenger == _NOBODY:
        raise PolicyError(f"nothing to {action}: no rollout is under way, all traffic goes to {champion[0]}")
    if challenger == _NOBODY and fallback == _NOBODY:
        raise PolicyError(f"{champion[0]} has no fallback to go back to; retrain, or roll out another version")
    version, stage, share, arms = challenger[0], routing.stage, routing.share, routing.arms
    if action in (Order.ABORT, Order.ROLLBACK):
        if challenger == _NOBODY:
            version, champion, fallback = champion[0], fallback, _NOBODY
        elif fallback[1] in {arm.digest for arm in routing.challengers}:
            fallback = _NOBODY
        stage, share, challenger, arms = Stage.STEADY, 0.0, _NOBODY, ()
    return TrafficOrdered(
        model=routing.model,
        at=routing.at,
        command=command,
        action=action,
        version=version,
        epoch=((routing.epoch + _ROOM // 2) // _ROOM + 1) * _ROOM,
        stage=stage,
        share=share,
        champion=champion,
        challenger=challenger,
        fallback=fallback,
        by=by,
        reason=reason,
        arms=arms,
        trial=routing.trial,
    ).caused_by("")
