"""The live effects of choosing a span: fit a second length beside a model, compare the two on what came since."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import polars as pl

from anew.domain.errors import TrainingError
from anew.domain.evidence import Evidence
from anew.domain.fact import Fact
from anew.domain.facts import SpanComparisonAsked, SpanFitAsked, SpanFitted, SpansCompared, TrainingPlanned
from anew.domain.interval import Interval
from anew.loop.job_result import results_of, stored_artifact
from anew.loop.snapshot_rows import snapshot_rows, usable_rows
from anew.loop.span_comparison import rows_beside
from anew.loop.training_order import TrainingInputs
from anew.ports.artifact import ArtifactStore
from anew.ports.compute import JobStatus
from anew.ports.lake import Lake
from anew.ports.snapshot import SnapshotStore
from anew.train.span import BEGINNING

__all__ = ["Beside", "RunJob", "SpanEffects"]

RunJob = Callable[[Fact, str, str, Sequence[str]], JobStatus]
"""Runs the entry with the order, and what it may read, on behalf of a fact, to its end; raises TrainingError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """A model fitted beside another: its artifact, the CPU seconds it took, and its snapshot with rows and sources."""

    digest: str
    snapshot: str
    rows: int
    sources: tuple[tuple[str, int, int], ...]
    compute_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanEffects:
    """Both effects; what they need is given by the live effects that they are part of.

    Attributes
    ----------
    find
        Looks a fact up in the record.
    train
        Runs the training of these inputs, by these parameters, to its end.
    params_of
        Returns the parameters that the candidate with this name was trained with.
    compare_entry
        Entry of the job that compares.
    label_delay
        Age at which a label counts.
    """

    lake: Lake
    snapshots: SnapshotStore
    artifacts: ArtifactStore
    find: Callable[[str], Fact | None]
    train: Callable[[TrainingInputs, Mapping[str, Any]], JobStatus]
    params_of: Callable[[str], Mapping[str, Any]]
    read_evidence: Callable[[bytes], tuple[Evidence, ...]]
    compare_entry: str
    label_delay: timedelta

    def fit(self, fact: SpanFitAsked) -> SpanFitted:
        """Fit the second length, to be compared with the candidate."""
        plan = self.find(fact.plan)
        if not isinstance(plan, TrainingPlanned):
            raise TrainingError("error", f"the plan {fact.plan!r} of {fact.version} is not on record")
        made = self.fitted(fact, plan, self.params_of(fact.version))
        return SpanFitted(
            model=fact.model,
            at=fact.at,
            cause=fact.id,
            version=fact.version,
            digest=made.digest,
            rows=made.rows,
            compute_s=made.compute_s,
        )

    def fitted(
        self,
        asked: SpanFitAsked,
        plan: TrainingPlanned,
        params: Mapping[str, Any],
        tables: Mapping[str, int] | None = None,
    ) -> Beside:
        """Fit the second length on rows that end where those of the candidate end.

        The job bears the id of `asked`. Rows are read at the versions `tables`; without them as they are now.
        """
        candidate = pl.read_parquet(self.snapshots.get(asked.snapshot), columns=["_at"])
        span = rows_beside(candidate, asked.trained_rows, asked.length_s)
        whole = replace(span, start=BEGINNING) if plan.rehearsal else span
        rows = usable_rows(self.lake.labelled(whole, versions=tables), plan)
        taken = snapshot_rows(rows, replace(plan, span=span, holdout_sources=()))  # what it has is all trained on
        digest = self.snapshots.put(taken.rows)
        inputs = TrainingInputs(
            id=asked.id,
            rows=self.snapshots.get(digest),
            snapshot=digest,
            kept=taken.rows.height,
            held=0,
            seed=plan.seed,
            code=plan.code,
        )
        status = self.train(inputs, params)
        return Beside(
            digest=stored_artifact(self.artifacts, status),
            snapshot=digest,
            rows=taken.rows.height,
            sources=taken.sources,
            compute_s=status.cpu_s,
        )

    def compare(self, fact: SpanComparisonAsked, job: RunJob) -> SpansCompared:
        """Have both models answer the labelled rows that came since; no rows give no evidence."""
        end = max(fact.rows.start, fact.rows.end - self.label_delay)
        rows = self.lake.labelled(Interval(start=fact.rows.start, end=end))
        evidence: tuple[Evidence, ...] = ()
        compute_s = 0.0
        if rows.height:
            file = str(self.snapshots.get(self.snapshots.put(rows)))
            models = [[each, str(self.artifacts.get(each))] for each in (fact.candidate, fact.beside)]
            order = {"rows": file, "models": models, "window_s": fact.window_s}
            status = job(fact, self.compare_entry, json.dumps(order), (file, *(place for _, place in models)))
            evidence = self.read_evidence((results_of(status) / "evidence.json").read_bytes())
            compute_s = status.cpu_s
        return SpansCompared(
            model=fact.model,
            at=fact.at,
            cause=fact.id,
            version=fact.version,
            evidence=evidence,
            compute_s=compute_s,
        )
