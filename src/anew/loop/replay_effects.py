"""The effects of a replay, run inline on the stream's arrays: snapshot, train, measure, shift."""

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from anew.domain.blend import Blend
from anew.domain.errors import AnewError, InvariantError, TrainingError
from anew.domain.evidence import Evidence
from anew.domain.fact import Fact
from anew.domain.facts import (
    CandidateMeasured,
    CandidateTrained,
    EffectFailed,
    RetiredScored,
    RetiredScoringAsked,
    SnapshotTaken,
    SpanComparisonAsked,
    SpanFitAsked,
    SpanFitted,
    SpansCompared,
    TrafficApplied,
    TrafficShifted,
    TrainingPlanned,
)
from anew.domain.interval import Interval
from anew.loop.correction import Corrected
from anew.loop.measure import measure_gates
from anew.loop.replay_stream import ReplayStream, Stopwatch, TrainedVersion
from anew.loop.retired import retired_losses
from anew.loop.snapshot_rows import SnapshotRows, snapshot_rows, usable_rows
from anew.loop.span_comparison import compared_spans
from anew.loop.trial import Ask, Rows, SuiteSource, Trial, some_of
from anew.ports.predictor import Predictor
from anew.train.span import BEGINNING, asked_beside
from anew.validate import Answers, Disparity, Gates

