"""A project's own triggers over a board of losses: the real monitor and trigger, without gates and rollout."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from anew.domain.fact import Fact
from anew.domain.facts import (
    ProjectChanged,
    RetrainRequested,
    RowsChecked,
    Ticked,
    TrainingEnded,
    TrainingPlanned,
    VersionPromoted,
    WindowClosed,
    WindowScored,
)
from anew.loop.backtest import Act, Model, Sight
from anew.loop.engine import Engine
from anew.loop.measure import measure_seen
from anew.loop.replay_stream import ReplayStream, TrainedVersion
from anew.loop.replay_window import ReplayScores, seen_window
from anew.monitor import Detectors

__all__ = ["Told", "TriggerPolicy"]


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a project's triggers are told about: the model's name, its detectors, and its revision."""

    model: str
    detectors: Detectors
    at_once: Detectors
    code: str
    settings: str


class TriggerPolicy:
    """Retrains when the project's trigger, told of each window, asks for it; the fit is the board's.

    Parameters
    ----------
    engine
        With the stages `monitor` and `trigger`, over a log of its own.
    stream
        Of its own too: it holds what was served in this run.
    trained
        A model of the board with its yardstick.
    """

    def __init__(
        self, told: Told, engine: Engine, stream: ReplayStream, trained: Callable[[Model], TrainedVersion], span: int
    ) -> None:
        self._told = told
        self._engine = engine
        self._stream = stream
        self._trained = trained
        self._span = span
        self._served: Model | None = None
        self._scored = 0
        self._scores: ReplayScores | None = None

    def act(self, sight: Sight) -> Act:
        """Tell of the window that has ended and of those whose labels have become mature."""
        board = sight.board
        if self._served is None:
            self._scored = board.first
            at = self._stream.at[board.bounds[board.first]]
            self._submit(
                ProjectChanged(model=self._told.model, at=at, settings=self._told.settings, code=self._told.code)
            )
            self._promote(sight.champion, at)
        elif self._ended(sight):
            return self._asked(sight)
        self._serve(sight, sight.champion)
        return Act()

    def _asked(self, sight: Sight) -> Act:
        """Fit what was asked for; without a label that is new, nothing could be learned."""
        at = self._stream.at[sight.board.bounds[sight.now] - 1]
        model = sight.board.model(sight.mature, self._span)
        if model in sight.board.rows and sight.mature > sight.champion.end:
            self._promote(model, at)
            self._serve(sight, model)
            return Act(fit=self._span)
        self._submit(
            TrainingEnded(
                model=self._told.model, at=at, version="", outcome="failed", detail="nothing new", compute_s=0.0
            )
        )
        self._serve(sight, sight.champion)
        return Act(fit=self._span) if sight.mature > sight.champion.end else Act()

    def _submit(self, fact: Fact) -> bool:
        """Submit a fact; return whether a retrain was asked for."""
        return any(isinstance(each, RetrainRequested) for each in self._engine.submit(fact))

    def _promote(self, model: Model, at: datetime) -> None:
        previous = self._served.name if self._served else ""
        self._stream.versions[model.name] = self._trained(model)
        self._submit(_planned(self._told, self._stream, model, previous, at))
        self._submit(
            VersionPromoted(
                model=self._told.model,
                at=at,
                cause=f"{model.name} {at.isoformat()}",
                version=model.name,
                digest="",
                previous=previous,
                evidence=(),
                reason="a backtest has no gates",
            )
        )
        self._served = model
        self._stream.forget((model.name,))

    def _serve(self, sight: Sight, model: Model) -> None:
        low, high = sight.board.bounds[sight.now : sight.now + 2]
        self._stream.serve(low, high, model.name)

    def _ended(self, sight: Sight) -> bool:
        """Tell of the last window, and of those that have become mature; return whether a retrain was asked for."""
        bounds = sight.board.bounds
        low, high = bounds[sight.now - 1 : sight.now + 1]
        at = self._stream.at[high - 1]
        asked = [self._submit(fact) for fact in self._closed(sight.champion.name, low, high, at)]
        while self._scored < sight.mature:
            asked.append(self._submit(self._score(bounds[self._scored], bounds[self._scored + 1], bounds, at)))
            self._scored += 1
        return any(asked)

    def _closed(self, version: str, low: int, high: int, at: datetime) -> list[Fact]:
        stream, told = self._stream, self._told
        seen = seen_window(stream, version, low, high)
        about: Mapping[str, Any] = {
            "model": told.model,
            "at": at,
            "version": version,
            "window": seen.window,
            "n": high - low,
        }
        found: list[Fact] = []
        at_once = measure_seen(told.at_once, seen) if told.at_once else ()
        if any(each.value for each in at_once):
            found.append(RowsChecked(**about, evidence=at_once))
        found.append(Ticked(model=told.model, at=at, wall=at))
        evidence = measure_seen(told.detectors, seen)
        return [*found, WindowClosed(**about, rows=f"stream {low}:{high}", evidence=evidence)]

    def _score(self, low: int, high: int, bounds: tuple[int, ...], at: datetime) -> WindowScored:
        stream = self._stream
        began = next(bound for bound in bounds if stream.served_by[bound])
        self._scores = self._scores or ReplayScores(stream, self._told.detectors, bounds)
        return WindowScored(
            model=self._told.model,
            at=at,
            version=stream.champion_of(low, high),
            window=stream.interval(low, high),
            n=high - low,
            labelled=high - low,
            revision=0,
            evidence=self._scores.evidence(low, high, began=began),
        )


def _planned(told: Told, stream: ReplayStream, model: Model, champion: str, at: datetime) -> TrainingPlanned:
    """Name the version that is on its way: the trigger rests until it has arrived."""
    return TrainingPlanned(
        model=told.model,
        at=at,
        cause=f"{model.name} {at.isoformat()}",
        version=model.name,
        champion=champion,
        span=stream.interval(0, stream.n),
        holdout_share=0.0,
        seed=0,
        code=told.code,
        settings=told.settings,
    )
