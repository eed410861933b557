"""The stream of a replay as arrays: what each version answers to each row, who was served, and what it lost."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import perf_counter
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from anew.domain.column import Columns
from anew.domain.interval import Interval
from anew.loop.measure import Floats, Values, as_values, losses
from anew.loop.replay_labels import LabelTimes
from anew.loop.training import user_code
from anew.monitor import Yardstick
from anew.ports.predictor import Predictor

__all__ = ["ReplayStream", "Stopwatch", "TrainedVersion"]

T = TypeVar("T")

_MICRO = timedelta(microseconds=1)


class Stopwatch:
    """Seconds spent in what belongs to the user's model, by name; the rest of a replay is anew's own."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def timed(self, name: str, work: Callable[[], T]) -> T:
        """Run `work` and add its seconds to `name`."""
        start = perf_counter()
        try:
            return work()
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + perf_counter() - start


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedVersion:
    """What training gives a replay: the loaded version and the yardstick of its training rows.

    Where the version is made of two models, `alone` is the one on its own span.
    """

    predictor: Predictor
    yardstick: Yardstick
    alone: Predictor | None = None

    @property
    def loss_scale(self) -> float:
        """Range that absolute errors are divided by; 1 for classification."""
        return self.predictor.manifest.loss_scale or 1.0


@dataclass(frozen=True, slots=True)
class _Answers:
    """What a version said to the rows that `known` marks: outputs and class probabilities."""

    output: Values
    proba: Floats
    known: npt.NDArray[np.bool_]

    @classmethod
    def room(cls, output: Values, proba: Floats) -> "_Answers":
        """Make room as large as these; of a stream's whole length, it is not written to before there are answers."""
        return cls(np.empty_like(output), np.empty_like(proba), np.zeros(len(output), dtype=np.bool_))


