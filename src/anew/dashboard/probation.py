"""How the challenger under way is doing: what was seen of it as a confidence sequence, and when that may decide."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import accumulate

import numpy as np

from anew.dashboard.record import Record
from anew.domain.evidence import Counts
from anew.domain.facts import Order, RolloutObserved, Stage, TrafficOrdered
from anew.rollout import Outcome, Probation, Rollout
from anew.rollout.ab import AB
from anew.rollout.canary import Canary
from anew.rollout.shadow import Shadow, grid_of
from anew.stats.betting import (
    difference_confidence_sequence,
    e_value_threshold,
    paired_confidence_sequence,
    paired_e_value,
)
from anew.stats.bound import Bounds

__all__ = ["Look", "OnProbation", "on_probation", "way_ahead"]

_MOST_LOOKS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The challenger's excess loss over the champion's after so many labels, with bounds valid at all looks at once."""

    at: datetime
    n: int
    excess: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OnProbation:
    """A challenger on its way to traffic.

    Attributes
    ----------
    steps
        The whole way: shadow, then shares of traffic; `position` is where it stands among them.
    loss
        What the excess is of; `limit` is the excess that the stage guards against.
    labels, needed
        Mature labels that this step rests on, and the least that it needs.
    expected
        Event time at which the step may be decided if labels keep coming as they did; None when that cannot be said.
    held
        Who stopped it and why; empty when it goes its way.
    """

    version: str
    champion: str
    stage: str
    share: float
    since: datetime
    steps: tuple[str, ...]
    position: int
    loss: str
    looks: tuple[Look, ...]
    limit: float | None
    alpha: float | None
    ruling: str
    reason: str
    labels: int
    needed: int
    expected: datetime | None
    held: str
    stalled: bool


def on_probation(record: Record, rollout: Rollout) -> tuple[OnProbation, ...]:
    """Return how each challenger under way stands: none, one, or the arms of a trial by place."""
    return tuple(_standing(record, rollout, each) for each in record.rollout.arms)


def way_ahead(rollout: Rollout) -> str:
    """Say what a candidate that has passed its gates goes through by the policy."""
    if rollout.blue_green:
        return "is loaded beside the champion, and takes all traffic at once when every worker has it"
    if rollout.arms:
        return "goes on trial beside the champion"
    return "goes through shadow and canary" if rollout.steps else "goes through shadow"


def _standing(record: Record, rollout: Rollout, probation: Probation) -> OnProbation:
    shadow = probation.stage is Stage.SHADOW
    judge = {Stage.SHADOW: rollout.shadow, Stage.AB: rollout.ab}.get(probation.stage, rollout.canary)
    ruling = judge.rule(probation)
    seen = record.looks(probation.challenger[0])
    in_step = [each for each in seen if probation.stepped is None or each.at > probation.stepped]
    looks = _paired(seen, judge) if shadow else _arms(in_step, judge)
    labels, needed = _labels(probation, shadow), getattr(judge, "at_least_rows", 0)
    steps, position = _way(rollout, probation)
    return OnProbation(
        version=probation.challenger[0],
        champion=record.rollout.champion[0],
        stage=probation.stage.value,
        share=probation.share,
        since=probation.since,
        steps=steps,
        position=position,
        loss=(probation.paired_of if shadow else probation.arms_of) or "error",
        looks=looks,
        limit=0.0 if isinstance(judge, AB) else getattr(judge, "margin" if shadow else "harm", None),
        alpha=_level(judge),
        ruling=ruling.outcome.value,
        reason=ruling.reason,
        labels=labels,
        needed=needed,
        expected=_expected(probation, judge, looks, needed) if ruling.outcome is Outcome.HOLD else None,
        held=_held(record) if probation.held else "",
        stalled=probation.stalled,
    )


def _way(rollout: Rollout, probation: Probation) -> tuple[tuple[str, ...], int]:
    """Return the steps of the whole way, and where it stands among them."""
    if probation.stage is Stage.AB:
        return ("trial", "all"), 0
    if rollout.blue_green:
        return ("loaded beside it", "all"), 0
    shares = rollout.steps or (probation.share,)
    nearest = 1 + min(range(len(shares)), key=lambda i: abs(shares[i] - probation.share))
    steps = ("shadow", *(f"{step:.0%}" for step in rollout.steps), "all")
    return steps, 0 if probation.stage is Stage.SHADOW else min(nearest, len(steps) - 1)


