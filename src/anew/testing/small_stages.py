"""The real stages with settings so small that a story of a hundred steps reaches every one of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from anew.feedback import Feedback
from anew.governance import Governance
from anew.monitor import Detectors, Monitor
from anew.monitor.psi import PSI
from anew.monitor.slo import SLO
from anew.ports.decider import Decider
from anew.registry import Registry
from anew.rollout import Judge, Probation, Rollout, Ruling
from anew.rollout.ab import AB
from anew.rollout.canary import Canary
from anew.rollout.shadow import Shadow
from anew.train import Train
from anew.train.span import Span
from anew.trigger import Condition, Trigger
from anew.trigger.budget import Budget
from anew.trigger.cooldown import Cooldown
from anew.validate import Gates, Validate
from anew.validate.beats_champion import BeatsChampion
from anew.validate.slos import Objective, SLOs

__all__ = ["Remembered", "SmallSettings", "small_detectors", "small_gates", "small_stages"]


def small_detectors() -> Detectors:
    """Return one detector of each half: of profiles, and of labels."""
    psi, slo = PSI(above=0.25), SLO(metric="error", at_most=0.3)
    return MappingProxyType({psi.key: psi, slo.key: slo})


def small_gates() -> Gates:
    """Return two required gates and one that only advises."""
    strict = SLOs(objectives=(Objective(metric="error", at_most=0.15),), at_least_rows=50)
    return MappingProxyType(
        {
            "slos": (SLOs(objectives=(Objective(metric="error", at_most=0.5),), at_least_rows=50), True),
            "beats_champion": (BeatsChampion(margin=0.01, at_least_rows=100), True),
            "advice": (strict, False),
        }
    )


@dataclass(frozen=True, slots=True)
class Remembered:
    """A judge that rules on the same evidence once: simulated evidence comes again and again, rulings are dear."""

    judge: Judge
    known: dict[Any, Ruling] = field(default_factory=dict, repr=False, compare=False)

    def rule(self, probation: Probation) -> Ruling:
        """Rule as the judge does; the ruling may follow from the counts and the share alone."""
        counts = (probation.paired_down, probation.paired_up, probation.champion_loss, probation.challenger_loss)
        place = (probation.share, *counts)
        if place not in self.known:
            self.known[place] = self.judge.rule(probation)
        return self.known[place]


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallSettings:
    """Thresholds of a simulated loop, in hours of event time where they are times."""

    windows: int = 2
    cooldown: timedelta = timedelta(hours=4)
    budget: Budget = Budget(retrains=3, period=timedelta(hours=72))
    steps: tuple[float, ...] = (0.1, 0.5)
    expire: timedelta = timedelta(hours=60)
    patience: timedelta = timedelta(hours=2)
    shadow: Judge = field(default_factory=lambda: Remembered(Shadow(margin=0.05, at_least_rows=100)))
    canary: Judge = field(default_factory=lambda: Remembered(Canary(harm=0.05, at_least_rows=40)))
    arms: tuple[float, ...] = ()
    ab: Judge = field(default_factory=lambda: Remembered(AB(arms=3, at_least_rows=20)))
    gates: Gates = field(default_factory=small_gates)


def small_stages(settings: SmallSettings | None = None) -> Mapping[str, Decider[Any]]:
    """Return the stages by name, in the order in which they hear a fact."""
    chosen = settings or SmallSettings()
    detectors = small_detectors()
    return MappingProxyType(
        {
            "registry": Registry(),
            "feedback": Feedback(),
            "monitor": Monitor(detectors),
            "trigger": Trigger(
                conditions=tuple(Condition(detectors=(key,), windows=chosen.windows) for key in detectors),
                cooldown=Cooldown(length=chosen.cooldown),
                budget=chosen.budget,
                arms=len(chosen.arms),
            ),
            "governance": Governance(),
            "train": Train(span=Span(length=timedelta(days=10))),
            "validate": Validate(gates=chosen.gates),
            "rollout": Rollout(
                shadow=chosen.shadow,
                steps=chosen.steps,
                canary=chosen.canary,
                arms=chosen.arms,
                ab=chosen.ab,
                expire=chosen.expire,
                patience=chosen.patience,
            ),
        }
    )
