"""The loop of one model on one page: is it healthy, why did it retrain, what is under way, what happens next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from anew.dashboard.asking import Asking
from anew.dashboard.part import (
    Gate,
    Labels,
    Measure,
    Narrate,
    Said,
    Series,
    Standing,
    gates_of,
    labels_of,
    measured,
    sentences,
    series_of,
    standing,
)
from anew.dashboard.probation import OnProbation, on_probation
from anew.dashboard.record import Record
from anew.dashboard.source import InForce, Surroundings
from anew.domain.errors import PolicyError
from anew.domain.fact import Fact
from anew.domain.facts import (
    AlertRaised,
    Order,
    TrafficShifted,
    TrainingPlanned,
    WindowScored,
)
from anew.domain.order import ordered
from anew.registry import Standing as Registered

__all__ = ["Budget", "Health", "LoopPage", "Origin", "WayBack", "loop_page", "way_back"]

_DECISIONS = (
    "RetrainRequested",
    "RetrainWithheld",
    "RolledBack",
    "VersionPromoted",
    "CandidateRefused",
    "EffectFailed",
)
_CONSENTS = ("RetrainApproved", "ApprovalSigned", "OverrideSigned", "RolloutApproved", "RolloutRefused")

_FAR, _MOST_HELD, _MOST_BARRED = 500, 10, 100
"""How far back decisions are sought that differ, and how many versions are named at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How the served model is: ``good``, ``bad``, ``unknown`` or ``none``; never good without a measured reason."""

    state: str
    headline: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Retrains that may still be asked for in the period, and until when the last request rests; None: no limit."""

    left: int | None
    of: int
    period_s: float
    rests_until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WayBack:
    """What a rollback would do now: `version` leaves, `to` serves; where there is none, `hindrance` says why."""

    version: str
    to: str
    under_way: bool
    hindrance: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a version comes from: what led to it, the first cause first, what its gates said, and who consented."""

    version: str
    why: tuple[Said, ...]
    gates: tuple[Gate, ...]
    consents: tuple[Said, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopPage:
    """All of it.

    Attributes
    ----------
    event_time
        How far the loop is in the time of the data.
    probation, rivals
        The challenger under way, and the further arms of a trial.
    origins
        Of the versions on their way to traffic; of the one that serves, where there are none.
    quarantined
        The newest versions that are.
    stored
        Rows by table; `waiting` more observations were acknowledged and are in the gateways' journals.
    to_review
        Answers that people are asked about and have not judged.
    """

    model: str
    at: datetime
    event_time: datetime | None
    head: int
    running: bool
    holder: str
    health: Health
    champion: Standing | None
    fallback: str
    traffic: Mapping[str, float]
    score: tuple[Measure, ...]
    labels: Labels | None
    series: Series | None
    probation: OnProbation | None
    rivals: tuple[OnProbation, ...]
    origins: tuple[Origin, ...]
    back: WayBack
    ahead: tuple[str, ...]
    budget: Budget
    waiting: int | None
    to_review: int
    stored: Mapping[str, int] | None
    workers: int
    quarantined: tuple[str, ...]
    decisions: tuple[Said, ...]


def loop_page(asking: Asking) -> LoopPage:
    """Make the page."""
    record, policy, said = asking.record, asking.policy, asking.source.narrate
    beside, now = asking.source.surroundings(record.asked), asking.source.now()
    score = next(iter(record.scored(1)), None)
    arms = on_probation(record, policy.rollout)
    event_time = record.tick
    return LoopPage(
        model=policy.model,
        at=now,
        event_time=event_time,
        head=record.head,
        running=bool(beside.holder),
        holder=beside.holder,
        health=_health(record, score),
        champion=standing(record.champion),
        fallback=record.rollout.fallback[0],
        traffic=_traffic(record),
        score=measured(score.evidence) if score else (),
        labels=None if score is None else labels_of(score),
        series=series_of(record),
        probation=next(iter(arms), None),
        rivals=arms[1:],
        origins=tuple(_origin(record, each, said) for each in _in_question(record, arms)),
        back=way_back(record),
        ahead=_ahead(record, beside, arms, policy, event_time),
        budget=_budget(record, policy, event_time),
        waiting=beside.waiting,
        to_review=beside.to_review,
        stored=beside.stored,
        workers=len(beside.workers),
        quarantined=tuple(each.version for each in record.standing(Registered.QUARANTINED, most=_MOST_BARRED)[0]),
        decisions=_last(record, _DECISIONS, 8, said),
    )


def way_back(record: Record) -> WayBack:
    """Return what a rollback would do now."""
    routing = record.last("TrafficShifted")
    if not isinstance(routing, TrafficShifted):
        return WayBack(version="", to="", under_way=False, hindrance="nothing serves yet")
    try:
        made = ordered(routing, Order.ROLLBACK, command="-", by="-", reason="-")
    except PolicyError as exc:
        return WayBack(version="", to="", under_way=False, hindrance=str(exc))
    return WayBack(version=made.version, to=made.champion[0], under_way=bool(routing.challenger[0]), hindrance="")


def _health(record: Record, score: WindowScored | None) -> Health:
    champion = record.champion
    if champion is None:
        return Health(state="none", headline="No model serves yet", detail="The first champion has yet to be trained.")
    if score is None:
        detail = f"{champion.version} serves, and no label of its answers is mature yet: nobody can say how good it is."
        return Health(state="unknown", headline="Not measured yet", detail=detail)
    alerts = [
        each
        for each in record.of_kind("AlertRaised", most=200)
        if isinstance(each, AlertRaised) and each.window == score.window
    ]
    missed = [each for each in alerts if each.detector.startswith("slo")]
    if missed:
        return Health(state="bad", headline="Misses its objective", detail=missed[-1].message)
    unmeasured = [each for each in score.evidence if not each.measured]
    if unmeasured or not score.evidence:
        detail = unmeasured[0].problem if unmeasured else "no measure is configured; write one under slos"
        return Health(state="unknown", headline="Inconclusive", detail=detail)
    if not any(each.reference is not None for each in score.evidence):
        detail = "It is measured, and no objective says what is good enough; write one under slos."
        return Health(state="unknown", headline="No objective", detail=detail)
    held = next(each for each in score.evidence if each.reference is not None)
    detail = f"{held.subject} {held.value:.4g} on {held.n} labels; the objective is {held.reference:g}"
    return Health(state="good", headline="Keeps its objectives", detail=detail)


def _traffic(record: Record) -> Mapping[str, float]:
    arms, champion = record.rollout.arms, record.rollout.champion[0]
    if not champion:
        return {}
    return {champion: 1 - sum(each.share for each in arms)} | {each.challenger[0]: each.share for each in arms}


def _in_question(record: Record, arms: Sequence[OnProbation]) -> Sequence[str]:
    """Return the versions whose origin is shown."""
    standing = record.challenger or record.champion
    return [each.version for each in arms] or ([standing.version] if standing else [])


def _origin(record: Record, version: str, said: Narrate) -> Origin:
    about = record.about(version)
    return Origin(
        version=version,
        why=sentences(_why(record, about), said),
        gates=gates_of(about),
        consents=sentences(_consents(record, about), said),
    )


def _why(record: Record, about: Sequence[Fact]) -> Sequence[Fact]:
    """Return what led to the plan of a version, the first cause first."""
    plan = next((each for each in about if isinstance(each, TrainingPlanned)), None)
    if plan is None:
        return ()
    return [each for each in reversed(list(record.causes(plan))) if each.kind != "RetrainApproved"]


def _consents(record: Record, about: Sequence[Fact]) -> Sequence[Fact]:
    plan = next((each for each in about if isinstance(each, TrainingPlanned)), None)
    before = list(record.causes(plan)) if plan else []
    return [each for each in [*reversed(before), *about] if each.kind in _CONSENTS]


def _last(record: Record, kinds: Sequence[str], most: int, said: Narrate) -> tuple[Said, ...]:
    """Return the newest facts of these kinds, the newest first; what was said again and again, once."""
    found: dict[str, Fact] = {}
    for entry in islice(record.newest_first(*kinds), _FAR):
        found.setdefault(said(entry.fact), entry.fact)
        if len(found) == most:
            break
    return sentences(found.values(), said)


def _ahead(
    record: Record, beside: Surroundings, arms: Sequence[OnProbation], policy: InForce, at: datetime | None
) -> tuple[str, ...]:
    """Return what happens next, as far as it is known."""
    found = [] if beside.holder else ["Nothing, until the loop runs again: start it with anew up."]
    found += [
        f"{run['version'] or run['effect']}: {run['effect']} is under way ({run['said']})." for run in beside.runs
    ]
    found += [_step_ahead(each) for each in arms]
    if beside.to_review:
        found.append(f"{beside.to_review} answers wait to be judged by people.")
    held, many = record.standing(Registered.HELD, most=_MOST_HELD)
    found += [f"{each.version} waits for a person: {each.reason}." for each in held]
    if many > len(held):
        found.append(f"So do {many - len(held)} before these.")
    rest = policy.trigger.cooldown.until(record.trigger.last)
    if rest is not None and at is not None and rest > at and policy.trigger.cooldown.length:
        found.append(f"No retrain before {rest:%d %b %Y, %H:%M} of event time: the last request rests until then.")
    elif not beside.runs and not arms and beside.holder:
        found.append("The next window is judged when it closes; what its detectors find may ask for a retrain.")
    return tuple(found)


def _step_ahead(probation: OnProbation) -> str:
    if probation.held:
        return f"{probation.version} waits: held by {probation.held}."
    short = max(0, probation.needed - probation.labels)
    lacking = f"{short} more mature labels are needed" if short else probation.reason
    stage = "its trial" if probation.stage == "ab" else probation.stage
    return f"{probation.version} stays in {stage} until the next step is decided: {lacking}."


def _budget(record: Record, policy: InForce, at: datetime | None) -> Budget:
    budget, rest = policy.trigger.budget, policy.trigger.cooldown.until(record.trigger.last)
    rests_until = rest if policy.trigger.cooldown.length else None
    if budget is None:
        return Budget(left=None, of=0, period_s=0.0, rests_until=rests_until)
    when = at or record.trigger.last
    left = budget.left(record.trigger.requests, when) if when else budget.retrains
    return Budget(left=left, of=budget.retrains, period_s=budget.period.total_seconds(), rests_until=rests_until)