__all__ = ["Blender", "Correction", "FitBeside", "ReplayEffects", "ReplayWorld", "Spoil", "Trainer", "TrainingOrder"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOrder:
    """A training run of a replay: rows in time order, the newest `holdout_rows` of which are kept from training.

    `params` are those to fit with, None to take the project's, or to search.
    """

    version: str
    rows: pl.DataFrame
    holdout_rows: int
    seed: int
    champion: TrainedVersion | None
    params: Mapping[str, Any] | None = None


Correction = Callable[[pl.DataFrame], Corrected]
"""Repairs history; see `corrected_rows`."""

Spoil = Callable[[str, pl.DataFrame, int], pl.DataFrame]
"""Returns the snapshot's rows as a faulty world would have them, of a version, its rows and how many are held out."""

Trainer = Callable[[TrainingOrder], TrainedVersion]
"""Trains in this process; raises TrainingError when nothing came of it."""

FitBeside = Callable[[TrainingOrder], Predictor]
"""Fits a model of another span: nothing is measured that windows would be held against."""

Blender = Callable[[TrainingOrder, TrainedVersion, Predictor, float], TrainedVersion]
"""Makes one version of two, the first with this weight, as training does; raises TrainingError where it cannot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayWorld:
    """What is around a replay: how history is mended, what spoils it, suites by name.

    `anchor` is the pinned version, empty for the first champion, None where no gate asks for one; `fit_beside` is None
    where no plan asks for a second length.
    """

    correction: Correction | None = None
    spoil: Spoil | None = None
    suites: Mapping[str, SuiteSource] = field(default_factory=dict)
    anchor: str | None = None
    disparity: Disparity | None = None
    fit_beside: FitBeside | None = None
    blend: Blender | None = None
    blends: Callable[[str], bool] = lambda _: False


@dataclass(frozen=True, slots=True)
class _Taken:
    """The rows of a snapshot, the newest `held` of which are kept from training.

    `start` is the number of the stream's first row that is trained on, `own` the numbers of the held-out rows, where
    they are the stream's own; else None. `beside` has the rows of a second model that answers with the first; or None.
    """

    rows: pl.DataFrame
    held: int
    start: int
    own: npt.NDArray[np.intp] | None
    beside: pl.DataFrame | None = None


class ReplayEffects:
    """Runs what facts ask for; `mature` is the row up to which labels may be used, moved by the replay."""

    def __init__(
        self, stream: ReplayStream, gates: Gates, train: Trainer, watch: Stopwatch, options: ReplayWorld | None = None
    ) -> None:
        world = options or ReplayWorld()
        self._stream = stream
        self._gates = gates
        self._train = train
        self._watch = watch
        self._correction = world.correction
        self._spoil = world.spoil
        self._suites = world.suites
        self._anchor = world.anchor
        self._disparity = world.disparity
        self._another = world.fit_beside
        self._blend = world.blend
        self._blends = world.blends
        self._pairs: dict[str, tuple[Predictor, Predictor]] = {}
        self._taken: dict[str, _Taken] = {}
        self._plans: dict[str, tuple[TrainingPlanned, datetime]] = {}
        self._revived: dict[str, str] = {}
        self._learned: dict[str, datetime] = {}
        self.mature = 0
        self.fits = 0

    def run(self, fact: Fact) -> Fact:
        """Run the effect that `fact` asks for and return the fact that ends it."""
        try:
            match fact:
                case TrainingPlanned():
                    return self._snapshot(fact)
                case SnapshotTaken():
                    return self._fit(fact)
                case CandidateTrained():
                    return self._measure(fact)
                case SpanFitAsked():
                    return self._fit_beside(fact)
                case SpanComparisonAsked():
                    return self._compare(fact)
                case RetiredScoringAsked():
                    return self._score_retired(fact)
                case TrafficShifted():
                    return TrafficApplied(model=fact.model, at=fact.at, cause=fact.id, epoch=fact.epoch, workers=1)
        except AnewError as exc:
            reason, detail = (exc.reason, exc.detail) if isinstance(exc, TrainingError) else ("error", str(exc))
            return EffectFailed(
                model=fact.model,
                at=fact.at,
                cause=fact.id,
                effect=fact.asks,
                version=getattr(fact, "version", ""),
                reason=reason,
                detail=detail,
            )
        raise AssertionError(f"{fact.kind} asks for {fact.asks!r}, which a replay does not know")

    def _snapshot(self, fact: TrainingPlanned) -> SnapshotTaken:
        low = 0 if fact.rehearsal else bisect_left(self._stream.at, fact.span.start, hi=self.mature)
        known = self._stream.labels.among(low, self.mature)
        rows = usable_rows(self._stream.labelled(low, self.mature), fact)
        corrected = Corrected(rows=rows, repaired=0, dropped=0)
        if fact.corrected and self._correction is not None:
            corrected = self._correction(rows)
        taken = snapshot_rows(corrected.rows, fact, self._learned.get(fact.champion))
        count, held = taken.rows.height, taken.holdout
        same = count == len(known) and taken.rows.tail(held).equals(rows.tail(held))  # of one instant others come first
        own = known[count - held :] if same else None
        rows = taken.rows if self._spoil is None else self._spoil(fact.version, taken.rows, held)
        self._taken[fact.version] = _Taken(rows=rows, held=held, start=low, own=own)
        self._learned[fact.version] = taken.rows.get_column("_at")[count - held - 1]
        if fact.revive:
            self._revived[fact.version] = fact.revive
            self._learned[fact.version] = self._learned[fact.revive]
        if fact.beside_s:
            self._plans[fact.version] = (fact, taken.rows.get_column("_at")[count - held])
        inside = bisect_left(self._stream.at, fact.span.start, hi=self.mature)
        return SnapshotTaken(
            model=fact.model,
            at=fact.at,
            cause=fact.id,
            version=fact.version,
            champion=fact.champion,
            digest=_digest(fact, f"{low}:{self.mature}{self._told(known)}", taken, corrected),
            tables=(("stream", 0),),
            span=self._stream.interval(min(inside, self.mature - 1), self.mature),
            rows=count,
            holdout_rows=held,
            seed=fact.seed,
            repaired=corrected.repaired,
            dropped=corrected.dropped,
            sources=taken.sources,
            rehearsed=taken.rehearsed,
        )

    def _told(self, known: npt.NDArray[np.intp]) -> str:
        """Address which labels are known, where they come at times of their own."""
        return f":{hashlib.sha256(known.astype(np.int64).tobytes()).hexdigest()}" if self._stream.labels.own else ""

    def _fit(self, fact: SnapshotTaken) -> CandidateTrained:
        taken = self._taken[fact.version]
        if fact.version in self._revived:
            return self._trained(fact, self._stream.versions[self._revived.pop(fact.version)])
        order = TrainingOrder(
            version=fact.version,
            rows=taken.rows,
            holdout_rows=taken.held,
            seed=fact.seed,
            champion=self._stream.versions.get(fact.champion),
        )
        self.fits += 1
        trained = self._train(order)
        plan = self._plans.get(fact.version)
        kept_as = trained.predictor.manifest.format
        if plan is None or plan[0].span_weight >= 1 or self._blend is None or not self._blends(kept_as):
            return self._trained(fact, trained)
        self._stream.versions[fact.version] = trained
        length_s = asked_beside(plan[0], fact).length_s
        try:
            beside, also, start = self._fitted_beside(fact.version, length_s)
        except TrainingError as exc:
            return self._trained(fact, trained, because=str(exc))
        self._pairs = {fact.version: (trained.predictor, beside)}
        whole, weight, because = trained, plan[0].span_weight, ""
        try:
            whole = self._blend(order, trained, beside, weight)
            self._taken[fact.version] = replace(taken, start=min(start, taken.start), beside=also.rows)
        except TrainingError as exc:
            weight, because = 1.0, str(exc)
        blend = Blend(
            alone=trained.predictor.digest,
            beside=beside.digest,
            weight=weight,
            snapshot=hashlib.sha256(f"{plan[0].id}:{length_s}".encode()).hexdigest(),
            rows=also.rows.height,
            sources=also.sources,
        )
        return self._trained(fact, whole, blend, because)

    def _trained(
        self, fact: SnapshotTaken, trained: TrainedVersion, blend: Blend | None = None, because: str = ""
    ) -> CandidateTrained:
        taken = self._taken[fact.version]
        self._stream.versions[fact.version] = trained
        return CandidateTrained(
            model=fact.model,
            at=fact.at,
            cause=fact.id,
            version=fact.version,
            champion=fact.champion,
            digest=trained.predictor.digest,
            snapshot=fact.digest,
            rows=taken.rows.height - taken.held,
            compute_s=0.0,
            blend=blend,
            alone_because=because,
        )

    def _fit_beside(self, fact: SpanFitAsked) -> SpanFitted:
        fitted, also, _ = self._fitted_beside(fact.version, fact.length_s)
        # the pair before it is not compared again
        self._pairs = {fact.version: (self._stream.versions[fact.version].predictor, fitted)}
        return SpanFitted(
            model=fact.model,
            at=fact.at,
            cause=fact.id,
            version=fact.version,
            digest=fitted.digest,
            rows=also.rows.height,
            compute_s=0.0,
        )

    def _fitted_beside(self, version: str, length_s: float) -> tuple[Predictor, SnapshotRows, int]:
        """Fit the second length on rows that end where the candidate's do; return it, them, and where they begin."""
        plan, end = self._plans.pop(version)
        start = max(BEGINNING, end - timedelta(seconds=length_s))
        high = bisect_left(self._stream.at, end, hi=self.mature)
        low = 0 if plan.rehearsal else bisect_left(self._stream.at, start, hi=high)
        rows = usable_rows(self._stream.labelled(low, high), plan)
        span = Interval(start=start, end=end)
        taken = snapshot_rows(rows, replace(plan, span=span, holdout_sources=()))  # what it has is all trained on
        if self._another is None:
            raise TrainingError("error", "the plan asks for a second length, and nothing here fits one")
        self.fits += 1
        rows = taken.rows if self._spoil is None else self._spoil(f"{version} beside", taken.rows, 0)
        order = TrainingOrder(
            version=f"{version} beside",
            rows=rows,
            holdout_rows=0,
            seed=plan.seed,
            champion=None,
            params=self._stream.versions[version].predictor.manifest.params,
        )
        return self._another(order), replace(taken, rows=rows), low

    def _compare(self, fact: SpanComparisonAsked) -> SpansCompared:
        low = bisect_left(self._stream.at, fact.rows.start, hi=self.mature)
        rows = self._stream.labelled(low, self.mature)
        evidence: tuple[Evidence, ...] = ()
        if rows.height:
            first, second = (self._stream.said(each, rows)[0] for each in self._pairs[fact.version])
            scale = self._stream.versions[fact.version].loss_scale
            evidence = compared_spans(rows, self._stream.columns, (first, second), scale=scale, window_s=fact.window_s)
        return SpansCompared(model=fact.model, at=fact.at, cause=fact.id, version=fact.version, evidence=evidence)

    def _score_retired(self, fact: RetiredScoringAsked) -> RetiredScored:
        stream = self._stream
        low, high = (bisect_left(stream.at, each) for each in (fact.window.start, fact.window.end))
        scale = stream.versions[fact.version].loss_scale
        names = [name for name, _ in fact.versions]
        lost = {name: stream.loss(stream.answers(name, low, high), low, high, scale) for name in names}
        evidence = retired_losses(lost, names)
        return RetiredScored(
            model=fact.model, at=fact.at, cause=fact.id, version=fact.version, window=fact.window, evidence=evidence
        )

    def _measure(self, fact: CandidateTrained) -> CandidateMeasured:
        taken = self._taken.pop(fact.version)
        versions = {name: trained.predictor for name, trained in self._stream.versions.items()}
        pinned = None if self._anchor is None else versions.get(self._anchor or next(iter(versions)))
        trial = Trial(
            candidate=versions[fact.version],
            champion=versions.get(fact.champion),
            anchor=pinned,
            training=taken.rows.head(taken.rows.height - taken.held),
            beside=None if taken.beside is None else taken.beside.clone,
            suites={name: partial(self._suite, source, taken, fact) for name, source in self._suites.items()},
            ask=self._ask,
            disparity=self._disparity,
        )
        held = trial.held_out(
            taken.rows.tail(taken.held), answers=None if taken.own is None else self._known(taken.own)
        )
        return CandidateMeasured(
            model=fact.model,
            at=fact.at,
            cause=fact.id,
            version=fact.version,
            champion=fact.champion,
            digest=fact.digest,
            evidence=measure_gates(self._gates, held),
        )

    def _ask(self, predictor: Predictor, rows: pl.DataFrame) -> Answers:
        return Answers(*self._stream.said(predictor, rows))

    def _known(self, own: npt.NDArray[np.intp]) -> Ask:
        """Ask about held-out rows that are the stream's own: each version is asked about each row once."""
        low, high = _around(own)

        def ask(predictor: Predictor, _: pl.DataFrame) -> Answers:
            output = self._stream.answers(predictor.version, low, high)
            chance = self._stream.chance(predictor.version, low, high)
            return Answers(output[own - low], None if chance is None else chance[own - low])

        return ask

    def _suite(self, source: SuiteSource, taken: _Taken, fact: CandidateTrained) -> Rows:
        if source.file is not None:
            return Rows(frame=source.file())
        if source.past:
            return Rows(frame=some_of(self._stream.labelled(0, taken.start), source.past))
        if taken.own is None:
            raise InvariantError("history was corrected, so what was served is not what was held out")
        low, high = _around(taken.own)
        served = self._stream.scored(low, high)[taken.own - low]
        return Rows(frame=served.filter(pl.col("_version") == fact.champion).tail(source.recorded), recorded=True)


def _around(numbers: npt.NDArray[np.intp]) -> tuple[int, int]:
    """Return the first of ascending row numbers and the one after the last."""
    return (int(numbers[0]), int(numbers[-1]) + 1) if len(numbers) else (0, 0)


def _digest(fact: TrainingPlanned, numbers: str, taken: SnapshotRows, corrected: Corrected) -> str:
    """Address the rows of a snapshot: the stream's own, by their numbers, and what was done to them."""
    left_out = ",".join(f"{each.start.isoformat()}/{each.end.isoformat()}" for each in fact.left_out)
    done = f":{left_out}:{corrected.repaired}:{corrected.dropped}" if left_out or fact.corrected else ""
    cut = any(came != kept for _, came, kept in taken.sources)
    if fact.purged or cut or taken.rehearsed:
        done += f":{fact.purged}:{taken.sources}:{taken.rehearsed}:{fact.span.start.isoformat()}:{fact.seed}"
    return hashlib.sha256(f"{numbers}:{taken.holdout}{done}".encode()).hexdigest()