def _level(judge: object) -> float | None:
    alpha: float | None = getattr(judge, "alpha", None)
    return alpha / judge.arms if isinstance(judge, AB) and alpha is not None else alpha


def _labels(probation: Probation, shadow: bool) -> int:
    if shadow:
        return probation.paired_down.n if probation.paired_down else 0
    arms = (probation.challenger_loss, probation.champion_loss)
    return min(each.n if each else 0 for each in arms)


def _held(record: Record) -> str:
    orders = (each.fact for each in record.newest_first("TrafficOrdered"))
    last = next((each for each in orders if isinstance(each, TrafficOrdered) and each.action is Order.HOLD), None)
    return f"{last.by}: {last.reason}" if last else "held"


def _thinned(looks: Sequence[RolloutObserved]) -> Sequence[int]:
    """Return which looks are drawn: evenly taken, the last among them."""
    step = max(1, math.ceil(len(looks) / _MOST_LOOKS))
    return range((len(looks) - 1) % step, len(looks), step)


@lru_cache(maxsize=1_024)
def _paired_bounds(counts: Counts, alpha: float) -> Bounds:
    """Return the confidence sequence of a look; it takes milliseconds, and the same looks are shown again and again."""
    return paired_confidence_sequence(np.array(counts.counts), grid_of(counts), alpha)


@lru_cache(maxsize=1_024)
def _bounds(ours: Counts, theirs: Counts, alpha: float) -> Bounds:
    """Return the same of two arms."""
    return difference_confidence_sequence(np.array(ours.counts), np.array(theirs.counts), grid_of(ours), alpha)


def _paired(looks: Sequence[RolloutObserved], judge: object) -> tuple[Look, ...]:
    """Return the excess of paired answers: what the challenger lost more than the champion on the same requests."""
    if not looks or not isinstance(judge, Shadow):
        return ()
    looks = list(looks)
    sums = list(accumulate(each.paired_down for each in looks))
    found = []
    for i in _thinned(looks):
        if not sums[i].n:
            continue
        low, high = _paired_bounds(sums[i], judge.alpha)
        mean = sums[i].mean or 0.0
        found.append(Look(at=looks[i].span.end, n=sums[i].n, excess=-mean, low=-high, high=-low))
    return tuple(found)


def _arms(looks: Sequence[RolloutObserved], judge: object) -> tuple[Look, ...]:
    """Return the excess of the challenger's arm over the champion's since the step began."""
    level = _level(judge)
    if not looks or level is None or not isinstance(judge, Canary | AB):
        return ()
    looks = list(looks)
    ours: list[Counts] = list(accumulate(each.challenger_loss for each in looks))
    theirs: list[Counts] = list(accumulate(each.champion_loss for each in looks))
    found = []
    for i in _thinned(looks):
        if not (ours[i].n and theirs[i].n):
            continue
        low, high = _bounds(ours[i], theirs[i], level)
        excess = (ours[i].mean or 0.0) - (theirs[i].mean or 0.0)
        found.append(Look(at=looks[i].span.end, n=min(ours[i].n, theirs[i].n), excess=excess, low=low, high=high))
    return tuple(found)


def _expected(probation: Probation, judge: object, looks: Sequence[Look], needed: int) -> datetime | None:
    """Return when labels will be enough if they come as they did; None where the trend decides nothing."""
    since = probation.stepped or probation.since
    if not looks or looks[-1].at <= since:
        return None
    last, wanted = looks[-1], float(needed)
    if isinstance(judge, Shadow) and probation.paired_down is not None:
        counts = probation.paired_down
        proof = paired_e_value(np.array(counts.counts), grid_of(counts), judge.margin, "non_inferiority")
        if proof <= 0:
            return None
        wanted = max(wanted, counts.n * math.log(e_value_threshold(judge.alpha)) / proof)
    elif isinstance(judge, AB) or last.excess > (getattr(judge, "harm", None) or 1.0):
        return None
    begun = probation.since if isinstance(judge, Shadow) else since
    left = max(0.0, wanted / last.n - 1.0)
    ahead = (last.at - begun).total_seconds() * left
    return last.at + timedelta(seconds=ahead) if ahead < 10 * 365 * 86_400 else None
