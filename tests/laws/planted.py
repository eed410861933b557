"""Planted faults: stages and engines that are wrong in one place each, for the laws to catch."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count
from types import MappingProxyType
from typing import Any

from anew.domain.evidence import Evidence
from anew.domain.fact import Fact
from anew.domain.facts import (
    CandidateAccepted,
    CandidateRefused,
    EffectFailed,
    OverrideSigned,
    RetrainRequested,
    RolledBack,
    RolloutApproved,
    RolloutObserved,
    Ticked,
    TrafficOrdered,
    TrafficShifted,
    TrainingEnded,
    TrainingPlanned,
    VersionPromoted,
)
from anew.domain.interval import Interval
from anew.domain.verdict import Verdict
from anew.loop.engine import Engine, Stages
from anew.monitor import Monitor
from anew.monitor.psi import PSI
from anew.ports.decider import Decider
from anew.rollout import Quarantine
from anew.rollout.canary import Canary
from anew.rollout.shadow import Shadow
from anew.testing.small_stages import Remembered, SmallSettings, small_gates, small_stages
from anew.trigger import Condition, Trigger
from anew.trigger.budget import Budget
from anew.trigger.cooldown import Cooldown
from anew.validate import Gate, Gates, HeldOut, Judgement

__all__ = ["ENGINES", "OTHERS", "STAGES", "BreadthFirst", "lenient_gates", "two_detectors"]

Decisions = tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class Broken:
    """A stage with another `apply` or another end of `decide`."""

    stage: Decider[Any]
    applied: Callable[[Decider[Any], Any, Fact], Any] = lambda stage, state, fact: stage.apply(state, fact)
    decided: Callable[[Any, Fact, Decisions], Decisions] = lambda _state, _fact, decisions: decisions

    def initial(self) -> Any:
        """Begin as the stage does."""
        return self.stage.initial()

    def apply(self, state: Any, fact: Fact) -> Any:
        """Fold, with the fault."""
        return self.applied(self.stage, state, fact)

    def decide(self, state: Any, fact: Fact) -> Decisions:
        """Decide, with the fault."""
        return self.decided(state, fact, self.stage.decide(state, fact))


def planted(name: str, **fault: Any) -> Callable[[], Stages]:
    """Return stages of which the one called `name` has a fault."""
    return lambda: MappingProxyType(
        {each: Broken(stage, **fault) if each == name else stage for each, stage in small_stages().items()}
    )


def two_detectors() -> Stages:
    """Return stages in which two detectors, each for one window, ask for a retrain."""
    detectors = {each.key: each for each in (PSI(above=0.25), PSI(above=0.5))}
    conditions = tuple(Condition(detectors=(key,)) for key in detectors)
    trigger = Trigger(conditions=conditions, cooldown=Cooldown(length=timedelta(hours=4)))
    return MappingProxyType({**small_stages(), "monitor": Monitor(detectors), "trigger": trigger})


# What a stage may do wrong.


def _accept_all(state: Any, _: Fact, decisions: Decisions) -> Decisions:
    candidacy = state.candidacy
    return tuple(
        CandidateAccepted(
            model=each.model, at=each.at, version=each.version, champion=candidacy.champion, digest=candidacy.digest
        )
        if isinstance(each, CandidateRefused) and each.verdict is Verdict.INCONCLUSIVE
        else each
        for each in decisions
    )


def _any_digest(stage: Decider[Any], state: Any, fact: Fact) -> Any:
    if isinstance(fact, OverrideSigned) and state.candidacy and fact.version == state.candidacy.version:
        fact = replace(fact, digest=state.candidacy.digest)
    return stage.apply(state, fact)


def _no_word_of(kind: type[Fact], when: type[Fact] = Fact) -> Callable[[Any, Fact, Decisions], Decisions]:
    def silent(_: Any, fact: Fact, decisions: Decisions) -> Decisions:
        return tuple(each for each in decisions if not (isinstance(fact, when) and isinstance(each, kind)))

    return silent


def _silent(_: Any, fact: Fact, decisions: Decisions) -> Decisions:
    harm = isinstance(fact, RolloutObserved) and any(isinstance(each, RolledBack) for each in decisions)
    return () if harm else decisions


def _free_of_charge(stage: Decider[Any], state: Any, fact: Fact) -> Any:
    return stage.apply(state, replace(fact, compute_s=0.0) if isinstance(fact, EffectFailed) else fact)


def _no_quarantine(stage: Decider[Any], state: Any, fact: Fact) -> Any:
    return replace(stage.apply(state, fact), quarantined=Quarantine())


def _by_version_alone(stage: Decider[Any], state: Any, fact: Fact) -> Any:
    after = stage.apply(state, fact)
    return replace(after, quarantined=Quarantine((version, "") for version, _ in after.quarantined))


def _nobody_before(_: Any, __: Fact, decisions: Decisions) -> Decisions:
    return tuple(replace(each, previous="") if isinstance(each, VersionPromoted) else each for each in decisions)


def _one_epoch(_: Any, fact: Fact, decisions: Decisions) -> Decisions:
    back = any(isinstance(each, RolledBack) for each in decisions)
    return tuple(
        replace(each, epoch=each.epoch - 1) if back and isinstance(each, TrafficShifted) else each for each in decisions
    )


def _deaf_to_holds(stage: Decider[Any], state: Any, fact: Fact) -> Any:
    after = stage.apply(state, fact)
    if after.probation is None:
        return after
    return replace(after, probation=replace(after.probation, held=False))


def _defiant(state: Any, fact: Fact, decisions: Decisions) -> Decisions:
    """Answer an order by publishing what was there before it."""
    if not isinstance(fact, TrafficOrdered):
        return decisions
    shift = next(each for each in decisions if isinstance(each, TrafficShifted))
    return (replace(shift, champion=state.champion, fallback=state.fallback),)


def _impatient_rollouts(stage: Decider[Any], state: Any, fact: Fact) -> Any:
    """Hold every challenger for one that stalls when a candidate comes."""
    if isinstance(fact, RolloutApproved) and state.probation is not None:
        state = replace(state, probation=replace(state.probation, stalled=True))
    return stage.apply(state, fact)


def _hasty(stage: Decider[Any], state: Any, fact: Fact) -> Any:
    return replace(stage.apply(state, fact), passed_over=-1)


def _of_its_own(state: Any, fact: Fact, decisions: Decisions) -> Decisions:
    if not isinstance(fact, Ticked) or state.runs or not state.champion:
        return decisions
    plan = TrainingPlanned(
        model=fact.model,
        at=fact.at,
        version=f"v{state.planned + 1}",
        champion=state.champion,
        span=Interval(start=fact.at, end=fact.at),
        holdout_share=0.1,
        seed=state.planned,
        code="",
        settings="",
    )
    return (*decisions, plan)


def _deaf(*kinds: type[Fact]) -> Callable[[Decider[Any], Any, Fact], Any]:
    def deaf(stage: Decider[Any], state: Any, fact: Fact) -> Any:
        return state if isinstance(fact, kinds) else stage.apply(state, fact)

    return deaf


def _impatient() -> Stages:
    settings = SmallSettings(cooldown=timedelta(0), budget=Budget(retrains=1000, period=timedelta(hours=1)))
    return small_stages(settings)


def _spendthrift() -> Stages:
    return small_stages(SmallSettings(budget=Budget(retrains=1000, period=timedelta(hours=1))))


def _with_chance() -> Callable[[], Stages]:
    dice = count()

    def reseeded(_: Any, __: Fact, decisions: Decisions) -> Decisions:
        return tuple(
            replace(each, seed=next(dice)) if isinstance(each, TrainingPlanned) else each for each in decisions
        )

    return planted("train", decided=reseeded)


def _opinionated(stage: Decider[Any], state: Any, fact: Fact) -> Any:
    """Fold a request only as far as the budget of the day allows: a threshold in `apply`."""
    after = stage.apply(state, fact)
    if isinstance(fact, RetrainRequested):
        kept: Budget = stage.budget  # type: ignore[attr-defined]  # planted in the trigger
        return replace(after, requests=after.requests[-kept.retrains :])
    return after


@dataclass(frozen=True, slots=True)
class Lenient:
    """A gate that passes what its judge was not given, or was given without a number."""

    gate: Gate

    @property
    def needs_champion(self) -> bool:
        """As the gate."""
        return self.gate.needs_champion

    @property
    def key(self) -> str:
        """As the gate."""
        return self.gate.key

    def measure(self, rows: HeldOut) -> tuple[Evidence, ...]:
        """As the gate."""
        return self.gate.measure(rows)

    def judge(self, evidence: tuple[Evidence, ...]) -> Judgement:
        """Let the doubt speak for the candidate."""
        judgement = self.gate.judge(evidence)
        doubt = judgement.verdict in (Verdict.INCONCLUSIVE, Verdict.ERROR)
        return replace(judgement, verdict=Verdict.PASS) if doubt else judgement


def lenient_gates() -> Gates:
    """Return the small gates, each of which fails open."""
    return {key: (Lenient(gate), required) for key, (gate, required) in small_gates().items()}  # type: ignore[misc]  # needs_champion is a property here


STAGES: Mapping[str, tuple[tuple[str, Callable[[], Stages]], ...]] = {
    "traffic_is_proved": (
        ("inconclusive is accepted", planted("validate", decided=_accept_all)),
        ("an override counts for any digest", planted("validate", applied=_any_digest)),
    ),
    "nothing_passes_unmeasured": (("gates fail open", lambda: small_stages(SmallSettings(gates=lenient_gates()))),),
    "harm_goes_back": (
        ("harm is held", planted("rollout", decided=_silent)),
        ("traffic is not shifted back", planted("rollout", decided=_no_word_of(TrafficShifted, RolloutObserved))),
    ),
    "rolled_back_stays_back": (
        ("no quarantine", planted("rollout", applied=_no_quarantine)),
        ("quarantine by name, not by bytes", planted("rollout", applied=_by_version_alone)),
    ),
    "cooldown_and_budget_are_kept": (("no cooldown", _impatient), ("no budget", _spendthrift)),
    "one_champion_one_challenger": (("the old champion stays", planted("rollout", decided=_nobody_before)),),
    "routing_agrees_with_registry": (
        ("a rollback does not shift", planted("rollout", decided=_no_word_of(TrafficShifted, RolloutObserved))),
        ("an epoch comes twice", planted("rollout", decided=_one_epoch)),
    ),
    "orders_are_obeyed": (
        ("a hold is not heard", planted("rollout", applied=_deaf_to_holds)),
        ("the loop puts back what was taken off", planted("rollout", decided=_defiant)),
    ),
    "superseded_after_stalling": (
        ("any candidate pushes a challenger aside", planted("rollout", applied=_impatient_rollouts)),
        ("half the patience", planted("rollout", applied=_hasty)),
    ),
    "promotions_are_explained": (("train plans on its own", planted("train", decided=_of_its_own)),),
    "requests_are_answered": (
        ("a failed run does not end", planted("train", decided=_no_word_of(TrainingEnded, EffectFailed))),
        ("a run ends twice", planted("train", applied=_deaf(TrainingEnded))),
    ),
    "runs_are_charged": (("what came to nothing was free", planted("train", applied=_free_of_charge)),),
    "stuck": (
        ("the trigger does not hear of rollbacks", planted("trigger", applied=_deaf(RolledBack))),
        ("rollouts never expire", lambda: small_stages(SmallSettings(expire=timedelta(days=100_000)))),
    ),
    "same story": (("chance in a stage", _with_chance()),),
    "other settings": (("a threshold in apply", planted("trigger", applied=_opinionated)),),
}
"""By the law that has to catch it: what is wrong, and stages that are wrong so."""

OTHERS: Mapping[str, Callable[[], Stages]] = {
    "strict": lambda: small_stages(
        SmallSettings(
            windows=5,
            cooldown=timedelta(days=9),
            budget=Budget(retrains=1, period=timedelta(days=30)),
            steps=(0.3,),
            expire=timedelta(hours=1),
            patience=timedelta(minutes=10),
            shadow=Remembered(Shadow(margin=0.001, at_least_rows=10_000)),
            canary=Remembered(Canary(harm=0.001, at_least_rows=10_000)),
            gates={},
        )
    ),
    "lax": lambda: small_stages(
        SmallSettings(
            windows=1,
            cooldown=timedelta(0),
            budget=Budget(retrains=100, period=timedelta(hours=1)),
            steps=(),
            expire=timedelta(days=999),
            patience=timedelta(days=99),
            shadow=Remembered(Shadow(margin=0.5, at_least_rows=1)),
            gates=lenient_gates(),
        )
    ),
}
"""Settings that would have decided otherwise."""


# What an engine may do wrong.


class BreadthFirst(Engine):
    """Asks every stage about a fact before any of their decisions is heard."""

    def submit(self, fact: Fact) -> tuple[Fact, ...]:
        """Drain breadth first, and record nothing."""
        states = {name: stage.initial() for name, stage in self._stages.items()}
        queue, drained = deque([fact.caused_by(fact.cause)]), []
        while queue:
            following = queue.popleft()
            drained.append(following)
            states = {name: stage.apply(states[name], following) for name, stage in self._stages.items()}
            for name, stage in self._stages.items():
                queue.extend(each.caused_by(following.id) for each in stage.decide(states[name], following))
        return tuple(drained)


class Careless(Engine):
    """Gives every fact from outside a new id, so a repeat of it is another fact."""

    def submit(self, fact: Fact) -> tuple[Fact, ...]:
        """Name and record."""
        return super().submit(fact if fact.ends else replace(fact, id=f"fact-{self._log.head()}"))


class Forgetful(Engine):
    """Does not know after all what measurements it asked for."""

    @property
    def pending(self) -> Mapping[str, Fact]:
        """Everything but measurements."""
        return {id: fact for id, fact in super().pending.items() if fact.asks != "measure"}


class Trusting(Engine):
    """Takes an append of unknown outcome for one that did not happen."""

    def _caught_up(self) -> tuple[Fact, ...]:
        return () if self._unsure else super()._caught_up()


class Shortsighted(Engine):
    """Recovers all but the last fact of the record."""

    def _caught_up(self) -> tuple[Fact, ...]:
        facts: Sequence[Fact] = [each.fact for each in self._log.read(after=self._folded)]
        for fact in facts[:-1]:
            self._world = self._applied(self._world, fact)
        self._folded += len(facts)
        return tuple(facts)


ENGINES: Mapping[str, tuple[tuple[str, type[Engine]], ...]] = {
    "ids_are_unique": (("ids from a counter", Careless),),
    "effects_end": (("measurements are forgotten", Forgetful),),
    "requests_are_answered": (("measurements are forgotten", Forgetful),),
    "live state": (("unknown outcomes are trusted", Trusting), ("recovers too little", Shortsighted)),
    "crashes": (("recovers too little", Shortsighted),),
}
"""By the law that has to catch it: what is wrong, and an engine that is wrong so."""