class ReplayStream:
    """Rows `0 … n - 1` of a stream, in time order.

    Parameters
    ----------
    frame
        Declared features, ``_at`` (UTC), ``_label`` and `outcomes`; no label missing.
    outcomes
        Columns of what happened after each answer, or what people thought of it.
    watch
        Where the seconds of predicting go.
    came
        When the label of each row came; None for a label that never does. Without it each is known once it is mature.

    Notes
    -----
    Rows of one instant are told apart by a microsecond each in `at`: windows and looks are facts named by the instant
    at which they begin.
    """

    def __init__(
        self,
        frame: pl.DataFrame,
        columns: Columns,
        watch: Stopwatch,
        outcomes: Sequence[str] = (),
        *,
        came: Sequence[datetime | None] | None = None,
    ) -> None:
        self.frame = frame
        self._declared = frame.select(*columns.names, "_at")
        self._happened = frame.select([each for each in outcomes if each in frame.columns])
        self.columns = columns
        self.label = as_values(frame.get_column("_label"), columns.task)
        self.at = _ascending(frame.get_column("_at").to_list())
        self.n = frame.height
        self.labels = LabelTimes(self.at, came)
        self.keys = _keys(frame, columns)
        self.versions: dict[str, TrainedVersion] = {}
        self.served_by = np.full(self.n, "", dtype=object)
        self.champion = np.full(self.n, "", dtype=object)
        self.output: Values = np.empty(self.n, dtype=object if columns.task.classifies else np.float64)
        self._proba = np.full((self.n, len(columns.classes)), np.nan)
        self._answers: dict[str, _Answers] = {}
        self._watch = watch

    def interval(self, low: int, high: int) -> Interval:
        """Return the event time of rows `low` up to `high`."""
        end = self.at[high] if high < self.n else self.at[-1] + _MICRO
        return Interval(start=self.at[low], end=end)

    def answers(self, version: str, low: int, high: int) -> Values:
        """Return what `version` answers to rows `low` up to `high`; asked once per row, whoever asks.

        Raises
        ------
        TrainingError
            The user's code could not answer; the message has its line.
        """
        held = self._answers.get(version) or self._answers.setdefault(version, _Answers.room(self.output, self._proba))
        if not held.known[low:high].all():
            predictor = self.versions[version].predictor
            rows = self.frame.slice(low, high - low)
            said = self._watch.timed(
                "predict_s", lambda: user_code(f"version {version}", lambda: predictor.predict(rows))
            )
            held.output[low:high] = as_values(said.output, self.columns.task)
            held.proba[low:high] = np.nan if said.proba is None else said.proba
            held.known[low:high] = True
        return held.output[low:high]

    def chance(self, version: str, low: int, high: int) -> Floats | None:
        """Return the class probabilities with which `version` answered rows `low` up to `high`; None for none."""
        found = self._answers[version].proba[low:high]
        return found if found.shape[1] and not np.isnan(found).all() else None

    def said(self, predictor: Predictor, rows: pl.DataFrame) -> tuple[Values, Floats | None]:
        """Return what a version answers to `rows` of the stream, or such as they are after repair, with probabilities.

        Raises
        ------
        TrainingError
            The user's code could not answer; the message has its line.
        """
        name = predictor.version
        said = self._watch.timed("predict_s", lambda: user_code(f"version {name}", lambda: predictor.predict(rows)))
        return as_values(said.output, self.columns.task), said.proba

    def serve(self, low: int, high: int, champion: str) -> None:
        """Answer rows `low` up to `high` by the champion."""
        self.output[low:high] = self.answers(champion, low, high)
        self._proba[low:high] = self._answers[champion].proba[low:high]
        self.served_by[low:high] = champion
        self.champion[low:high] = champion

    def champion_of(self, low: int, high: int) -> str:
        """Return who was champion for most of the rows `low` up to `high`."""
        return str(Counter(self.champion[low:high].tolist()).most_common(1)[0][0])

    def divert(self, low: int, high: int, challenger: str, rows: npt.NDArray[np.bool_]) -> None:
        """Let the challenger answer those of the rows `low` up to `high` that `rows` marks."""
        self.output[low:high][rows] = self.answers(challenger, low, high)[rows]
        self._proba[low:high][rows] = self._answers[challenger].proba[low:high][rows]
        self.served_by[low:high][rows] = challenger

    def seen(self, low: int, high: int) -> pl.DataFrame:
        """Return rows `low` up to `high` with what was answered, as detectors read them; see SeenRows."""
        output = self.output[low:high]
        said = [pl.Series("_output", output, dtype=pl.String if self.columns.task.classifies else pl.Float64)]
        proba = self._proba[low:high]
        if proba.shape[1] and not np.isnan(proba).all():
            said += [pl.Series(f"_p{k}", proba[:, k]) for k in range(proba.shape[1])]
        return self._declared.slice(low, high - low).hstack(said)

    def labelled(self, low: int, high: int) -> pl.DataFrame:
        """Return the rows from `low` up to `high` whose labels are known."""
        rows = self.frame.slice(low, high - low)
        return rows.filter(pl.Series(self.labels.known[low:high])) if self.labels.own else rows

    def scored(self, low: int, high: int) -> pl.DataFrame:
        """Return rows as `seen` does, with the labels that are known; see ScoredRows."""
        dtype = pl.String if self.columns.task.classifies else pl.Float64
        label = pl.Series(self.label[low:high], dtype=dtype)
        if self.labels.own:
            label = label.set(pl.Series(~self.labels.known[low:high]), None)
        served_by = pl.Series("_version", self.served_by[low:high], dtype=pl.String)
        known = self._happened.slice(low, high - low).get_columns()
        return self.seen(low, high).hstack([label.alias("_label"), *known, served_by])

    def loss(self, output: Values, low: int, high: int, scale: float) -> Floats:
        """Return the bounded losses of `output`, the answers to rows `low` up to `high`; NaN for no label yet."""
        found = losses(self.columns.task, self.label[low:high], output, scale)
        if self.labels.own:
            found[~self.labels.known[low:high]] = np.nan
        return found

    def reported_loss(self, output: Values, low: int, high: int, spread: float) -> Floats:
        """Return error (0 or 1), or absolute error over `spread`, not bounded, by all labels: what a replay reports."""
        label = self.label[low:high]
        if self.columns.task.classifies:
            return np.asarray(label != output, dtype=np.float64)
        return np.asarray(np.abs(label - output) / spread, dtype=np.float64)

    def forget(self, keep: Collection[str]) -> None:
        """Drop the answers of versions that are not in `keep`: memory stays that of the versions in play."""
        for version in [each for each in self._answers if each not in keep]:
            del self._answers[version]


def _ascending(instants: Sequence[datetime]) -> Sequence[datetime]:
    """Return `instants`, each at least a microsecond after the one before."""
    found = list(instants)
    for i in range(1, len(found)):
        if found[i] <= found[i - 1]:
            found[i] = found[i - 1] + _MICRO
    return found


def _keys(frame: pl.DataFrame, columns: Columns) -> Sequence[str]:
    if columns.key and columns.key in frame.columns:
        return frame.get_column(columns.key).cast(pl.String).fill_null("").to_list()
    return [str(i) for i in range(frame.height)]
