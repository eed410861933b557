"""The effects of a replay, run inline on the stream's arrays: snapshot, train, measure, shift."""

import hashlib
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from anew.domain.errors import AnewError, TrainingError
from anew.domain.fact import Fact
from anew.domain.facts import (
    CandidateMeasured,
    CandidateTrained,
    EffectFailed,
    SnapshotTaken,
    TrafficApplied,
    TrafficShifted,
    TrainingPlanned,
)
from anew.loop.measure import measure_gates
from anew.loop.replay_stream import ReplayStream, Stopwatch, TrainedVersion
from anew.validate import Gates, HeldOut

__all__ = ["ReplayEffects", "Trainer", "TrainingOrder", "held_out_rows"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOrder:
    """A training run of a replay: rows in time order, the newest `holdout_rows` of which are kept from training."""

    version: str
    rows: pl.DataFrame
    holdout_rows: int
    seed: int
    champion: TrainedVersion | None


Trainer = Callable[[TrainingOrder], TrainedVersion]
"""Trains in this process; raises TrainingError when nothing came of it."""


def held_out_rows(rows: int, share: float) -> int:
    """Return how many of `rows` are held out: the share, at least one row, and never more than half."""
    return min(max(1, round(rows * share)), rows // 2)


class ReplayEffects:
    """Runs what facts ask for; `mature` is the row up to which labels may be used, moved by the replay."""

    def __init__(self, stream: ReplayStream, gates: Gates, train: Trainer, watch: Stopwatch) -> None:
        self._stream = stream
        self._gates = gates
        self._train = train
        self._watch = watch
        self._ranges: dict[str, tuple[int, int, int]] = {}
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
                case TrafficShifted():
                    return TrafficApplied(model=fact.model, at=fact.at, cause=fact.id, epoch=fact.epoch, workers=1)
        except AnewError as exc:
            reason = exc.reason if isinstance(exc, TrainingError) else "error"
            return EffectFailed(
                model=fact.model,
                at=fact.at,
                cause=fact.id,
                effect=fact.asks,
                version=getattr(fact, "version", ""),
                reason=reason,
                detail=str(exc),
            )
        raise AssertionError(f"{fact.kind} asks for {fact.asks!r}, which a replay does not know")

    def _snapshot(self, fact: TrainingPlanned) -> SnapshotTaken:
        low = bisect_left(self._stream.at, fact.span.start, hi=self.mature)
        rows = self.mature - low
        if rows < 4:
            raise TrainingError(
                "error", f"{rows} labelled rows lie in the span from {fact.span.start}; 4 are the least"
            )
        held = held_out_rows(rows, fact.holdout_share)
        self._ranges[fact.version] = (low, self.mature, held)
        return SnapshotTaken(
            model=fact.model,
            at=fact.at,
            cause=fact.id,
            version=fact.version,
            champion=fact.champion,
            digest=hashlib.sha256(f"{low}:{self.mature}:{held}".encode()).hexdigest(),
            tables=(("stream", 0),),
            span=self._stream.interval(low, self.mature),
            rows=rows,
            holdout_rows=held,
            seed=fact.seed,
        )

    def _fit(self, fact: SnapshotTaken) -> CandidateTrained:
        low, high, held = self._ranges[fact.version]
        order = TrainingOrder(
            version=fact.version,
            rows=self._stream.frame.slice(low, high - low),
            holdout_rows=held,
            seed=fact.seed,
            champion=self._stream.versions.get(fact.champion),
        )
        self.fits += 1
        trained = self._train(order)
        self._stream.versions[fact.version] = trained
        return CandidateTrained(
            model=fact.model,
            at=fact.at,
            cause=fact.id,
            version=fact.version,
            champion=fact.champion,
            digest=trained.predictor.digest,
            snapshot=fact.digest,
            rows=high - low - held,
            compute_s=0.0,
        )

    def _measure(self, fact: CandidateTrained) -> CandidateMeasured:
        _, high, held = self._ranges[fact.version]
        low = high - held
        stream = self._stream
        scale = stream.versions[fact.version].loss_scale
        ours = stream.answers(fact.version, low, high)
        theirs = stream.answers(fact.champion, low, high) if fact.champion else None
        rows = HeldOut(
            task=stream.columns.task,
            label=stream.label[low:high],
            challenger=ours,
            challenger_loss=stream.loss(ours, low, high, scale),
            champion=theirs,
            champion_loss=None if theirs is None else stream.loss(theirs, low, high, scale),
            positive=str(stream.columns.classes[-1]) if stream.columns.classes else "",
        )
        return CandidateMeasured(
            model=fact.model,
            at=fact.at,
            cause=fact.id,
            version=fact.version,
            champion=fact.champion,
            digest=fact.digest,
            evidence=measure_gates(self._gates, rows),
        )
