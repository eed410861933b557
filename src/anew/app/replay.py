"""`anew replay`: a project's own deciders over a historical file.

Every version of a replay is trained by `pipeline.py` as it stands now: what an earlier revision of it would have done,
or two versions with different code side by side, only the live loop shows.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl

from anew.adapters.fairlearn_disparity import fairlearn_disparity
from anew.adapters.memory import InMemoryEventLog, InMemoryLease, ManualClock
from anew.adapters.model_loader import ModelLoader
from anew.adapters.pipeline_module import load_pipeline
from anew.adapters.table_file import read_table
from anew.app.duration import parse_duration
from anew.app.feature_store import known_rows
from anew.app.gates import chosen_gates
from anew.app.judging import judged_by
from anew.app.settings import Settings
from anew.app.suites import suite_sources
from anew.app.time_limit import at_most
from anew.app.training import training_of
from anew.app.training_job import open_study, training_kit
from anew.app.watch import Watch, watched_by
from anew.app.wiring import stages
from anew.domain.errors import SchemaError, SettingsError, TrainingError
from anew.feedback.outcome import THUMB
from anew.feedback.window import WindowClock, WindowState
from anew.loop.adopted import adopted_draft
from anew.loop.blending import blended_draft, can_blend
from anew.loop.correction import Corrected, corrected_rows
from anew.loop.engine import Engine, Stages
from anew.loop.fold import fold_scores
from anew.loop.progress import silent, uncounted
from anew.loop.replay import Replay, ReplayPlan, ReplayReport
from anew.loop.replay_effects import ReplayEffects, ReplayWorld, Spoil, TrainingOrder
from anew.loop.replay_stream import ReplayStream, Stopwatch, TrainedVersion
from anew.loop.training import Draft, Recipe, assemble, draft, finish, training_rows
from anew.loop.training_run import search_params
from anew.ports.candidate import Candidate
from anew.ports.pipeline import Pipeline, TrainingData
from anew.ports.predictor import Loader, Predictions, Predictor
from anew.ports.search import Attempt, Scores

__all__ = ["ReplayOptions", "replay"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)
WARMUP_SHARE = 0.05
"""Share of the rows that the first champion is trained on, in whole windows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayOptions:
    """What the command line gives: `label_delay` in windows or as a duration, `windows` of equal size.

    Without them it is the settings' delay, and the settings' windows. `label_time` is the column that says when each
    label came; without it each is there once it is mature.
    """

    data: Path
    label_delay: str = ""
    label_time: str = ""
    windows: int | None = None


def replay(
    settings: Settings,
    options: ReplayOptions,
    *,
    spoil: Spoil | None = None,
    deciders: Callable[[Stages, timedelta], Stages] = lambda made, _: made,
    told: Callable[[int, int], None] = uncounted,
) -> ReplayReport:
    """Run the project over the file.

    Parameters
    ----------
    spoil
        Plants faults in the rows of retrains, to see what becomes of them.
    deciders
        Returns the stages that decide, of those of the project and the length of a window.
    told
        Called with the number of windows that are done and of all.

    Raises
    ------
    SchemaError, NotFoundError, SettingsError
        The file does not fit the project, or no first champion was accepted.
    """
    outcomes = (*settings.events, THUMB)
    _refuse_label_time(settings, options.label_time)
    frame = known_rows(read_table(options.data), settings, options.data.name, outcomes, label_time=options.label_time)
    frame = frame.with_columns(pl.col(each).fill_null(0.0) for each in settings.events if each in frame.columns)
    watch = Stopwatch()
    bounds = _bounds(frame, settings, options.windows)
    rows = frame.head(bounds[-1])
    came = rows.get_column("_labelled_at").to_list() if options.label_time else None
    stream = ReplayStream(rows.select(pl.exclude("_labelled_at")), settings.columns, watch, outcomes, came=came)
    windows = len(bounds) - 1
    clock = ManualClock()
    lease = InMemoryLease(clock)
    grant = lease.acquire("replay", 1e9)
    assert grant is not None, "a fresh lease is free"  # noqa: S101  an invariant of ours, not of the input
    length = _length(frame, windows) if options.windows is not None or settings.window is None else settings.window
    delay = _delay(options.label_delay or settings.policy.monitor.label_delay, length)
    made = stages(settings, label_delay=delay * length, window=length, packaged=False)
    engine = Engine(deciders(made, length), InMemoryEventLog(clock=clock, lease=lease), grant)
    watched = watched_by(settings, window=length)
    judging = judged_by(settings, watched)
    pipeline = load_pipeline(settings.pipeline)

    def correction(rows: pl.DataFrame) -> Corrected:
        return corrected_rows(rows, watched.rules, settings.columns, pipeline.correct)

    trainer = _Trainer(settings, watched, pipeline, watch)
    chosen = chosen_gates(settings).unpackaged()
    world = ReplayWorld(
        correction=correction,
        spoil=spoil,
        suites=suite_sources(settings),
        anchor=chosen.anchor,
        disparity=fairlearn_disparity,
        fit_beside=trainer.fit,
        blend=trainer.blend,
        blends=partial(can_blend, formats=training_kit().formats, wanted=settings.policy.data.blend),
    )
    effects = ReplayEffects(stream, chosen.gates, trainer.train, watch, world)
    plan = ReplayPlan(
        model=settings.model,
        bounds=bounds,
        detectors=watched.detectors,
        at_once=watched.at_once,
        code=settings.code,
        settings=settings.digest,
        warmup=next(k for k, row in enumerate(bounds) if k and row >= frame.height * WARMUP_SHARE),
        label_delay=delay,
        revise=settings.revise,
        paired_by=judging.paired_by,
        arms_by=judging.arms_by,
    )
    return Replay(plan, engine, stream, effects, watch).run(told)


