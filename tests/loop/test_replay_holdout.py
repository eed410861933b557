"""Whom a replay asks about what: rows of named sources alone are held out."""

from dataclasses import dataclass, replace
from typing import Any, cast

import polars as pl

from anew.domain.facts import CandidateMeasured, CandidateTrained, SnapshotTaken, TrainingPlanned
from anew.loop.replay_effects import ReplayEffects, TrainingOrder
from anew.loop.replay_stream import ReplayStream, Stopwatch, TrainedVersion
from anew.monitor import Yardstick
from anew.ports.predictor import Predictions
from anew.stats.profile import Reference
from anew.validate.slos import Objective, SLOs
from tests.loop.observed import PLAN, hour
from tests.loop.replayed import COLUMNS, Majority, stream_of

AUDITED = replace(PLAN, version="v1", champion="", holdout_sources=("audit",))


@dataclass
class Parity(Majority):
    """A version that says whether x is odd."""

    def predict(self, frame: pl.DataFrame) -> Predictions:
        """Say it."""
        return Predictions(output=(frame.get_column("x").cast(pl.Int64) % 2).alias("output"))


def effects(frame: pl.DataFrame) -> ReplayEffects:
    def train(order: TrainingOrder) -> TrainedVersion:
        reference = Reference.fit({"x": order.rows.get_column("x").to_arrow()})
        version = Parity(order.version, 0, order.version)
        return TrainedVersion(predictor=cast("Any", version), yardstick=Yardstick(features=reference))

    watch = Stopwatch()
    gates = {"slos": (SLOs(objectives=(Objective(metric="error", at_most=0.5),), at_least_rows=1), True)}
    made = ReplayEffects(ReplayStream(frame, COLUMNS, watch), gates, train, watch)
    made.mature = frame.height
    return made


def snapshot(made: ReplayEffects, plan: TrainingPlanned) -> SnapshotTaken:
    taken = made.run(plan.caused_by("approved"))
    assert isinstance(taken, SnapshotTaken), taken
    return taken.caused_by("planned")


def audited(every: int, rows: int, batch: int = 1) -> pl.DataFrame:
    """Return rows whose label says whether x is odd; one in so many the audit's, the label of others turned over."""
    frame = stream_of([i % 2 if i % every == 1 else 1 - i % 2 for i in range(rows)])
    source = ["audit" if i % every == 1 else "web" for i in range(rows)]
    at = pl.Series("_at", [hour(i // batch) for i in range(rows)], dtype=pl.Datetime("us", "UTC"))
    return frame.with_columns(at, _source=pl.Series(source, dtype=pl.String))


def test_where_rows_bear_one_instant_the_answers_are_to_those_that_are_held_out() -> None:
    made = effects(audited(4, 80, batch=80))
    taken = snapshot(made, AUDITED)
    assert (taken.rows, taken.holdout_rows) == (80, 4)
    trained = made.run(taken)
    assert isinstance(trained, CandidateTrained)
    measured = made.run(trained.caused_by("taken"))
    assert isinstance(measured, CandidateMeasured)
    assert [(each.value, each.n) for each in measured.evidence] == [(0.0, 4)]


def test_the_champion_is_asked_about_no_row_that_it_was_trained_on() -> None:
    frame = audited(4, 200)
    made = effects(frame)
    made.mature = 160
    first = snapshot(made, replace(AUDITED, holdout_least=4))
    learned = frame.get_column("_at")[160 - 4 * first.holdout_rows]
    assert first.holdout_rows == 8
    made.mature = 200
    second = snapshot(made, replace(AUDITED, version="v2", champion="v1", holdout_least=100))
    audit = frame.filter((pl.col("_source") == "audit") & (pl.col("_at") > learned))
    assert second.holdout_rows == audit.height < 25  # of the newer half all 25 would be
    again = snapshot(made, replace(AUDITED, version="v3", champion="v2", revive="v1"))
    revived = snapshot(made, replace(AUDITED, version="v4", champion="v3", holdout_least=100))
    assert again.holdout_rows < revived.holdout_rows == second.holdout_rows
