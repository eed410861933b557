"""The effects of a live loop: snapshot, train, measure, shift; each reads before it writes and ends as a fact."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from anew.domain.boundary import reach
from anew.domain.errors import (
    AnewError,
    ConflictError,
    DiskFullError,
    TrainingError,
    UnavailableError,
)
from anew.domain.evidence import Evidence
from anew.domain.fact import Fact
from anew.domain.facts import (
    CandidateMeasured,
    CandidateTrained,
    RetiredScoringAsked,
    SnapshotTaken,
    SpanComparisonAsked,
    SpanFitAsked,
    SubjectPurgeAsked,
    SubjectPurged,
    TrafficApplied,
    TrafficShifted,
    TrainingPlanned,
)
from anew.domain.interval import Interval
from anew.loop.correction_run import CORRECTED, CorrectionRun, read_correction
from anew.loop.failure import failure
from anew.loop.job_name import is_later, job_ids
from anew.loop.job_result import results_of
from anew.loop.past import Past, Record
from anew.loop.retired_effect import RetiredEffect
from anew.loop.snapshot_rows import snapshot_rows, usable_rows
from anew.loop.span_effects import SpanEffects
from anew.loop.train_effect import TrainEffect
from anew.loop.training_order import Training, TrainingInputs, asked_job, training_job
from anew.loop.trial_order import TrialNeeds, TrialOrders, read_by
from anew.ports.artifact import ArtifactStore
from anew.ports.code import CodeRevision
from anew.ports.compute import Compute, Job, JobState, JobStatus, Limits
from anew.ports.effects import Steps
from anew.ports.lake import Lake
from anew.ports.snapshot import SnapshotStore
from anew.ports.traffic import Traffic
from anew.train.span import BEGINNING

__all__ = ["Jobs", "LiveEffects", "Stores"]

_POLL_S = 0.2
_POLL_SOON_S = 10.0  # small jobs end soon, and somebody may be watching
_POLL_MOST_S = 3.0  # a run that died shall be known to be dead within five seconds
_SHIFT_PATIENCE_S = 120.0  # a worker that hangs is mostly killed, and another started, before
_KEPT_JOBS = 20
"""Jobs that are kept after their effects have ended, for whoever asks why one failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """The ports that effects work on; `purge` erases a subject's rows from all of them."""

    lake: Lake
    snapshots: SnapshotStore
    artifacts: ArtifactStore
    compute: Compute
    traffic: Traffic
    purge: Callable[[SubjectPurgeAsked], SubjectPurged] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Jobs:
    """What runs in child processes.

    Attributes
    ----------
    training
        How versions are trained.
    measure, correct, compare, score
        ``package.module:function`` entries. They leave ``evidence.json`` in the job's folder, scoring one
        file for each window, and correcting ``corrected.parquet`` and ``corrected.json``.
    orders
        Folder for the files that tell a job what to do.
    project
        The project's folder; its gates are measured.
    reads
        Files and folders that measuring and correcting read of it.
    needs
        What the gates need besides the snapshot.
    revision
        Tells what the project's folder is checked out at.
    blends
        Can two models of the format with this name answer as one?
    """

    training: Training
    measure: str
    correct: str
    compare: str
    score: str
    orders: Path
    project: Path
    limits: Limits
    read_evidence: Callable[[bytes], tuple[Evidence, ...]]
    reads: tuple[str, ...] = ()
    needs: TrialNeeds = TrialNeeds()
    revision: Callable[[], CodeRevision] = CodeRevision
    blends: Callable[[str], bool] = lambda _: False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """Labelled rows, the table versions that they were read at, and what was done to those that broke a rule."""

    rows: pl.DataFrame
    tables: tuple[tuple[str, int], ...]
    repaired: int = 0
    dropped: int = 0
    compute_s: float = 0.0


