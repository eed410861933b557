"""A loop in memory that does nothing but observe: rows are served by hand, and facts come out."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import polars as pl

from anew.adapters.memory import InMemoryEventLog, InMemoryLease, ManualClock
from anew.adapters.memory_lake import MemoryLake
from anew.domain.column import Column, ColumnKind, Columns, Task
from anew.domain.fact import Fact
from anew.domain.facts import RolloutApproved, TrafficApplied, TrainingPlanned
from anew.domain.interval import Interval
from anew.domain.observation import Answer, FeedbackEvent, Label, Observation, Prediction, id_prefix
from anew.feedback import Feedback
from anew.feedback.outcome import Implicit
from anew.loop.breach import RuleLimit
from anew.loop.engine import Engine, Stages
from anew.loop.observer import Observer
from anew.loop.observer_plan import Known, ObserverPlan, Review
from anew.monitor import Detector, Monitor, Yardstick
from anew.monitor.psi import PSI
from anew.monitor.slo import SLO
from anew.ports.profile import ProfileStore
from anew.registry import Registry
from anew.rollout import Outcome, Probation, Rollout, Ruling
from anew.stats.profile import Reference
from anew.train.span import BEGINNING

__all__ = ["COLUMNS", "PLAN", "START", "Bed", "CountingLake", "Told", "hour"]

F = TypeVar("F", bound=Fact)

COLUMNS = Columns(
    time="at",
    target="y",
    features=(Column(name="x", kind=ColumnKind.NUMBER),),
    task=Task.BINARY,
    classes=(0, 1),
)
START = datetime(2024, 1, 1, tzinfo=UTC)
WALL = datetime(2030, 1, 1, tzinfo=UTC)
DETECTORS: tuple[Detector, ...] = (PSI(at_least_rows=2), SLO(metric="error", at_most=0.9, at_least_rows=1))
REFERENCE = Reference.fit({"x": pl.Series("x", [float(i % 50) for i in range(500)]).to_arrow()})


def hour(number: float) -> datetime:
    """Return so many hours after the start."""
    return START + timedelta(hours=number)


PLAN = TrainingPlanned(
    model="m",
    at=hour(1000),
    version="v2",
    champion="v1",
    span=Interval(start=BEGINNING, end=hour(1000)),
    holdout_share=0.2,
    seed=7,
    code="c",
    settings="s",
)
"""A retrain on all there is, a fifth of it held out."""


@dataclass(slots=True)
class Told:
    """A judge that rules as it was told."""

    outcome: Outcome = Outcome.HOLD

    def rule(self, probation: Probation) -> Ruling:
        """Rule."""
        return Ruling(outcome=self.outcome, reason=f"told, at {probation.stage}")


class CountingLake(MemoryLake):
    """A lake that remembers which spans of predictions were read, and how many rows of any table."""

    def __init__(self, columns: Columns) -> None:
        super().__init__(columns)
        self.asked: list[Interval] = []
        self.rows = 0

    def predictions(self, span: Interval, *, versions: object = None) -> pl.DataFrame:  # noqa: ARG002  never given here
        """Read, and remember."""
        self.asked.append(span)
        found = super().predictions(span)
        self.rows += found.height
        return found

    def fresh(self, table: str, *, after: int, upto: int, until: datetime | None = None) -> pl.DataFrame:
        """Read what is new, and count it."""
        found = super().fresh(table, after=after, upto=upto, until=until)
        self.rows += found.height
        return found

    def deliveries(self, span: Interval, ids: pl.Series) -> pl.DataFrame:
        """Read labels, and count them."""
        found = super().deliveries(span, ids)
        self.rows += found.height
        return found


@dataclass
class Bed:
    """One observed model, ``v1`` serving from the start.

    `restarts` makes each turn that of a new process, with an engine recovered from the record.
    """

    label_delay: timedelta = timedelta(0)
    lateness: timedelta = timedelta(0)
    restarts: bool = False
    blue_green: bool = False
    detectors: tuple[Detector, ...] = DETECTORS
    rules: RuleLimit | None = None
    columns: Columns = COLUMNS
    judge: Told = field(default_factory=Told)
    lake: CountingLake = field(default_factory=lambda: CountingLake(COLUMNS))
    wall: datetime = WALL
    first: datetime | None = None
    window: timedelta | None = timedelta(hours=1)
    count: int | None = None
    feedback: bool = False
    events: tuple[str, ...] = ()
    implicit: Implicit | None = None
    _position: int = 0
    profiles: ProfileStore | None = None
    review: Review | None = None
    sample: pl.DataFrame = field(default_factory=pl.DataFrame)
    revise: timedelta = timedelta(days=35)
    keep: timedelta | None = None
    most: int = 1000
    taken_s: dict[str, float] = field(default_factory=dict)
    _ids: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        clock = ManualClock()
        self.lease = InMemoryLease(clock)
        grant = self.lease.acquire("test", 1e9)
        assert grant is not None
        self.grant = grant
        self.log = InMemoryEventLog(clock=clock, lease=self.lease)
        self.boot()

    def boot(self) -> None:
        """Begin as a new process does."""
        keyed = {each.key: each for each in self.detectors}
        stages: Stages = {
            "feedback": Feedback(),
            "registry": Registry(),
            "monitor": Monitor(keyed),
            "rollout": Rollout(shadow=self.judge, canary=self.judge, steps=(0.5,), blue_green=self.blue_green),
        }
        self.engine = Engine(stages, self.log, self.grant)
        self.engine.recover()
        self.plan = ObserverPlan(
            model="m",
            columns=self.columns,
            detectors=keyed,
            known=lambda _: Known(yardstick=Yardstick(features=REFERENCE, sample=self.sample), loss_scale=1.0),
            window=self.window,
            count=self.count,
            feedback=self.feedback,
            events=self.events,
            implicit=self.implicit,
            lateness=self.lateness,
            label_delay=self.label_delay,
            rule_limit=self.rules,
            rollout_cpu_s=lambda version: self.taken_s.get(version, 0.0),
            profiles=self.profiles,
            review=self.review,
            revise=self.revise,
            keep=self.keep,
            most=self.most,
        )
        self.observer = Observer(self.plan, self.engine, self.lake)

    def approve(self, version: str, at: datetime) -> None:
        """Let `version` begin its rollout, the first one as champion at once; its traffic is applied."""
        champion = self.engine.state("rollout").champion[0]
        approved = RolloutApproved(
            model="m", at=at, cause=version, version=version, champion=champion, digest=version * 3, by="test"
        )
        self.engine.submit(approved)
        self.apply()

    def apply(self) -> None:
        """End every shift that was asked for."""
        for asked in list(self.engine.pending.values()):
            if asked.asks == "shift":
                epoch = getattr(asked, "epoch", 0)
                self.engine.submit(TrafficApplied(model="m", at=asked.at, cause=asked.id, epoch=epoch, workers=1))

    def store(self, *observations: Observation) -> None:
        """Bring observations into the lake, as the drainer does."""
        self._position += len(observations)
        self.lake.append("journal", self._position, observations)
        times = [each.at for each in observations if isinstance(each, Prediction)]
        self.first = min([*times, self.first] if self.first else times, default=None)

    def serve(self, name: str, at: datetime, **more: object) -> None:
        """Store one prediction: by v1, of class 1, at the present epoch, unless `more` says otherwise."""
        given: dict[str, Any] = {
            "version": "v1",
            "arm": "champion",
            "answer": Answer(output=1),
            "epoch": self.epoch,
            "key": name,
        }
        given["row"] = {"x": 1.0}
        common: dict[str, Any] = {"model": "m", "at": at, "received_at": at, "latency_us": 1}
        self._ids[name] = id = id_prefix(at) + hashlib.sha256(name.encode()).hexdigest()[:20]
        self.store(Prediction(id=id, **common, **(given | more)))

    def id(self, name: str) -> str:
        """Return the id of a prediction that was served, or the name itself."""
        return self._ids.get(name, name)

    def label(self, name: str, value: int | None, at: datetime, **more: object) -> None:
        """Store one label, or its withdrawal."""
        id = f"l{name}{value}{at.isoformat()}"
        self.store(
            Label(id=id, model="m", prediction=self.id(name), at=at, received_at=at, value=value, **more)  # type: ignore[arg-type]  # names and types are those of the call
        )

    def happened(self, name: str, event: str, at: datetime, value: float = 1.0) -> None:
        """Store one event."""
        id = f"e{name}{event}{at.isoformat()}"
        self.store(
            FeedbackEvent(id=id, model="m", prediction=self.id(name), at=at, received_at=at, event=event, value=value)
        )

    @property
    def epoch(self) -> int:
        """Of the routing in force."""
        epoch: int = self.engine.state("rollout").epoch
        return epoch

    def turn(self, now: datetime, wall_s: float = 2.0) -> None:
        """Observe at event time `now`, `wall_s` seconds later by the clock on the wall."""
        if self.restarts:
            self.boot()
        self.wall += timedelta(seconds=wall_s)
        self.observer.turn(now, self.wall, self.first)

    def facts(self, kind: type[F]) -> Sequence[F]:
        """Return the facts of a kind that are on record."""
        return [each.fact for each in self.log.read() if isinstance(each.fact, kind)]
