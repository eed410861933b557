"""A live loop that does nothing but promote and guard, over real routing files: for those who watch a champion fail."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from anew.adapters.file_traffic import FileTraffic
from anew.adapters.memory import InMemoryEventLog, InMemoryInbox, InMemoryLease
from anew.adapters.memory_lake import MemoryLake
from anew.adapters.segment_reader import SegmentReader
from anew.adapters.system_clock import SystemClock
from anew.domain.evidence import Counts
from anew.domain.fact import Fact
from anew.domain.facts import (
    GuardrailTripped,
    RolledBack,
    RolloutApproved,
    RolloutObserved,
    Stage,
    TrafficApplied,
    TrafficShifted,
)
from anew.domain.interval import Interval
from anew.feedback import Feedback
from anew.loop.drain import Drainer
from anew.loop.engine import Engine
from anew.loop.guardrail import Guardrails
from anew.loop.live import LiveLoop, LivePorts
from anew.loop.observer import Observer
from anew.loop.observer_plan import Known, ObserverPlan
from anew.registry import Registry, RegistryState
from anew.rollout import Outcome, Probation, Rollout, RolloutState, Ruling
from anew.testing.fake_predictor import FAKE_COLUMNS

F = TypeVar("F", bound=Fact)
LIMITS = Guardrails(error_rate=0.02, at_least_errors=5, p99_ms=1000.0)


@dataclass(frozen=True, slots=True)
class Contented:
    """A judge that advances on the first look."""

    def rule(self, probation: Probation) -> Ruling:
        """Advance once anything was seen."""
        return Ruling(outcome=Outcome.ADVANCE if probation.looks else Outcome.HOLD, reason="seen")


@dataclass
class Shifts:
    """Publishes routing, and ends when all workers answer by it; asked again at every turn."""

    traffic: FileTraffic
    loop: LiveLoop
    engine: Engine

    def start(self) -> None:
        """Nothing was left behind."""

    def ask(self, fact_id: str) -> None:
        """Publish, or look whether it was applied."""
        fact = self.engine.pending[fact_id]
        assert isinstance(fact, TrafficShifted)
        self.traffic.publish(fact)
        workers, epoch = self.traffic.applied(fact.model)
        if epoch >= fact.epoch:
            self.loop.submit(
                TrafficApplied(model=fact.model, at=fact.at, cause=fact.id, epoch=fact.epoch, workers=workers)
            )

    def active(self) -> frozenset[str]:
        """Return none: nothing runs in the background."""
        return frozenset()

    def close(self) -> None:
        """Nothing runs."""


@dataclass
class GuardedLoop:
    """The control plane of `model` in the folder `state`; `turn` it."""

    model: str
    traffic: FileTraffic
    state: Path
    log: InMemoryEventLog = field(init=False)
    loop: LiveLoop = field(init=False)

    def __post_init__(self) -> None:
        clock = SystemClock()
        lease = InMemoryLease(clock)
        grant = lease.acquire("test", 600.0)
        assert grant is not None
        self.log = InMemoryEventLog(clock=clock, lease=lease)
        self.engine = Engine(
            {
                "feedback": Feedback(),
                "registry": Registry(),
                "rollout": Rollout(shadow=Contented(), canary=Contented(), steps=()),
            },
            self.log,
            grant,
        )
        lake = MemoryLake(FAKE_COLUMNS)
        ports = LivePorts(
            lease=lease,
            inbox=InMemoryInbox(),
            traffic=self.traffic,
            drainer=Drainer(SegmentReader(self.state / "journal"), lake),
            clock=clock,
        )
        self.loop = LiveLoop(self.model, self.engine, ports, grant, guardrails=LIMITS, data_clock=False)
        self._observer = Observer(_plan(self.model), self.engine, lake)
        self._effects = Shifts(self.traffic, self.loop, self.engine)

    @property
    def rollout(self) -> RolloutState:
        """Where traffic stands."""
        state: RolloutState = self.loop.state("rollout")
        return state

    @property
    def registry(self) -> RegistryState:
        """Where every version stands."""
        state: RegistryState = self.loop.state("registry")
        return state

    def turn(self) -> bool:
        """Do one turn; do all workers answer by the routing then?"""
        self.loop.turn(self._observer, self._effects)
        return self.rollout.in_force

    def approve(self, version: tuple[str, str]) -> None:
        """Let a version begin its rollout; the first one is promoted at once."""
        self.loop.submit(
            RolloutApproved(
                model=self.model,
                at=datetime.now(UTC),
                cause=f"{version[0]} after {self.log.head()} facts",
                version=version[0],
                champion=self.rollout.champion[0],
                digest=version[1],
                by="test",
            )
        )

    def promote(self) -> None:
        """Look at the challenger, whom the judge likes."""
        assert self.rollout.probation is not None
        now = datetime.now(UTC)
        pairs, losses = (Counts(low=low, high=1.0, counts=(0, 10)) for low in (-1.0, 0.0))
        self.loop.submit(
            RolloutObserved(
                model=self.model,
                at=now,
                version=self.rollout.probation.challenger[0],
                stage=Stage.SHADOW,
                look=1,
                span=Interval(start=now - timedelta(seconds=1), end=now),
                paired_down=pairs,
                paired_up=pairs,
                champion_loss=losses,
                challenger_loss=losses,
            )
        )

    def facts(self, kind: type[F]) -> Sequence[F]:
        """Return the facts of one kind, in order."""
        return [each.fact for each in self.log.read() if isinstance(each.fact, kind)]

    def back(self) -> Sequence[tuple[str, str]]:
        """Return (from, to) of all rollbacks."""
        return [(fact.version, fact.to) for fact in self.facts(RolledBack)]

    def trips(self) -> Sequence[str]:
        """Return the versions that broke a guardrail."""
        return [fact.version for fact in self.facts(GuardrailTripped)]


def _plan(model: str) -> ObserverPlan:
    def known(digest: str) -> Known:
        raise AssertionError(f"no window is to close here, but {digest} was asked for")

    return ObserverPlan(
        model=model,
        columns=FAKE_COLUMNS,
        detectors={},
        known=known,
        window=timedelta(days=36_500),
        lateness=timedelta(0),
        label_delay=timedelta(0),
    )