class LiveEffects:
    """Runs one effect and returns the fact that ends it. Thread-safe.

    A run may be repeated from its beginning after any crash: snapshots and artifacts are addressed by content, jobs by
    the id of the fact that asked for them, and an order to the gateways by its epoch.
    """

    def __init__(self, stores: Stores, jobs: Jobs, record: Record, *, label_delay: timedelta) -> None:
        self._stores = stores
        self._jobs = jobs
        self._record = record
        self._label_delay = label_delay

    def reconfigure(self, jobs: Jobs, *, label_delay: timedelta) -> None:
        """Run what begins from now on by other settings."""
        self._jobs, self._label_delay = jobs, label_delay

    def tidy(self, pending: Collection[str]) -> int:
        """Delete the jobs of effects that have ended, all but the last few, and return how many were deleted.

        `pending` are the ids of facts whose effects have not ended. What is left over by a crash in the middle is
        deleted at the next call.
        """
        orders = sorted(self._jobs.orders.glob("*.json"), key=lambda file: file.stat().st_mtime)
        going_on = {each for id in pending for each in job_ids(id)}
        ended = [file for file in orders if file.stem not in going_on][:-_KEPT_JOBS]
        for file in ended:
            try:
                self._stores.compute.forget(file.stem)
            except ConflictError:
                continue  # it was given up and has not ended yet
            for beside in (".parquet", ".py"):
                file.with_suffix(beside).unlink(missing_ok=True)
            file.unlink(missing_ok=True)
        return len(ended)

    def run(self, fact: Fact, steps: Steps, beside: Sequence[Fact] = ()) -> tuple[Fact, ...]:
        """Run what `fact` asks for, and as many of `beside` with it as go together; return what ends them, in order.

        An error that anew knows ends `fact` as EffectFailed, any other passes through.
        """
        try:
            if isinstance(fact, RetiredScoringAsked):
                return self._retired(steps).run(
                    [fact, *(each for each in beside if isinstance(each, RetiredScoringAsked))]
                )
            return (self._run(fact, steps),)
        except DiskFullError as exc:
            return (failure(fact, "disk_full", str(exc), self.used(fact)),)
        except UnavailableError:
            raise  # a later attempt may find it available again
        except AnewError as exc:
            reason, detail = (exc.reason, exc.detail) if isinstance(exc, TrainingError) else ("error", str(exc))
            return (failure(fact, reason, detail, self.used(fact)),)

    def used(self, fact: Fact) -> float:
        """Return the CPU seconds of the effect's jobs, however they ended; 0 of none."""
        return sum(self._stores.compute.poll(each).cpu_s for each in job_ids(fact.id))

    def _run(self, fact: Fact, steps: Steps) -> Fact:
        match fact:
            case TrainingPlanned():
                return self._snapshot(fact, steps)
            case SnapshotTaken():
                return self._train(steps)(fact)
            case CandidateTrained():
                return self._measure(fact, steps)
            case TrafficShifted():
                return self._shift(fact, steps)
            case SubjectPurgeAsked() if self._stores.purge is not None:
                return self._stores.purge(fact)
            case SpanFitAsked():
                return self._spans(steps).fit(fact)
            case SpanComparisonAsked():
                return self._spans(steps).compare(fact, partial(self._asked, steps))
        raise TrainingError("error", f"nothing here knows how to {fact.asks!r}")

    def _past(self) -> Past:
        return Past(artifacts=self._stores.artifacts, record=self._record)

    def _spans(self, steps: Steps) -> SpanEffects:
        stores, jobs = self._stores, self._jobs

        def train(inputs: TrainingInputs, params: Mapping[str, Any]) -> JobStatus:
            how = replace(jobs.training, search=None, adopt=None, params=params)
            return self._job(training_job(how, inputs, jobs.orders, jobs.limits), steps)

        return SpanEffects(
            lake=stores.lake,
            snapshots=stores.snapshots,
            artifacts=stores.artifacts,
            find=self._record.find,
            train=train,
            params_of=lambda candidate: self._past().params_of(candidate, jobs.training),
            read_evidence=jobs.read_evidence,
            compare_entry=jobs.compare,
            label_delay=self._label_delay,
        )

    def _retired(self, steps: Steps) -> RetiredEffect:
        stores, jobs = self._stores, self._jobs
        return RetiredEffect(
            lake=stores.lake,
            artifacts=stores.artifacts,
            folder=jobs.orders,
            entry=jobs.score,
            read_evidence=jobs.read_evidence,
            job=partial(self._asked, steps),
        )

    def _asked(self, steps: Steps, fact: Fact, entry: str, order: str, reads: Sequence[str]) -> JobStatus:
        jobs = self._jobs
        return self._job(asked_job(jobs.training, fact.id, entry, order, reads, jobs.orders, jobs.limits), steps)

    def _snapshot(self, fact: TrainingPlanned, steps: Steps) -> SnapshotTaken:
        end = fact.span.end - self._label_delay if fact.champion else fact.span.end
        span = Interval(start=fact.span.start, end=max(end, fact.span.start))
        whole = replace(span, start=BEGINNING) if fact.rehearsal else span
        tables = dict(self._stores.lake.versions())
        rows = usable_rows(self._stores.lake.labelled(whole, versions=tables), fact)
        read = _Read(rows=rows, tables=tuple(sorted(tables.items())))
        reach("snapshot.begin")
        if fact.corrected and rows.height:
            read = self._corrected(fact, read, steps)
        learned = self._past().learned(fact.champion, self._stores.snapshots) if fact.holdout_sources else None
        taken = snapshot_rows(read.rows, fact, learned)
        digest = self._stores.snapshots.put(taken.rows)
        reach("snapshot.stored")
        at = taken.rows.get_column("_at")
        return SnapshotTaken(
            model=fact.model,
            at=fact.at,
            cause=fact.id,
            version=fact.version,
            champion=fact.champion,
            digest=digest,
            tables=read.tables,
            span=Interval(start=at[taken.rehearsed], end=max(span.end, at[-1])),
            rows=taken.rows.height,
            holdout_rows=taken.holdout,
            seed=fact.seed,
            repaired=read.repaired,
            dropped=read.dropped,
            sources=taken.sources,
            rehearsed=taken.rehearsed,
            compute_s=read.compute_s,
        )

    def _corrected(self, fact: TrainingPlanned, read: _Read, steps: Steps) -> _Read:
        """Have rows that break a rule mended or left out, by the user's code in a process of its own."""
        run = CorrectionRun(
            project=self._jobs.project,
            rows=self._stores.snapshots.get(self._stores.snapshots.put(read.rows)),
            code=fact.code,
            tables=read.tables,
        )
        reads = (*self._jobs.reads, str(run.rows))
        status = self._asked(steps, fact, self._jobs.correct, run.to_json(), reads)
        reach("correct.collected")
        # A job that was begun before a crash read the tables as they were then: it says at which versions.
        done = read_correction(results_of(status))
        rows = pl.read_parquet(results_of(status) / CORRECTED)
        return _Read(
            rows=rows, tables=done.tables, repaired=done.repaired, dropped=done.dropped, compute_s=status.cpu_s
        )

    def _train(self, steps: Steps) -> TrainEffect:
        stores, jobs = self._stores, self._jobs

        def run(how: Training, inputs: TrainingInputs) -> JobStatus:
            return self._job(training_job(how, inputs, jobs.orders, jobs.limits), steps)

        return TrainEffect(
            artifacts=stores.artifacts,
            snapshots=stores.snapshots,
            past=self._past(),
            training=jobs.training,
            spans=self._spans(steps),
            run=run,
            used=lambda id: stores.compute.poll(id).cpu_s,
            blends=jobs.blends,
            revision=jobs.revision,
        )

    def _measure(self, fact: CandidateTrained, steps: Steps) -> CandidateMeasured:
        orders = TrialOrders(
            lake=self._stores.lake,
            snapshots=self._stores.snapshots,
            past=self._past(),
            columns=self._jobs.training.columns,
            needs=self._jobs.needs,
        )
        order = orders.order(fact, self._jobs.project)
        reads = (*self._jobs.reads, *read_by(order))
        status = self._asked(steps, fact, self._jobs.measure, json.dumps(order), reads)
        reach("measure.collected")
        evidence = self._jobs.read_evidence((results_of(status) / "evidence.json").read_bytes())
        return CandidateMeasured(
            model=fact.model,
            at=fact.at,
            cause=fact.id,
            version=fact.version,
            champion=fact.champion,
            digest=fact.digest,
            evidence=evidence,
            compute_s=status.cpu_s,
        )

    def _job(self, job: Job, steps: Steps) -> JobStatus:
        """Submit a job, wait for it durably, and return its status once it is done.

        How often it is waited for depends on the clock: that a job was submitted is a step only where no wait came
        before it, so that one step follows the other in the same order each time. To submit it again does nothing.
        """
        if is_later(job.id):
            self._submitted(job)
        else:
            steps.run("submit", lambda: self._submitted(job))
        wait, waited = _POLL_S, 0.0
        while True:
            status = self._stores.compute.poll(job.id)
            if status.state is JobState.DONE:
                return status
            if status.state is JobState.FAILED:
                raise TrainingError(status.reason, status.detail)
            if status.state is JobState.UNKNOWN:
                self._stores.compute.submit(job)  # its records are gone: nothing of it is left, so it runs anew
            steps.sleep(wait)
            waited += wait
            wait = _POLL_S if waited < _POLL_SOON_S else min(_POLL_MOST_S, wait * 1.1)

    def _submitted(self, job: Job) -> str:
        reach("job.begin")
        self._stores.compute.submit(job)
        reach("job.submitted")
        return json.dumps({"job": job.id})

    def _shift(self, fact: TrafficShifted, steps: Steps) -> TrafficApplied:
        traffic = self._stores.traffic
        reach("shift.begin")
        traffic.publish(fact)
        reach("shift.published")
        published = traffic.published(fact.model)
        if published is not None and published.epoch > fact.epoch:
            raise TrainingError("superseded", f"epoch {published.epoch} is in force, {fact.epoch} came too late")
        waited = 0.0
        while True:
            workers, epoch = traffic.applied(fact.model)
            if workers == 0 or epoch >= fact.epoch:
                return TrafficApplied(model=fact.model, at=fact.at, cause=fact.id, epoch=fact.epoch, workers=workers)
            refused = [each for each in traffic.workers(fact.model) if each.refused == fact.epoch]
            if refused:
                raise TrainingError("refused", f"worker {refused[0].worker}: {refused[0].problem}")
            if waited > _SHIFT_PATIENCE_S:
                raise TrainingError("timeout", f"after {waited:.0f} s a worker still answers by epoch {epoch}")
            steps.sleep(_POLL_S)
            waited += _POLL_S
