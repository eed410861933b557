"""How far the rollout under way is, by the record; by the signed routing alone while there is no record to be read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anew.adapters.fact_reader import read_facts
from anew.app.hold import Holding
from anew.app.record_place import record_place
from anew.app.routed import routed, traffic_of
from anew.app.status import state_folder
from anew.domain.errors import AnewError, NotFoundError
from anew.domain.evidence import Counts
from anew.domain.fact import Fact
from anew.domain.facts import (
    FreezeBegan,
    FreezeEnded,
    RolledBack,
    RolloutObserved,
    RolloutResumed,
    RolloutStalled,
    RolloutStarted,
    RolloutSuperseded,
    TrafficApplied,
    TrafficOrdered,
    TrafficShifted,
    VersionPromoted,
)
from anew.rollout import Probation, Rollout, RolloutState

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
        RolloutSuperseded,
        RolledBack,
        TrafficApplied,
        TrafficOrdered,
        TrafficShifted,
        VersionPromoted,
    )
}


@dataclass(slots=True)
class _Seen:
    """What is on record of who is on probation, and the words that go with it."""

    state: RolloutState = field(default_factory=RolloutState)
    holding: Holding = field(default_factory=Holding)
    stalled: dict[str, str] = field(default_factory=dict)
    frozen: str = ""

    def hear(self, fact: Fact) -> None:
        """Take note of the next fact."""
        self.state = Rollout().apply(self.state, fact)
        self.holding.hear(fact)
        match fact:
            case RolloutStalled():
                self.stalled[fact.version] = f"{fact.reason} (said at {fact.at:%Y-%m-%d %H:%M} of event time)"
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
    traffic, model = traffic_of(project)
    orders = traffic.ordered(model)  # before the record, which clears them
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
    state, held = seen.state, seen.holding.held_after(orders)
    first = state.arm(routing.challenger[0])
    if first is None:
        return plain
    arms = [each for each in map(state.arm, (arm.version for arm in routing.challengers)) if each is not None]
    return plain | {
        "since": first.since.isoformat(),
        "held": f"{held.by}: {held.reason}" if held else "",
        "frozen": seen.frozen,
        **_told(first, seen),
        "arms": [
            {"version": each.challenger[0], "share": each.share, "since": each.since.isoformat(), **_told(each, seen)}
            for each in arms
        ],
    }


def _told(probation: Probation, seen: _Seen) -> Mapping[str, Any]:
    """Return what was seen of a challenger."""
    return {
        "stalled": seen.stalled.get(probation.challenger[0], "") if probation.stalled else "",
        "paired": _summary(probation.paired_down),
        "champion_loss": _summary(probation.champion_loss),
        "challenger_loss": _summary(probation.challenger_loss),
    }


def _summary(counts: Counts | None) -> Mapping[str, Any]:
    """Return how many outcomes there were and their mean."""
    return {"n": counts.n if counts else 0, "mean": counts.mean if counts else None}
