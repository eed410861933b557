"""Trigger: alerts, schedules, changes and commands in, requests to retrain out, or reasons why not."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType

from anew.domain.duration import write_duration
from anew.domain.fact import Fact
from anew.domain.facts import (
    AlertRaised,
    EffectFailed,
    IncidentRaised,
    ProjectChanged,
    RetiredScored,
    RetrainCommanded,
    RetrainRefused,
    RetrainRequested,
    RetrainWithheld,
    RolledBack,
    RolloutRefused,
    RolloutStalled,
    RolloutStarted,
    RolloutSuperseded,
    RowsChecked,
    Ticked,
    TrafficShifted,
    TrainingEnded,
    TrainingPlanned,
    VersionPromoted,
    WindowClosed,
    WindowScored,
)
from anew.domain.interval import Interval
from anew.trigger._books import Books, books_after
from anew.trigger._condition import Changes, Condition, NewData, Schedule
from anew.trigger._economy import Economy
from anew.trigger._question import Question
from anew.trigger._streak import Streaks, streaks_after
from anew.trigger._trial import Trial, trial_after
from anew.trigger.budget import Allowance, Budget, Run
from anew.trigger.cooldown import Cooldown

__all__ = ["Trigger", "TriggerState"]

_KEPT = 1_000


def _never() -> Mapping[str, datetime]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerState:
    """What the trigger remembers.

    Attributes
    ----------
    running
        Is a retrain under way, from its request until it ended without a candidate or its rollout ended?
    version
        The version being trained or rolled out, empty when none or not yet known.
    requests
        Event times of the last requests, in order of recording.
    answered
        Was a decision given since the last window? There is one decision per window; further alerts fold into it.
    served
        Since when there is a champion: schedules begin then.
    scheduled
        Last intended instant that was answered, by name of the schedule.
    alerted
        Start of the window of the last alert.
    fired
        The same of the alert at which each condition last asked.
    code, settings, changed
        The project's revision, and what of it the last ProjectChanged changed.
    mended, unproven
        Has any of it changed since the last request; or before it, and no run has ended well since?
    labelled, unlabelled
        Labelled rows scored since the last retrain was requested, and windows scored without one label.
    unlearned
        Labelled rows that were there at a request which nothing has been learned from: refused, under way, or failed.
    runs
        The last runs that have ended, revivals left out: they take nothing.
    revised
        Was the last window one that had been scored before?
    broken
        Windows with broken data, the latest last.
    trial
        The arms that answer side by side, if any.
    """

    running: bool = False
    version: str = ""
    champion: str = ""
    requests: tuple[datetime, ...] = ()
    streaks: Streaks = field(default_factory=Streaks)
    answered: bool = False
    served: datetime | None = None
    scheduled: Mapping[str, datetime] = field(default_factory=_never)
    alerted: datetime | None = None
    fired: Mapping[str, datetime] = field(default_factory=_never)
    code: str = ""
    settings: str = ""
    changed: frozenset[str] = frozenset()
    mended: bool = False
    unproven: bool = False
    labelled: int = 0
    unlabelled: int = 0
    unlearned: int = 0
    runs: tuple[Run, ...] = ()
    revised: bool = False
    broken: tuple[Interval, ...] = ()
    books: Books = field(default_factory=Books)
    trial: Trial = field(default_factory=Trial)

    @property
    def last(self) -> datetime | None:
        """Latest event time of a request; a late score may ask in the past of a command."""
        return max(self.requests, default=None)

    def concerns(self, version: str) -> bool:
        """Is what was seen of `version` about the present champion?"""
        return not self.champion or version == self.champion

    def is_broken(self, window: Interval) -> bool:
        """Was broken data found in a window that overlaps this one?"""
        return any(each.start < window.end and window.start < each.end for each in self.broken)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """Turns findings that last, schedules, changes and new data into requests, within cooldown and budget.

    Parameters
    ----------
    conditions
        What may ask; a detector that stands in none alerts and never triggers. The first that holds asks.
    economy
        The economic policy; it is asked last in each window, and folds into what was decided before it.
    allowances
        Budgets of what runs take: compute, money.
    arms
        Places in a trial of arms side by side; while one is left, a version on trial does not make the loop busy.
    """

    conditions: tuple[Condition, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    changes: Changes = Changes()
    new_data: NewData | None = None
    cooldown: Cooldown = Cooldown()
    budget: Budget | None = None
    allowances: tuple[Allowance, ...] = ()
    economy: Economy | None = None
    arms: int = 0

    def initial(self) -> TriggerState:
        """Return the state of a model that nothing is known about."""
        return TriggerState()

    def apply(self, state: TriggerState, fact: Fact) -> TriggerState:
        """Fold a fact."""
        books = books_after(state.books, fact)
        state = _charged(state if books is state.books else replace(state, books=books), fact)
        trial = trial_after(state.trial, fact)
        state = state if trial is state.trial else replace(state, trial=trial)
        match fact:
            case WindowClosed() | WindowScored() | RowsChecked():
                return _measured(state, fact)
            case IncidentRaised():
                return replace(state, broken=(*state.broken, fact.window)[-_KEPT:])
            case AlertRaised() if state.concerns(fact.version):
                return replace(state, streaks=streaks_after(state.streaks, fact), alerted=fact.window.start)
            case RetrainRequested():
                requests = (*state.requests, fact.at)[-_KEPT:]
                asked = replace(state, running=True, version="", requests=requests, answered=True)
                asked = replace(asked, mended=False, unproven=state.unproven or state.mended)
                unlearned = state.unlearned + state.labelled
                return _answered(replace(asked, labelled=0, unlabelled=0, unlearned=unlearned), fact)
            case RetrainWithheld():
                return _answered(replace(state, answered=True), fact)
            case ProjectChanged():
                return _revised(state, fact)
            case TrainingPlanned():
                return replace(state, version=fact.version)
            case RetrainRefused():
                return replace(state, running=False, version="")
            case TrainingEnded() if fact.outcome != "accepted" and fact.version == state.version:
                return replace(state, running=False, version="")
            case RolloutStarted() if not state.running:
                return replace(state, running=True, version=fact.version)  # let through by a person after its refusal
            case RolloutStalled() if fact.version == state.version:
                return replace(state, running=False, version="")
            case TrafficShifted() if fact.challenger[0] and not (state.running or state.trial.arms):
                return replace(state, running=True, version=fact.challenger[0])  # it stalled, and went on after all
            case VersionPromoted():
                served = state.served or fact.at
                return _settled(_changed_hands(replace(state, served=served), fact.version), fact.version)
            case RolledBack() if fact.to and fact.to != state.champion:
                return _settled(_changed_hands(state, fact.to), fact.version)
            case RolledBack() | RolloutRefused() | RolloutSuperseded():
                return _settled(state, fact.version)
        return state

    def decide(self, state: TriggerState, fact: Fact) -> tuple[Fact, ...]:
        """Answer what asks for a retrain: an alert that has lasted, a schedule, a change, new data, a command."""
        match fact:
            case AlertRaised() if state.concerns(fact.version) and not state.answered:
                question = self._asked_by_alert(state, fact)
            case WindowScored() if self.new_data is not None and state.labelled >= self.new_data.rows:
                count = f"{state.labelled} labelled rows have come since the last retrain was asked for"
                question = Question(triggers=(self.new_data.name,), reason=count)
            case WindowScored() if self.economy is not None:
                return self.economy.ask(state.books, fact)
            case RetiredScored() if self.economy is not None and not state.answered and not self._busy(state):
                question = self.economy.question(state.books, fact.window)
            case EffectFailed() if self.economy is not None and fact.effect == "score_retired" and not state.answered:
                question = self.economy.blind(fact)
            case Ticked() if state.served is not None:
                question = self._asked_by_schedule(state, state.served, fact.at)
            case ProjectChanged():
                question = self._asked_by_change(state)
            case RetrainCommanded() if fact.held:
                question = Question(triggers=(fact.by,), reason=f"{fact.by}: {fact.reason}")
            case RetrainCommanded():
                return (self._answer_command(state, fact),)
            case _:
                return ()
        return () if question is None else (self._answer(state, fact, question),)

    def _asked_by_alert(self, state: TriggerState, alert: AlertRaised) -> Question | None:
        for condition in self.conditions:
            if not (
                condition.holds(state.streaks, alert) and condition.armed(state.streaks, state.fired, alert.detector)
            ):
                continue
            if state.revised and state.fired.get(condition.name) == alert.window.start:
                continue  # the same window again, with labels that came later: it has asked already
            length = state.streaks.length(alert.detector)
            broken = state.is_broken(alert.window)
            return Question(
                triggers=(condition.name,),
                reason=alert.message,
                severity=alert.severity,
                considered=(("windows in a row", str(length)), ("broken data", "yes" if broken else "no")),
                past_cooldown=condition.past_cooldown,
                corrected=condition.corrected,
                fresh=condition.corrected,
            )
        return None

    def _asked_by_schedule(self, state: TriggerState, served: datetime, at: datetime) -> Question | None:
        due = {each: each.due(state.scheduled.get(each.name, served), at) for each in self.schedules}
        found = {each: instant for each, instant in due.items() if instant is not None}
        if not found:
            return None
        intended = max(found.values())
        names = tuple(each.name for each in found)
        return Question(
            triggers=names,
            reason=f"{' and '.join(names)}: intended for {intended:%Y-%m-%d %H:%M}",
            intended=intended,
            past_cooldown=any(each.past_cooldown for each in found),
        )

    def _asked_by_change(self, state: TriggerState) -> Question | None:
        wanted = {each for each in ("code", "policy") if getattr(self.changes, each)} & state.changed
        if not wanted or state.served is None:
            return None
        what = " and ".join(sorted(wanted))
        return Question(triggers=(self.changes.name,), reason=f"the project's {what} changed", fresh=True)

    def _answer(self, state: TriggerState, fact: Fact, question: Question) -> RetrainRequested | RetrainWithheld:
        reason, detail = question.withheld or self._hindrance(state, fact, question)
        considered = (*question.considered, *self._considered(state, fact.at))
        if reason:
            return RetrainWithheld(
                model=fact.model,
                at=fact.at,
                reason=reason,
                detail=detail,
                triggers=question.triggers,
                considered=considered,
                intended=question.intended,
            )
        return RetrainRequested(
            model=fact.model,
            at=fact.at,
            reason=question.reason,
            triggers=question.triggers,
            severity=question.severity,
            considered=considered,
            intended=question.intended,
            corrected=question.corrected,
            revive=question.revive,
        )

    def _answer_command(self, state: TriggerState, command: RetrainCommanded) -> Fact:
        """Answer a person, whom cooldown, budget and broken data do not hold."""
        # by the time of the rows it can come before the last request, which no cooldown is then to be read into
        said, fresh = f"{command.by}: {command.reason}", state.mended or state.unproven
        question = Question(triggers=("command",), reason=said, past_cooldown=True, fresh=fresh)
        answer = Trigger(arms=self.arms)._answer(state, command, question)
        return replace(answer, considered=self._considered(state, command.at))

    def _considered(self, state: TriggerState, at: datetime) -> tuple[tuple[str, str], ...]:
        until = self.cooldown.until(state.last)
        left = (
            [] if self.budget is None else [("budget left", f"{self.budget.left(state.requests, at)} of {self.budget}")]
        )
        left += [(f"{each.of} left", f"{each.left(state.runs, at):.3g} of {each}") for each in self.allowances]
        return (
            ("cooldown until", f"{until:%Y-%m-%d %H:%M}" if until else "none"),
            *left,
            ("under way", self._busy(state) or "nothing"),
        )

    def _busy(self, state: TriggerState) -> str:
        """Return what is under way that leaves no room for another retrain; empty for nothing."""
        if state.running and state.version not in state.trial.arms:
            return state.version or "requested"
        return " ".join(state.trial.arms) if state.trial.full(self.arms) else ""

    def _hindrance(self, state: TriggerState, fact: Fact, question: Question) -> tuple[str, str]:
        """Return why not, as a word and a sentence; empty when nothing stands against it."""
        if isinstance(fact, AlertRaised) and state.is_broken(fact.window):
            return (
                "incident",
                "the window's data is broken: the feed has to be mended, the model learns nothing from it",
            )
        if under_way := self._busy(state):
            full = under_way == " ".join(state.trial.arms)
            return "busy", f"{'no place is left in the trial' if full else 'a retrain is under way'} ({under_way})"
        until = self.cooldown.until(state.last)
        if until is not None and fact.at < until and not question.past_cooldown:
            return "cooldown", f"after the request of {state.last:%Y-%m-%d %H:%M}, until {until:%Y-%m-%d %H:%M}"
        if self.budget is not None and self.budget.left(state.requests, fact.at) == 0:
            return "budget", f"{self.budget.retrains} retrains per {write_duration(self.budget.period)} are spent"
        if not question.revive:
            lacking = next(filter(None, (each.lacks(state.runs, fact.at) for each in self.allowances)), "")
            return ("budget", lacking) if lacking else _stale(state, question)
        return "", ""


def _stale(state: TriggerState, question: Question) -> tuple[str, str]:
    """Return why the data is too old to learn from: no label has come since the last retrain was asked for."""
    if question.fresh or state.labelled or state.unlearned or not (state.unlabelled and state.requests):
        return "", ""
    return "stale", (
        f"none of the {state.unlabelled} windows scored since the last request has a label: a retrain would learn from "
        "the rows that were there then"
    )


def _charged(state: TriggerState, fact: Fact) -> TriggerState:
    if not isinstance(fact, TrainingEnded) or fact.version in state.books.revives:
        return state
    if fact.outcome != "failed":
        state = replace(state, unlearned=0, unproven=False)
    return replace(state, runs=(*state.runs, Run(at=fact.at, compute_s=fact.compute_s))[-_KEPT:])


def _measured(state: TriggerState, fact: WindowClosed | WindowScored | RowsChecked) -> TriggerState:
    streaks = streaks_after(state.streaks, fact) if state.concerns(fact.version) else state.streaks
    fresh = fact.gained if isinstance(fact, WindowScored) else 0
    again = isinstance(fact, WindowScored) and fact.revision > 0
    empty = isinstance(fact, WindowScored) and not fact.labelled
    return replace(
        state,
        streaks=streaks,
        answered=False,
        labelled=state.labelled + fresh,
        unlabelled=state.unlabelled + empty,
        revised=again,
    )


def _answered(state: TriggerState, fact: RetrainRequested | RetrainWithheld) -> TriggerState:
    """Note which schedules were answered, and at which window a condition asked."""
    if fact.intended is not None:
        times = {**state.scheduled, **dict.fromkeys(fact.triggers, fact.intended)}
        return replace(state, scheduled=MappingProxyType(times))
    if isinstance(fact, RetrainWithheld) or state.alerted is None:
        return state
    return replace(state, fired=MappingProxyType({**state.fired, **dict.fromkeys(fact.triggers, state.alerted)}))


def _revised(state: TriggerState, fact: ProjectChanged) -> TriggerState:
    told = (("code", state.code, fact.code), ("policy", state.settings, fact.settings))
    changed = frozenset(each for each, before, now in told if before not in ("", now))
    return replace(state, code=fact.code, settings=fact.settings, changed=changed, mended=state.mended or bool(changed))


def _changed_hands(state: TriggerState, champion: str) -> TriggerState:
    """Begin anew: what was found concerned another champion."""
    return replace(state, champion=champion, streaks=Streaks(), fired=MappingProxyType({}))


def _settled(state: TriggerState, version: str) -> TriggerState:
    return replace(state, running=False, version="") if version == state.version else state
