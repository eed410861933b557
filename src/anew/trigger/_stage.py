"""Trigger: alerts and commands in, requests to retrain out, or reasons why not."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from anew.domain.fact import Fact
from anew.domain.facts import (
    AlertRaised,
    RetrainCommanded,
    RetrainRefused,
    RetrainRequested,
    RetrainWithheld,
    RolledBack,
    RolloutStarted,
    TrainingEnded,
    TrainingPlanned,
    VersionPromoted,
    WindowClosed,
    WindowScored,
)
from anew.domain.severity import Severity
from anew.trigger._streak import Streaks, streaks_after
from anew.trigger.budget import Budget
from anew.trigger.cooldown import Cooldown

__all__ = ["Trigger", "TriggerState"]

_KEPT = 1_000


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
    """

    running: bool = False
    version: str = ""
    champion: str = ""
    requests: tuple[datetime, ...] = ()
    streaks: Streaks = field(default_factory=Streaks)
    answered: bool = False

    @property
    def last(self) -> datetime | None:
        """Latest event time of a request; a late score may ask in the past of a command."""
        return max(self.requests, default=None)

    def concerns(self, version: str) -> bool:
        """Is what was seen of `version` about the present champion?"""
        return not self.champion or version == self.champion


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """Turns findings that last into requests, within cooldown and budget.

    Parameters
    ----------
    persistence
        For each detector that may trigger, the windows in a row that it must find something in; a detector that is
        not listed alerts and never triggers.
    """

    persistence: Mapping[str, int]
    cooldown: Cooldown = Cooldown()
    budget: Budget = Budget(retrains=1_000_000, period=timedelta(days=1))

    def initial(self) -> TriggerState:
        """Return the state of a model that nothing is known about."""
        return TriggerState()

    def apply(self, state: TriggerState, fact: Fact) -> TriggerState:
        """Fold a fact."""
        match fact:
            case WindowClosed() | WindowScored():
                streaks = streaks_after(state.streaks, fact) if state.concerns(fact.version) else state.streaks
                return replace(state, streaks=streaks, answered=False)
            case AlertRaised() if state.concerns(fact.version):
                return replace(state, streaks=streaks_after(state.streaks, fact))
            case RetrainRequested():
                requests = (*state.requests, fact.at)[-_KEPT:]
                return replace(state, running=True, version="", requests=requests, answered=True)
            case RetrainWithheld():
                return replace(state, answered=True)
            case TrainingPlanned():
                return replace(state, version=fact.version)
            case RetrainRefused():
                return replace(state, running=False, version="")
            case TrainingEnded() if fact.outcome != "accepted" and fact.version == state.version:
                return replace(state, running=False, version="")
            case RolloutStarted() if not state.running:
                return replace(state, running=True, version=fact.version)  # let through by a person after its refusal
            case VersionPromoted():
                return self._settled(replace(state, champion=fact.version, streaks=Streaks()), fact.version)
            case RolledBack() if fact.to and fact.to != state.champion:
                return self._settled(replace(state, champion=fact.to, streaks=Streaks()), fact.version)
            case RolledBack():
                return self._settled(state, fact.version)
        return state

    def decide(self, state: TriggerState, fact: Fact) -> tuple[Fact, ...]:
        """Answer an alert that has lasted long enough, or a command."""
        match fact:
            case AlertRaised():
                need = self.persistence.get(fact.detector)
                if need is None or not state.concerns(fact.version):
                    return ()
                length = state.streaks.length(fact.detector)
                return () if length < need else self._answer_alert(state, fact, length)
            case RetrainCommanded():
                return (self._answer_command(state, fact),)
        return ()

    @staticmethod
    def _settled(state: TriggerState, version: str) -> TriggerState:
        return replace(state, running=False, version="") if version == state.version else state

    def _considered(self, state: TriggerState, at: datetime) -> tuple[tuple[str, str], ...]:
        until = self.cooldown.until(state.last)
        return (
            ("cooldown until", until.isoformat() if until else "none"),
            (
                "budget left",
                f"{self.budget.left(state.requests, at)} of {self.budget.retrains} per {self.budget.period}",
            ),
            ("under way", (state.version or "requested") if state.running else "nothing"),
        )

    def _answer_alert(self, state: TriggerState, alert: AlertRaised, length: int) -> tuple[Fact, ...]:
        if state.answered:
            return ()  # folded into the decision that this window already got
        considered = (("windows in a row", str(length)), *self._considered(state, alert.at))
        reason, detail = self._hindrance(state, alert.at)
        if reason:
            return (
                RetrainWithheld(
                    model=alert.model,
                    at=alert.at,
                    reason=reason,
                    detail=detail,
                    triggers=(alert.detector,),
                    considered=considered,
                ),
            )
        return (
            RetrainRequested(
                model=alert.model,
                at=alert.at,
                reason=alert.message,
                triggers=(alert.detector,),
                severity=alert.severity,
                considered=considered,
            ),
        )

    def _hindrance(self, state: TriggerState, at: datetime) -> tuple[str, str]:
        if state.running:
            return "busy", f"a retrain is under way already ({state.version or 'requested'})"
        until = self.cooldown.until(state.last)
        if until is not None and at < until:
            return "cooldown", f"the last request was at {state.last}; the cooldown lasts until {until}"
        if self.budget.left(state.requests, at) == 0:
            return "budget", f"{self.budget.retrains} retrains per {self.budget.period} are spent"
        return "", ""

    def _answer_command(self, state: TriggerState, command: RetrainCommanded) -> Fact:
        considered = self._considered(state, command.at)
        if state.running:
            return RetrainWithheld(
                model=command.model,
                at=command.at,
                reason="busy",
                detail=f"a retrain is under way already ({state.version or 'requested'})",
                triggers=("command",),
                considered=considered,
            )
        return RetrainRequested(
            model=command.model,
            at=command.at,
            reason=f"{command.by}: {command.reason}",
            triggers=("command",),
            severity=Severity.MEDIUM,
            considered=considered,
        )