def _refuse_label_time(settings: Settings, column: str) -> None:
    """Raise SettingsError for a column that cannot say when labels came, whatever is in it."""
    columns = settings.columns
    known = {columns.target: "the target", **dict.fromkeys(columns.names, "a feature: a model would know it too early")}
    if column in known:
        raise SettingsError(f"--label-time {column}: that is {known[column]}; name the column of when labels came")


def _bounds(frame: pl.DataFrame, settings: Settings, windows: int | None) -> Sequence[int]:
    """Return the rows at which windows begin: equal numbers of rows, or the settings' length of event time."""
    if frame.height < 2:
        raise SchemaError(f"the file has {frame.height} labelled rows; two windows need at least one each")
    if windows is not None:
        if not 2 <= windows <= frame.height:
            raise SettingsError(f"--windows {windows}: a stream of {frame.height} rows has 2 to {frame.height} windows")
        return [int(each) for each in np.linspace(0, frame.height, windows + 1)]
    if settings.window is None:
        return _bounds_of_rows(frame, settings.window_rows or 1)
    length = int(settings.window.total_seconds() * 1e6)
    number = (frame.get_column("_at").cast(pl.Int64) // length).to_numpy()
    starts = np.flatnonzero(np.diff(number, prepend=number[0] - 1))
    if len(starts) < 2:
        raise SettingsError(
            f"the stream is shorter than two windows of {settings.policy.monitor.window}; try --windows"
        )
    return [*starts.tolist(), frame.height]


def _bounds_of_rows(frame: pl.DataFrame, count: int) -> Sequence[int]:
    """Return the rows at which windows of `count` rows begin; the last one, not full, never closes."""
    times = frame.get_column("_at").dt.epoch("us").to_numpy()
    clock = WindowClock(count=count, most=len(times))
    state, closed = clock.observe(WindowState(), times)
    closed += clock.tick(state, frame.get_column("_at").item(-1) + _MICRO)[1]
    if len(closed) < 2:
        raise SettingsError(f"the stream is shorter than two windows of {count} rows; try --windows")
    ends = [(each.end - _EPOCH) // _MICRO for each in closed]
    return [0, *np.searchsorted(times, ends).tolist()]


def _delay(text: str, length: timedelta) -> int:
    """Return a label delay in windows of this length: a whole number of them, or a duration rounded up."""
    if text.isdecimal():
        return int(text)
    return math.ceil(parse_duration(text) / length) if length else 0


def _length(frame: pl.DataFrame, windows: int) -> timedelta:
    """Return the event time of a window, on average."""
    first, last = (frame.get_column("_at").item(row) for row in (0, -1))
    spread: timedelta = (last - first) / windows
    return spread


class _Timed:
    """The user's pipeline with its seconds counted apart, and its space asked within the limit of a trial."""

    def __init__(self, pipeline: Pipeline, watch: Stopwatch, limit_s: float) -> None:
        self._pipeline = pipeline
        self._watch = watch
        self.source = pipeline.source
        self.digest = pipeline.digest
        self.inputs_are_numbers = pipeline.inputs_are_numbers
        self.correct = pipeline.correct
        space = pipeline.search_space
        self.search_space = space and (lambda trial: at_most(limit_s, lambda: space(trial)))

    def features(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Time and call the user's `features`."""
        return self._watch.timed("features_s", lambda: self._pipeline.features(rows))

    def train(self, data: TrainingData, params: Mapping[str, Any]) -> object:
        """Time and call the user's `train`."""
        return self._watch.timed("fit_s", lambda: self._pipeline.train(data, params))


class _TimedLoader:
    """A loader whose predictors' answers are counted apart: those that a training asks for as proof."""

    def __init__(self, loader: Loader, pipeline: Pipeline, watch: Stopwatch) -> None:
        self._loader = loader
        self._pipeline = pipeline
        self._watch = watch
        self.load = loader.load

    def assemble(self, candidate: Candidate, *, pipeline: Pipeline, version: str) -> Predictor:  # noqa: ARG002  untimed
        """Assemble with the pipeline that is not timed itself, so that no second counts twice."""
        predictor = self._loader.assemble(candidate, pipeline=self._pipeline, version=version)
        return cast("Predictor", _TimedPredictor(predictor, self._watch))


class _TimedPredictor:
    def __init__(self, predictor: Predictor, watch: Stopwatch) -> None:
        self._predictor = predictor
        self._watch = watch

    def predict(self, frame: pl.DataFrame) -> Predictions:
        return self._watch.timed("predict_s", lambda: self._predictor.predict(frame))


class _Trainer:
    """Trains the versions of a replay in this process.

    A search ends by its trials, whatever its own limit; `train.timeout` is one of time for each trial, each fit and
    each proof of a draft.
    """

    def __init__(self, settings: Settings, watched: Watch, pipeline: Pipeline, watch: Stopwatch) -> None:
        self._columns = settings.columns
        self._how = training_of(settings, watched)
        self._pipeline = pipeline
        self._limit_s = parse_duration(settings.policy.train.timeout).total_seconds()
        self._timed = _Timed(pipeline, watch, self._limit_s)
        self._loader = ModelLoader()
        self._kit = replace(training_kit(), loader=_TimedLoader(self._loader, pipeline, watch))
        self._tried: tuple[Mapping[str, Any], ...] = ()

    def train(self, order: TrainingOrder) -> TrainedVersion:
        """Train a version, and measure what windows are held against."""
        recipe = self._recipe(order)
        previous = (order.champion.alone or order.champion.predictor).model if order.champion else None
        rows = training_rows(order.rows, order.holdout_rows)
        if self._how.adopt is not None and order.champion is None:
            adopt = partial(adopted_draft, self._how.adopt, rows, recipe, self._timed, self._kit)
            return self._packed(at_most(self._limit_s, adopt), order, recipe)
        record = b""
        if self._how.search is not None:
            plan = replace(self._how.search, timeout_s=math.inf, warm=self._tried)
            scores = self._limited(fold_scores(rows, recipe, plan, self._timed, self._kit, previous))
            found = search_params(plan, open_study(plan, order.seed, None), scores, self._timed, silent)
            recipe, record = replace(recipe, params={**recipe.params, **found.params}), found.record
            self._tried = (found.suggested,)
        made = at_most(self._limit_s, lambda: draft(rows, recipe, self._timed, self._kit, previous=previous))
        return self._packed(replace(made, search=record), order, recipe)

    def _limited(self, scores: Scores) -> Scores:
        """Return what scores attempts, each within the limit."""

        def one(attempt: Attempt) -> float | str:
            try:
                return at_most(self._limit_s, lambda: scores([attempt])[0])
            except TrainingError as exc:
                return str(exc)

        return lambda attempts: [one(each) for each in attempts]

    def _packed(self, made: Draft, order: TrainingOrder, recipe: Recipe) -> TrainedVersion:
        fitted = at_most(self._limit_s, lambda: finish(made, order.rows, recipe, self._timed, self._kit))
        predictor = self._loader.assemble(fitted.candidate, pipeline=self._pipeline, version=order.version)
        return TrainedVersion(predictor=predictor, yardstick=fitted.yardstick)

    def blend(self, order: TrainingOrder, first: TrainedVersion, beside: Predictor, weight: float) -> TrainedVersion:
        """Make one version of two."""
        alone = first.predictor
        made = blended_draft(alone, beside, weight, self._kit)
        members = ((alone.digest, weight), (beside.digest, 1.0 - weight))
        return replace(self._packed(made, order, replace(self._recipe(order), blend=members)), alone=alone)

    def fit(self, order: TrainingOrder) -> Predictor:
        """Fit a model, and no more."""
        recipe = self._recipe(order)

        def fitted() -> Candidate:
            made = draft(order.rows, recipe, self._timed, self._kit)
            return assemble(made, recipe, order.rows.height, self._timed, self._kit)[0]

        candidate = at_most(self._limit_s, fitted)
        return self._loader.assemble(candidate, pipeline=self._pipeline, version=order.version)

    def _recipe(self, order: TrainingOrder) -> Recipe:
        how = self._how
        return Recipe(
            columns=self._columns,
            seed=order.seed,
            params=how.params if order.params is None else order.params,
            holdout_rows=order.holdout_rows,
            previous=(order.champion.alone or order.champion.predictor).digest if order.champion else "",
            sample_rows=how.sample_rows,
            traits=how.traits,
            export=how.export,
        )
