"""How far the rollout under way is, by the record; by the signed routing alone while there is no record to be read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

from anew.adapters.fact_reader import read_facts
from anew.app.order import routed
from anew.app.record_place import record_place
from anew.app.status import state_folder
from anew.domain.errors import AnewError, NotFoundError
from anew.domain.evidence import Counts
from anew.domain.fact import Fact
from anew.domain.facts import (
    FreezeBegan,
    FreezeEnded,
    Order,
    RolloutObserved,
    RolloutResumed,
    RolloutStalled,
    RolloutStarted,
    TrafficOrdered,
    TrafficShifted,
)

__all__ = ["rollout_status"]

_KINDS = {
    each.__name__
    for each in (
        FreezeBegan,
        FreezeEnded,
        RolloutObserved,
        RolloutResumed,
        RolloutStalled,
        RolloutStarted,
        TrafficOrdered,
        TrafficShifted,
    )
}


@dataclass(slots=True)
class _Seen:
    """What is on record of the last rollout that began."""

    started: RolloutStarted | None = None
    step: TrafficShifted | None = None
    looks: list[RolloutObserved] = field(default_factory=list)
    in_step: list[RolloutObserved] = field(default_factory=list)
    held: str = ""
    stalled: str = ""
    frozen: str = ""

    def hear(self, fact: Fact) -> None:
        """Take note of the next fact."""
        match fact:
            case RolloutStarted():
                self.started, self.looks, self.in_step, self.held, self.stalled = fact, [], [], "", ""
            case TrafficShifted():
                same = self.step and (fact.stage, fact.share) == (self.step.stage, self.step.share)
                self.step = fact
                if not same:
                    self.in_step, self.stalled = [], ""
            case RolloutObserved():
                self.looks.append(fact)
                self.in_step.append(fact)
            case TrafficOrdered() if fact.action is Order.HOLD:
                self.held = f"{fact.by}: {fact.reason}"
            case RolloutResumed():
                self.held = ""
            case RolloutStalled():
                self.stalled = fact.reason
            case FreezeBegan():
                self.frozen = f"{fact.window}, until {fact.until.isoformat()}"
            case FreezeEnded():
                self.frozen = ""


def rollout_status(project: Path) -> Mapping[str, Any]:
    """Return where traffic stands and what was seen of the challenger, as plain values.

    `recorded` is false when the record cannot be read; then there is the routing alone, and `problem` says why.

    Raises
    ------
    NotFoundError
        No model was ever served here.
    """
    routing = routed(project)
    plain: dict[str, Any] = {
        "model": routing.model,
        "epoch": routing.epoch,
        "stage": routing.stage.value,
        "share": routing.share,
        "champion": routing.champion[0],
        "challenger": routing.challenger[0],
        "fallback": routing.fallback[0],
    }
    seen = _Seen()
    try:
        for each in read_facts(record_place(state_folder(project)), kinds=_KINDS):
            seen.hear(each.fact)
    except (AnewError, NotFoundError) as exc:
        return plain | {"recorded": False, "problem": str(exc)}
    plain |= {"recorded": True, "problem": ""}
    if seen.started is None or seen.started.version != routing.challenger[0]:
        return plain
    return plain | {
        "since": seen.started.at.isoformat(),
        "held": seen.held,
        "frozen": seen.frozen,
        "stalled": seen.stalled,
        "paired": _summary([each.paired_down for each in seen.looks]),
        "champion_loss": _summary([each.champion_loss for each in seen.in_step]),
        "challenger_loss": _summary([each.challenger_loss for each in seen.in_step]),
    }


def _summary(counts: list[Counts]) -> Mapping[str, Any]:
    """Return how many outcomes there were and their mean."""
    total = reduce(add, counts) if counts else None
    return {"n": total.n if total else 0, "mean": total.mean if total else None}
