"""Sharing: whose retrain is next, where several models share one compute budget."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from statistics import fmean
from types import MappingProxyType

from anew.domain.duration import write_duration
from anew.domain.errors import InvariantError
from anew.domain.fact import Fact
from anew.domain.facts import (
    FreezeEnded,
    RetrainAdmitted,
    RetrainApproved,
    RetrainCommanded,
    RetrainHeld,
    RetrainQueued,
    RetrainRefused,
    RetrainRequested,
    RetrainWithheld,
    TrainingEnded,
)

__all__ = ["RATE", "SHARED", "Asked", "Charge", "Line", "Place", "Sharing", "SharingState"]

RATE, PRICE = "regret an hour", "price"
"""Numbers of a request that its place rests on."""
SHARED = (
    FreezeEnded,
    RetrainAdmitted,
    RetrainApproved,
    RetrainCommanded,
    RetrainHeld,
    RetrainQueued,
    RetrainRefused,
    RetrainRequested,
    RetrainWithheld,
    TrainingEnded,
)
"""The facts that change whose turn it is."""
_KEPT_RUNS, _KEPT_CHARGES = 20, 1_000
_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that waits.

    Attributes
    ----------
    rate
        Share of its price that an hour of waiting costs; None where it is not known.
    since
        Wall time at which it was found waiting; None before that.
    told
        Reasons of waiting that are on record.
    at_once
        ``command`` or ``revival`` for what no budget holds; empty otherwise.
    """

    id: str
    at: datetime
    triggers: tuple[str, ...]
    rate: float | None = None
    since: datetime | None = None
    told: frozenset[str] = frozenset()
    at_once: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What a run took, or is expected to take, in CPU seconds; it counts from `wall` on."""

    wall: datetime
    compute_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What is remembered of one model.

    Attributes
    ----------
    asked
        Its request that waits.
    admitted
        Its run that has its turn and has not ended.
    held
        Does a freeze hold its request?
    commanded
        Id of the last command of a person.
    costs
        CPU seconds of its last runs.
    charges
        Runs that have ended.
    """

    asked: Asked | None = None
    admitted: Charge | None = None
    held: bool = False
    commanded: str = ""
    costs: tuple[float, ...] = ()
    charges: tuple[Charge, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SharingState:
    """All models that were heard of, by name."""

    lines: Mapping[str, Line] = field(default_factory=lambda: MappingProxyType({}))

    def line(self, model: str) -> Line:
        """Return what is remembered of `model`."""
        return self.lines.get(model, Line())

    def expected_s(self, model: str) -> float:
        """Return what a run of `model` takes: what its last ones took, else what those of all did; 0 before any."""
        own = self.line(model).costs
        costs = own or [each for line in self.lines.values() for each in line.costs]
        return fmean(costs) if costs else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One place of the queue: a request, when it is due, and why it waits (empty: it has its turn)."""

    model: str
    asked: Asked
    due: datetime
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Now:
    """The models whose runs are under way, and the CPU seconds that are left."""

    running: tuple[str, ...]
    left_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """Gives requests to retrain their turn, so that the shared compute saves as much regret as it can and none starves.

    In order: what a person commands and what is revived, at once and held by nothing; what is *due*, the longest due
    first; the rest by the share of its price that an hour of waiting costs, the highest first, and what has no such
    number last. A request is due once it has waited for `patience`; one of a trigger in `first`, when it asks. Whoever
    comes first and does not fit is waited for: nobody goes past it. Once due, a request is thus passed by no more than
    one of each other model.

    Not a stage: it hears the facts of every model, and what it decides is recorded with the model that it is about.

    Parameters
    ----------
    at_once
        Runs under way at a time.
    hours, period
        CPU hours that the runs begun in any `period` of wall time may take; None for no limit. What is under way counts
        with what its model's runs usually take, since it cannot be taken back.
    patience
        Wall time after which a request is due whatever it saves.
    first
        Triggers that are due at once: ``slo`` stands for ``slo(…)``, ``command`` for the loop that has no champion yet.

    References
    ----------
    Smith, Various optimizers for single-stage production, 1956: by cost of delay over length, the highest first, the
    total cost of delay is least. Liu and Layland, Scheduling algorithms for multiprogramming in a hard-real-time
    environment, 1973, for the earliest due date among what is due.
    """

    at_once: int = 1
    hours: float | None = None
    period: timedelta = timedelta(days=1)
    patience: timedelta = timedelta(days=1)
    first: tuple[str, ...] = ("command", "rule", "slo")

    def __post_init__(self) -> None:
        if self.at_once < 1 or self.period <= timedelta(0) or self.patience < timedelta(0):
            raise InvariantError(
                f"sharing: {self.at_once} runs at once, {self.period}, patience {self.patience}: nothing could run"
            )
        if self.hours is not None and not 0 < self.hours < float("inf"):
            raise InvariantError(f"sharing: {self.hours} CPU hours are no budget; give a positive number")

    def initial(self) -> SharingState:
        """Return the state before any fact."""
        return SharingState()

    def apply(self, state: SharingState, fact: Fact) -> SharingState:
        """Fold a fact of any model."""
        line = state.line(fact.model)
        new = _line_after(line, fact)
        return state if new is line else self.put(state, fact.model, new)

    def put(self, state: SharingState, model: str, line: Line) -> SharingState:
        """Return the state with another line of `model`: that which its record says, where the two may differ."""
        return SharingState(lines=MappingProxyType({**state.lines, model: line}))

    def decide(self, state: SharingState, wall: datetime, absent: Collection[str] = ()) -> tuple[Fact, ...]:
        """Return whose turn it is at `wall`, and what waits for what: new facts, each caused by its request.

        `absent` models, whose loops do not run, neither wait nor hold a place; what they may have under way counts.
        """
        decided: list[Fact] = []
        while True:
            queue = self.queue(state, wall, absent)
            turn = next((each for each in queue if not each.reason), None)
            if turn is None:
                break
            fact = self._admitted(state, turn, wall)
            decided.append(fact)
            state = self.apply(state, fact)
        told = [
            _queued(each, wall, place, len(queue))
            for place, each in enumerate(queue, 1)
            if each.reason not in each.asked.told
        ]
        return (*decided, *told)

    def queue(self, state: SharingState, wall: datetime, absent: Collection[str] = ()) -> tuple[Place, ...]:
        """Return what waits at `wall`, whoever is next first."""
        waiting = [
            Place(model=model, asked=line.asked, due=self._due(line.asked, wall))
            for model, line in state.lines.items()
            if line.asked is not None and not line.held and line.admitted is None and model not in absent
        ]
        now = _Now(running=tuple(self.under_way(state, absent)), left_s=self.left_s(state, wall))
        found, before = [], ""
        for each in sorted(waiting, key=lambda each: _order(each, wall)):
            reason, detail = self._hindrance(state, each, now, before)
            found.append(replace(each, reason=reason, detail=detail))
            if reason in ("turn", "compute"):
                before = before or each.model
        return tuple(found)

    def left_s(self, state: SharingState, wall: datetime) -> float | None:
        """Return the CPU seconds that may still be set aside at `wall`; None without a limit."""
        if self.hours is None:
            return None
        since = wall - self.period
        spent = sum(each.compute_s for line in state.lines.values() for each in _charged(line) if since < each.wall)
        return self.hours * _HOUR_S - spent

    def under_way(self, state: SharingState, absent: Collection[str] = ()) -> Sequence[str]:
        """Return the models whose runs are under way."""
        return [model for model, line in state.lines.items() if line.admitted is not None and model not in absent]

    def _due(self, asked: Asked, wall: datetime) -> datetime:
        since = wall if asked.since is None else asked.since
        hard = any(re.match(rf"{re.escape(word)}(?!\w)", each) for each in asked.triggers for word in self.first)
        return since if hard else since + self.patience

    def _hindrance(self, state: SharingState, place: Place, now: "_Now", before: str) -> tuple[str, str]:
        """Return why it is not its turn, as a word and a sentence; empty when it is."""
        if place.asked.at_once:
            return "", ""
        expected = self._expected_s(state, place.model)
        if self.hours is not None and expected > self.hours * _HOUR_S:
            return "too_dear", f"a run takes {_hours(expected)}, more than {self} altogether"
        if before:
            return "turn", f"{before} is before it"
        if len(now.running) >= self.at_once:
            return "turn", f"{len(now.running)} of {self.at_once} runs are under way ({', '.join(now.running[:3])})"
        if now.left_s is not None and (now.left_s <= 0 or expected > now.left_s):
            return "compute", f"{_hours(max(now.left_s, 0.0))} of {self} are left, and a run takes {_hours(expected)}"
        return "", ""

    def _expected_s(self, state: SharingState, model: str) -> float:
        """Return what is set aside for a run; of a model that never ran no more than there is in a period."""
        expected = state.expected_s(model)
        if state.line(model).costs or self.hours is None:
            return expected
        return min(expected, self.hours * _HOUR_S)

    def _admitted(self, state: SharingState, place: Place, wall: datetime) -> RetrainAdmitted:
        asked, late = place.asked, place.due <= wall
        waited = 0.0 if asked.since is None else max(0.0, (wall - asked.since).total_seconds())
        rate = "what waiting costs is not known" if asked.rate is None else f"{asked.rate:.3g} of its price an hour"
        said = {"command": "a person asked for it", "revival": "nothing is fitted", "due": f"due since {place.due}"}
        reason = asked.at_once or ("due" if late else "rate")
        return RetrainAdmitted(
            model=place.model,
            at=asked.at,
            cause=asked.id,
            wall=wall,
            request=asked.id,
            reason=reason,
            detail=said.get(reason, rate),
            expected_s=0.0 if asked.at_once == "revival" else self._expected_s(state, place.model),
            waited_s=waited,
            rate=asked.rate,
        )

    def __str__(self) -> str:
        if self.hours is None:
            return "no limit"
        return f"{self.hours:g} CPU hours per {write_duration(self.period)}"


def _order(place: Place, wall: datetime) -> tuple[int, float, float, str]:
    """Sort: what nothing holds, what is due by when it was, the rest by rate."""
    asked = place.asked
    since = place.due.timestamp()
    if asked.at_once:
        return 0, 0.0, since, place.model
    if place.due <= wall:
        return 1, since, 0.0, place.model
    return 2, float("inf") if asked.rate is None else -asked.rate, since, place.model


def _queued(place: Place, wall: datetime, number: int, of: int) -> RetrainQueued:
    return RetrainQueued(
        model=place.model,
        at=place.asked.at,
        cause=place.asked.id,
        wall=wall,
        request=place.asked.id,
        reason=place.reason,
        detail=place.detail,
        due=place.due,
        place=number,
        of=of,
        rate=place.asked.rate,
    )


def _line_after(line: Line, fact: Fact) -> Line:
    asked = line.asked
    match fact:
        case RetrainCommanded() if not fact.held and not fact.by_loop:
            return replace(line, commanded=fact.id)
        case RetrainRequested():
            return replace(line, asked=_asked(line, fact), admitted=None, held=False)
        case RetrainWithheld() if asked is not None and fact.reason == "busy":
            return replace(line, asked=_urged(line, asked, fact))
        case RetrainQueued() if asked is not None and fact.request == asked.id:
            since = asked.since or fact.wall
            return replace(line, asked=replace(asked, since=since, told=asked.told | {fact.reason}))
        case RetrainAdmitted() if asked is not None and fact.request == asked.id:
            return replace(line, admitted=Charge(wall=fact.wall, compute_s=fact.expected_s))
        case RetrainHeld():
            return replace(line, held=True, admitted=None)
        case FreezeEnded() if line.held:
            return replace(line, held=False)
        case RetrainApproved():
            return replace(line, asked=None, held=False)
        case RetrainRefused():
            return replace(line, asked=None, admitted=None, held=False)
        case TrainingEnded():
            return _ended(line, fact)
    return line


def _asked(line: Line, fact: RetrainRequested) -> Asked:
    numbers = dict(fact.considered)
    try:
        rate = float(numbers[RATE]) / float(numbers[PRICE])
    except (KeyError, ValueError, ZeroDivisionError):
        rate = float("nan")
    commanded = "command" if line.commanded and fact.cause == line.commanded else ""
    return Asked(
        id=fact.id,
        at=fact.at,
        triggers=fact.triggers,
        rate=rate if 0 <= rate < float("inf") else None,
        at_once="revival" if fact.revive else commanded,
    )


def _urged(line: Line, asked: Asked, fact: RetrainWithheld) -> Asked:
    """Let what asks again while a request waits speed that request up: a trigger that goes first, or a person."""
    person = line.commanded != "" and fact.cause == line.commanded
    triggers = tuple(dict.fromkeys((*asked.triggers, *fact.triggers)))
    return replace(asked, triggers=triggers, at_once=asked.at_once or ("command" if person else ""))


def _ended(line: Line, fact: TrainingEnded) -> Line:
    """Count what a run took from when it had its turn on; one that never had one counts nowhere."""
    begun = line.admitted
    costs = (*line.costs, fact.compute_s)[-_KEPT_RUNS:] if fact.compute_s > 0 else line.costs
    if begun is None:
        return replace(line, costs=costs)
    charge = replace(begun, compute_s=fact.compute_s)
    return replace(line, admitted=None, costs=costs, charges=(*line.charges, charge)[-_KEPT_CHARGES:])


def _charged(line: Line) -> tuple[Charge, ...]:
    return line.charges if line.admitted is None else (*line.charges, line.admitted)


def _hours(seconds: float) -> str:
    return f"{seconds / _HOUR_S:.3g} CPU hours"
