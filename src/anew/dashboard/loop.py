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
from anew.dashboard.probation import OnProbation, on_probation, way_ahead
from anew.dashboard.record import Record
from anew.dashboard.source import InForce, Surroundings
from anew.domain.errors import PolicyError
from anew.domain.fact import Fact
from anew.domain.facts import (
    OF_THE_WALL,
    AlertRaised,
    CandidateAccepted,
    Order,
    RetrainRequested,
    TrafficShifted,
    TrainingPlanned,
    WindowScored,
)
from anew.domain.order import ordered
from anew.domain.unserved import ATTEMPT, Unserved, unserved
from anew.lineage import returns_of
from anew.registry import Standing as Registered

__all__ = ["Budget", "Health", "LoopPage", "Origin", "WayBack", "loop_page", "way_back"]

_DECISIONS = (
    "RetrainRequested",
    "RetrainWithheld",
    "RolledBack",
    "RolloutSuperseded",
    "VersionPromoted",
    "CandidateRefused",
    "EffectFailed",
)
_ATTEMPTS = ("CandidateAccepted", "RetrainRequested", *(each.__name__ for each in ATTEMPT))
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
    unserved
        What keeps a first champion away, None for nothing.
    way
        What a candidate that has passed its gates goes through.
    probation, rivals
        The challenger under way, and the further arms of a trial.
    origins
        Of the versions on their way to traffic; where there are none, of the one that serves, else of the newest.
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
    unserved: Unserved | None
    fallback: str
    traffic: Mapping[str, float]
    score: tuple[Measure, ...]
    labels: Labels | None
    series: Series | None
    way: str
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
    own, missing = _own(record, score), _missing(record, beside)
    arms = on_probation(record, policy.rollout)
    event_time = _event_time(record)
    ahead = _ahead(record, beside, arms, policy, event_time)
    return LoopPage(
        model=policy.model,
        at=now,
        event_time=event_time,
        head=record.head,
        running=bool(beside.holder),
        holder=beside.holder,
        health=_health(record, score, own, missing),
        champion=standing(record.champion),
        unserved=missing,
        fallback=record.rollout.fallback[0],
        traffic=_traffic(record),
        score=measured(own.evidence) if own else (),
        labels=None if score is None else labels_of(score),
        series=series_of(record),
        way=way_ahead(policy.rollout),
        probation=next(iter(arms), None),
        rivals=arms[1:],
        origins=tuple(_origin(record, each, said) for each in _in_question(record, arms)),
        back=way_back(record),
        ahead=ahead if missing is None else (*ahead, f"What to do: {missing.fix}"),
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


def _event_time(record: Record) -> datetime | None:
    """Return how far event time is: ticks come once in a while, and what people order lies between them."""
    newest = next((each for each in record.newest_first() if not isinstance(each.fact, OF_THE_WALL)), None)
    return max(filter(None, (record.tick, newest.fact.at if newest else None)), default=None)


def _own(record: Record, score: WindowScored | None) -> WindowScored | None:
    """Return the last score if it says how the champion does, since it serves."""
    champion = record.champion
    mine = score is not None and champion is not None and champion.measured_by(score.version, score.window)
    return score if mine else None


def _coming(record: Record) -> str:
    """Return the version that is accepted and is to serve; empty for none."""
    waiting = record.governance.waiting
    found = record.challenger or (None if waiting is None else waiting.accepted)
    return "" if found is None else found.version


def _missing(record: Record, beside: Surroundings) -> Unserved | None:
    """Return what keeps a first champion away, unless there is one, or one on its way."""
    return None if record.champion or _coming(record) else unserved(_attempt(record), beside.stored)


def _attempt(record: Record) -> Sequence[Fact] | None:
    """Return what became of the newest attempt at a version, oldest first; None before the first."""
    found: list[Fact] = []
    for each in record.newest_first(*_ATTEMPTS):
        if isinstance(each.fact, CandidateAccepted | RetrainRequested):
            return found[::-1]
        found.append(each.fact)
    return found[::-1] or None


def _unserved_health(record: Record, missing: Unserved | None) -> Health:
    coming = _coming(record)
    detail = f"{coming} is accepted, and is to be the first champion." if coming else "No version has passed its gates."
    return Health(state="none", headline="No model serves yet", detail=f"{missing.found}." if missing else detail)


def _health(record: Record, last: WindowScored | None, score: WindowScored | None, missing: Unserved | None) -> Health:
    """Judge the champion by its own `score`; the `last` one may be another's."""
    champion = record.champion
    if champion is None:
        return _unserved_health(record, missing)
    if score is None and last is not None:
        detail = (
            f"{champion.version} serves, and no window that it answered since then has been scored; the last numbers "
            f"are {last.version}'s, up to {last.window.end:%d %b %Y, %H:%M}."
        )
        return Health(state="unknown", headline="Not measured yet", detail=detail)
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
    return [each.version for each in arms] or ([standing.version] if standing else record.planned(1)[0])


def _origin(record: Record, version: str, said: Narrate) -> Origin:
    about = record.about(version)
    return Origin(
        version=version,
        why=sentences([*_why(record, about), *_returns(record, version)], said),
        gates=gates_of(about),
        consents=sentences(_consents(record, about), said),
    )


def _why(record: Record, about: Sequence[Fact]) -> Sequence[Fact]:
    """Return what led to the plan of a version, the first cause first."""
    plan = next((each for each in about if isinstance(each, TrainingPlanned)), None)
    if plan is None:
        return ()
    return [each for each in reversed(list(record.causes(plan))) if each.kind != "RetrainApproved"]


def _returns(record: Record, version: str) -> Sequence[Fact]:
    """Return what brought a version back that serves again."""
    serves = record.champion is not None and record.champion.version == version
    return list(returns_of(record, version))[-1:] if serves else ()


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
    found += [_step_ahead(each, policy) for each in arms]
    if beside.to_review:
        found.append(f"{beside.to_review} answers wait to be judged by people.")
    trained, waiting = record.last("CandidateTrained"), record.governance.waiting
    asked = {getattr(trained, "version", ""), waiting.accepted.version if waiting else ""}
    held, _ = record.standing(Registered.HELD, most=_MOST_HELD)  # an older one waits no more: nobody can sign for it
    found += [f"{each.version} waits for a person: {each.reason}." for each in held if each.version in asked]
    found += _frozen(record)
    if record.champion is None or record.governance.held is not None:
        return tuple(found)  # without answers no window closes, and what is held has been asked for
    rest = _rest(record, policy, at)
    if rest is not None:
        found.append(f"No retrain before {rest:%d %b %Y, %H:%M} of event time: the last request rests until then.")
    elif not beside.runs and not arms and beside.holder:
        found.append("The next window is judged when it closes; what its detectors find may ask for a retrain.")
    return tuple(found)


def _frozen(record: Record) -> Sequence[str]:
    """Say the freeze in force, and whose request to retrain waits for its end."""
    freeze, held = record.governance.frozen, record.governance.held
    if freeze is None:
        return ()
    asked = f" that {held.requester} asked for" if held and held.requester else ""
    waits = f": a retrain{asked} waits for its end" if held else ""
    return (f"Frozen until {freeze.until:%d %b %Y, %H:%M} UTC ({freeze.window}){waits}.",)


def _rest(record: Record, policy: InForce, at: datetime | None) -> datetime | None:
    """Return until when no retrain is asked for, if that is not over; without event time, when it would be."""
    rest = policy.trigger.cooldown.until(record.trigger.last)
    return None if rest is None or not policy.trigger.cooldown.length or (at is not None and rest <= at) else rest


def _step_ahead(probation: OnProbation, policy: InForce) -> str:
    if probation.held:
        return f"{probation.version} waits: held by {probation.held}."
    if policy.rollout.blue_green and probation.stage != "ab":
        return f"{probation.version} takes all traffic as soon as every worker has it loaded."
    short = max(0, probation.needed - probation.labels)
    lacking = f"{short} more mature labels are needed" if short else probation.reason
    stage = "its trial" if probation.stage == "ab" else probation.stage
    return f"{probation.version} stays in {stage} until the next step is decided: {lacking}."


def _budget(record: Record, policy: InForce, at: datetime | None) -> Budget:
    budget, rests_until = policy.trigger.budget, _rest(record, policy, at)
    if budget is None:
        return Budget(left=None, of=0, period_s=0.0, rests_until=rests_until)
    when = at or record.trigger.last
    left = budget.left(record.trigger.requests, when) if when else budget.retrains
    return Budget(left=left, of=budget.retrains, period_s=budget.period.total_seconds(), rests_until=rests_until)
