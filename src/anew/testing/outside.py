"""What a simulated world says by itself: windows, scores, looks, guardrails, people and the clock."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

from anew.domain.errors import PolicyError
from anew.domain.evidence import Counts, Evidence
from anew.domain.fact import Fact
from anew.domain.facts import (
    CandidateRefused,
    CandidateTrained,
    GuardrailTripped,
    Order,
    OverrideSigned,
    ProjectChanged,
    QuarantineReleased,
    RetrainCommanded,
    RollbackCommanded,
    RolloutObserved,
    Stage,
    Ticked,
    TrafficApplied,
    TrafficShifted,
    WindowClosed,
    WindowScored,
)
from anew.domain.interval import Interval
from anew.domain.order import ordered
from anew.ports.eventlog import EventLog
from anew.registry import RegistryState, Standing
from anew.rollout import Probation, RolloutState
from anew.testing.simulated_effects import SimulatedEffects
from anew.testing.story import Move

__all__ = ["Outside"]

_HOUR = timedelta(hours=1)
_NOTHING = Counts(low=0.0, high=1.0, counts=(0, 0))
_UNPAIRED = Counts(low=-1.0, high=1.0, counts=(0, 0, 0))

_Sayer = Callable[[Random, Mapping[str, Any]], tuple[Fact, ...]]


class Outside:
    """Says what happens around one model; `at` is the event time that it has reached."""

    def __init__(self, model: str, at: datetime, effects: SimulatedEffects) -> None:
        self.at = at
        self._model = model
        self._effects = effects
        self._drift = 0.0
        self._said = 0
        self._windows: list[Interval] = []
        self._scored: dict[Interval, int] = {}
        self._sayers: Mapping[Move, _Sayer] = {
            Move.WINDOW: self._window,
            Move.SCORE: self._score,
            Move.LOOK: self._look,
            Move.TRIP: self._trip,
            Move.TICK: self._tick,
            Move.RETRAIN: self._retrain,
            Move.ROLLBACK: self._rollback,
            Move.RELEASE: self._release,
            Move.CHANGE: self._change,
        }

    def facts(self, move: Move, chance: Random, states: Mapping[str, Any], log: EventLog) -> tuple[Fact, ...]:
        """Return what is said at a `move`, as the loop's `states` are; nothing where the move makes no sense."""
        if move is Move.OVERRIDE:
            return self._override(chance, log)
        if move is Move.ORDER:
            return self._order(chance, states, log)
        return self._sayers[move](chance, states)

    def _name(self) -> str:
        self._said += 1
        return f"said-{self._said}"

    def _window(self, chance: Random, states: Mapping[str, Any]) -> tuple[Fact, ...]:
        champion = _rollout(states).champion[0]
        if not champion:
            return self._retrain(chance, states)
        start = self.at
        self.at += _HOUR
        window = Interval(start=start, end=self.at)
        self._windows.append(window)
        if chance.random() < 0.4:
            self._drift = chance.choice((0.0, 0.4, 0.4, 0.8))
        n = chance.choice((0, 40, 500))
        evidence = tuple(
            Evidence.of("psi>0.25", self._drift + chance.choice((0.0, 0.1)), n, subject=column)
            if n >= 100
            else Evidence.of("psi>0.25", chance.choice((None, float("nan"))), n, subject=column)
            for column in ("amount", "hour")
        )
        return (
            WindowClosed(
                model=self._model,
                at=self.at,
                version=champion,
                window=window,
                n=n,
                rows=f"rows-{len(self._windows)}",
                evidence=evidence if chance.random() < 0.9 else (),
            ),
        )

    def _score(self, chance: Random, states: Mapping[str, Any]) -> tuple[Fact, ...]:
        champion = _rollout(states).champion[0]
        if not self._windows or not champion:
            return ()
        window = chance.choice(self._windows[-3:])
        self._scored[window] = revision = self._scored.get(window, 0) + 1
        labelled = chance.choice((0, 30, 400))
        value = 0.2 + self._drift / 3 if labelled >= 50 else None
        interval = None if value is None else (value - 0.04, value + 0.04)
        return (
            WindowScored(
                model=self._model,
                at=self.at,
                version=champion,
                window=window,
                n=500,
                labelled=labelled,
                revision=revision,
                evidence=(Evidence.of("slo(error<=0.3)", value, labelled, subject="error", interval=interval),),
            ),
        )

    def _look(self, chance: Random, states: Mapping[str, Any]) -> tuple[Fact, ...]:
        arms = _rollout(states).arms
        if not arms:
            return ()
        probation = arms[0] if len(arms) == 1 else chance.choice(arms)
        start = max(probation.looked or probation.since, probation.since)
        self.at = max(self.at, start) + timedelta(minutes=10)
        n = chance.choice((0, 100, 400, 400, 1000))
        paired, champion, challenger = self._labels(probation, n)
        return (
            RolloutObserved(
                model=self._model,
                at=self.at,
                version=probation.challenger[0],
                stage=probation.stage,
                look=probation.looks + 1,
                span=Interval(start=start, end=self.at),
                paired_down=paired,
                paired_up=paired,
                champion_loss=champion,
                challenger_loss=challenger,
            ),
        )

    def _labels(self, probation: Probation, n: int) -> tuple[Counts, Counts, Counts]:
        quality = self._effects.quality(probation.challenger[1])
        if quality.harms_in_shadow:
            lost, won = n * 45 // 100, n * 5 // 100
        elif quality.excess_held_out < 0:
            lost, won = n * 5 // 100, n * 15 // 100
        else:
            lost, won = n // 10, n // 10
        paired = Counts(low=-1.0, high=1.0, counts=(lost, n - lost - won, won))
        if probation.stage is Stage.SHADOW:
            return paired, _NOTHING, _NOTHING
        ours = int(n * probation.share)
        wrong = ours * (6 if quality.harms_in_canary else 2) // 10
        if probation.stage is Stage.AB and quality.excess_held_out < 0 and not quality.harms_in_canary:
            wrong = 0
        theirs = n - ours
        return (
            paired if quality.harms_in_shadow or n else _UNPAIRED,
            Counts(low=0.0, high=1.0, counts=(theirs - theirs // 5, theirs // 5)),
            Counts(low=0.0, high=1.0, counts=(ours - wrong, wrong)),
        )

    def _trip(self, chance: Random, states: Mapping[str, Any]) -> tuple[Fact, ...]:
        rollout = _rollout(states)
        arms = rollout.arms
        version = (arms[0] if len(arms) == 1 else chance.choice(arms)).challenger[0] if arms else rollout.champion[0]
        if not version or (rollout.probation is None and chance.random() < 0.5):
            return ()
        guardrail = chance.choice(("error_rate", "p99_ms", "nonsense"))
        return (
            GuardrailTripped(
                model=self._model,
                at=self.at,
                version=version,
                guardrail=guardrail,
                evidence=(Evidence.of(guardrail, 0.2, 50, reference=0.01),),
                reason="10 of 50 answers failed",
            ),
        )

    def _tick(self, chance: Random, states: Mapping[str, Any]) -> tuple[Fact, ...]:  # noqa: ARG002  as every sayer
        self.at += chance.choice((timedelta(minutes=1), _HOUR, 6 * _HOUR, 30 * _HOUR, 80 * _HOUR))
        return (Ticked(model=self._model, at=self.at, wall=self.at, final=self.at - 60 * _HOUR),)

    def _retrain(self, chance: Random, states: Mapping[str, Any]) -> tuple[Fact, ...]:  # noqa: ARG002  as every sayer
        return (RetrainCommanded(model=self._model, at=self.at, command=self._name(), by="ada", reason="try"),)

    def _rollback(self, chance: Random, states: Mapping[str, Any]) -> tuple[Fact, ...]:  # noqa: ARG002  as every sayer
        return (RollbackCommanded(model=self._model, at=self.at, command=self._name(), by="ada", reason="stop"),)

    def _order(self, chance: Random, states: Mapping[str, Any], log: EventLog) -> tuple[Fact, ...]:
        """Order the gateways, which may not have heard of the loop's last shift."""
        record = [each.fact for each in log.read()]
        applied = {each.cause for each in record if isinstance(each, TrafficApplied)}
        shifts = [each for each in record if isinstance(each, TrafficShifted)]
        there = [each for each in shifts if each.id in applied] if chance.random() < 0.5 else shifts
        if not there or there[-1].epoch // 1000 < _rollout(states).epoch // 1000:
            return ()  # the gateways obey a later order already
        probation = _rollout(states).probation
        steer = Order.RESUME if probation is not None and probation.held else Order.HOLD
        action = chance.choices((steer, Order.RESUME, Order.ABORT, Order.ROLLBACK), weights=(5, 1, 1, 2))[0]
        try:
            made = ordered(there[-1], action, command=self._name(), by="ada", reason="now")
        except PolicyError:
            return ()
        return (replace(made, at=self.at),)

    def _release(self, chance: Random, states: Mapping[str, Any]) -> tuple[Fact, ...]:
        registry: RegistryState = states["registry"]
        quarantined = [each.version for each in registry.standing(Standing.QUARANTINED)]
        known = quarantined if quarantined and chance.random() < 0.7 else list(registry.versions)
        if not known:
            return ()
        return (
            QuarantineReleased(
                model=self._model,
                at=self.at,
                command=self._name(),
                version=chance.choice(known),
                by="ada",
                reason="looked into it",
            ),
        )

    def _change(self, chance: Random, states: Mapping[str, Any]) -> tuple[Fact, ...]:  # noqa: ARG002  as every sayer
        return (
            ProjectChanged(
                model=self._model,
                at=self.at,
                settings=f"settings-{chance.randrange(9)}",
                code=f"code-{chance.randrange(9)}",
            ),
        )

    def _override(self, chance: Random, log: EventLog) -> tuple[Fact, ...]:
        refusals = [each.fact for each in log.read() if isinstance(each.fact, CandidateRefused)][-3:]
        if not refusals:
            return ()
        refused = chance.choice(refusals)
        trained = [each.fact for each in log.read() if isinstance(each.fact, CandidateTrained)]
        digests = {each.version: each.digest for each in trained}
        digest = digests.get(refused.version, "unknown") if chance.random() < 0.8 else "digest-of-another"
        gates = refused.gates if chance.random() < 0.8 else ("advice",)
        return tuple(
            OverrideSigned(
                model=self._model,
                at=self.at,
                version=refused.version,
                digest=digest,
                gate=gate,
                by=chance.choice(("ada", "grace")),
                reason="the incident is worse",
                signature="signed",
            )
            for gate in gates
        )


def _rollout(states: Mapping[str, Any]) -> RolloutState:
    state: RolloutState = states["rollout"]
    return state
