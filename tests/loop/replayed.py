"""Replays of small streams with a model that says the commonest label of its training rows."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import polars as pl

from anew.adapters.memory import InMemoryEventLog, InMemoryLease, ManualClock
from anew.domain.column import Column, ColumnKind, Columns, Task, Value
from anew.domain.manifest import Manifest
from anew.domain.observation import Answer
from anew.feedback import Feedback
from anew.governance import Governance
from anew.loop.engine import Engine
from anew.loop.replay import Replay, ReplayPlan, ReplayReport
from anew.loop.replay_effects import ReplayEffects, TrainingOrder
from anew.loop.replay_stream import ReplayStream, Stopwatch, TrainedVersion
from anew.monitor import Detectors, Monitor, Yardstick
from anew.monitor.slo import SLO
from anew.ports.predictor import Predictions
from anew.registry import Registry
from anew.rollout import Rollout
from anew.rollout.ab import AB
from anew.rollout.shadow import Shadow
from anew.stats.profile import Reference
from anew.train import Train
from anew.train.span import Span
from anew.trigger import Condition, Trigger
from anew.validate import Gates, Validate
from anew.validate.beats_champion import BeatsChampion
from anew.validate.slos import Objective, SLOs

__all__ = ["BREACH", "COLUMNS", "START", "Case", "Majority", "stream_of"]

START = datetime(2024, 1, 1, tzinfo=UTC)
COLUMNS = Columns(
    time="at",
    target="y",
    features=(Column(name="x", kind=ColumnKind.NUMBER),),
    task=Task.BINARY,
    classes=(0, 1),
    key="who",
)
BREACH = SLO(metric="error", at_most=0.4, at_least_rows=10)


@dataclass
class Majority:
    """A version that says `says` to everything; `asked` has each row it was asked for, by its x."""

    version: str
    says: int
    digest: str
    columns: Columns = COLUMNS
    asked: list[float] = field(default_factory=list)
    fails_from: float = float("inf")
    model: object = None

    @property
    def manifest(self) -> Manifest:
        """What the replay asks of it: no scale."""
        return Manifest(
            format="none",
            model_file="",
            columns=self.columns,
            inputs=("x",),
            classes=(0, 1),
            rows=1,
            holdout_rows=0,
            seed=0,
            code="",
            environment="",
        )

    def predict(self, frame: pl.DataFrame) -> Predictions:
        """Say it to every row."""
        rows = frame.get_column("x").to_list()
        if max(rows, default=0.0) >= self.fails_from:
            raise ZeroDivisionError("no answer to this")
        self.asked += rows
        return Predictions(output=pl.Series("output", [self.says] * frame.height, dtype=pl.Int64))

    def answer(self, rows: Sequence[Mapping[str, Value]]) -> Sequence[Answer]:
        """Say it."""
        return [Answer(output=self.says) for _ in rows]


def stream_of(labels: Sequence[int], step: timedelta = timedelta(hours=1), keys: Sequence[str] = ()) -> pl.DataFrame:
    """Return a stream with these labels; x counts the rows."""
    return pl.DataFrame(
        {
            "_at": [START + i * step for i in range(len(labels))],
            "_label": list(labels),
            "x": [float(i) for i in range(len(labels))],
            "who": list(keys) or [f"user{i % 97}" for i in range(len(labels))],
        }
    )


@dataclass
class Case:
    """A replay, and what was made in it.

    Attributes
    ----------
    per_window
        Rows in each window.
    came
        When the label of each row came; None for at once.
    spoil
        Changes a version that was trained.
    trained_on
        The rows of each training, by their x.
    """

    frame: pl.DataFrame
    per_window: int = 50
    warmup: int = 2
    label_delay: int = 0
    steps: tuple[float, ...] = ()
    arms: tuple[float, ...] = ()
    detector: SLO = BREACH
    span: timedelta | None = timedelta(hours=150)
    came: Sequence[datetime | None] | None = None
    revise: timedelta = timedelta(days=35)
    trained_on: list[Sequence[float]] = field(default_factory=list)
    spoil: Callable[[Majority], Majority] = lambda version: version
    made: dict[str, Majority] = field(default_factory=dict)

    def run(self) -> ReplayReport:
        """Replay it."""
        watch = Stopwatch()
        self.made = {}
        stream = ReplayStream(self.frame, COLUMNS, watch, came=self.came)
        clock = ManualClock()
        lease = InMemoryLease(clock)
        grant = lease.acquire("test", 1e9)
        assert grant is not None
        detectors: Detectors = {self.detector.key: self.detector}
        gates: Gates = {
            "slos": (SLOs(objectives=(Objective(metric="error", at_most=0.45),), at_least_rows=5), True),
            "beats_champion": (BeatsChampion(at_least_rows=5, at_most_width=2.0), True),
        }
        engine = Engine(
            {
                "registry": Registry(),
                "feedback": Feedback(),
                "monitor": Monitor(detectors),
                "trigger": Trigger(conditions=(Condition(detectors=(self.detector.key,)),), arms=len(self.arms)),
                "governance": Governance(),
                "train": Train(span=Span(length=self._span()), holdout_share=0.2),
                "validate": Validate(gates=gates),
                "rollout": Rollout(
                    shadow=Shadow(margin=0.1, at_least_rows=10),
                    steps=self.steps,
                    arms=self.arms,
                    ab=AB(arms=max(1, len(self.arms)), at_least_rows=10),
                ),
            },
            InMemoryEventLog(clock=clock, lease=lease),
            grant,
        )
        plan = ReplayPlan(
            model="m",
            bounds=[*range(0, self.frame.height, self.per_window), self.frame.height],
            detectors=detectors,
            code="c",
            settings="s",
            warmup=self.warmup,
            label_delay=self.label_delay,
            revise=self.revise,
        )
        return Replay(plan, engine, stream, ReplayEffects(stream, gates, self._train, watch), watch).run()

    def _span(self) -> timedelta | None:
        delay = self.label_delay * self.per_window * timedelta(hours=1)
        return None if self.span is None else self.span + delay

    def _train(self, order: TrainingOrder) -> TrainedVersion:
        labels = order.rows.head(order.rows.height - order.holdout_rows).get_column("_label").to_list()
        (says, _), *_ = Counter(labels).most_common()
        self.trained_on.append(order.rows.get_column("x").to_list())
        version = self.spoil(Majority(order.version, says, f"{order.version} says {says}"))
        self.made[order.version] = version
        reference = Reference.fit({"x": order.rows.get_column("x").to_arrow()})
        return TrainedVersion(predictor=cast("Any", version), yardstick=Yardstick(features=reference))
