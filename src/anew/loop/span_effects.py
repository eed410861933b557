"""The live effects of choosing a span: fit a second length beside a candidate, compare the two on what came since."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import polars as pl

from anew.domain.errors import IntegrityError, TrainingError
from anew.domain.evidence import Evidence
from anew.domain.fact import Fact
from anew.domain.facts import SpanComparisonAsked, SpanFitAsked, SpanFitted, SpansCompared, TrainingPlanned
from anew.domain.interval import Interval
from anew.loop.snapshot_rows import snapshot_rows, usable_rows
from anew.loop.span_comparison import rows_beside
from anew.loop.training_order import TrainingInputs
from anew.loop.training_run import ARTIFACT, read_outcome
from anew.ports.artifact import ArtifactStore
from anew.ports.compute import JobStatus
from anew.ports.lake import Lake
from anew.ports.snapshot import SnapshotStore

__all__ = ["RunJob", "SpanEffects"]

RunJob = Callable[[Fact, str, str, Sequence[str]], JobStatus]
"""Runs the entry with the order, and what it may read, on behalf of a fact, to its end; raises TrainingError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanEffects:
    """Both effects; what they need is given by the live effects that they are part of.

    Attributes
    ----------
    find
        Looks a fact up in the record.
    train
        Runs the training of these inputs, by the parameters of the candidate with this name, to its end.
    compare_entry
        Entry of the job that compares.
    label_delay
        Age at which a label counts.
    """

    lake: Lake
    snapshots: SnapshotStore
    artifacts: ArtifactStore
    find: Callable[[str], Fact | None]
    train: Callable[[TrainingInputs, str], JobStatus]
    read_evidence: Callable[[bytes], tuple[Evidence, ...]]
    compare_entry: str
    label_delay: timedelta

    def fit(self, fact: SpanFitAsked) -> SpanFitted:
        """Fit the second length on rows that end where the candidate's training rows end."""
        plan = self.find(fact.plan)
        if not isinstance(plan, TrainingPlanned):
            raise TrainingError("error", f"the plan {fact.plan!r} of {fact.version} is not on record")
        candidate = pl.read_parquet(self.snapshots.get(fact.snapshot), columns=["_at"])
        span = rows_beside(candidate, fact.trained_rows, fact.length_s)
        rows = usable_rows(self.lake.labelled(span), plan)
        taken = snapshot_rows(rows, replace(plan, span=span, rehearsal=0.0))
        digest = self.snapshots.put(taken.rows)
        inputs = TrainingInputs(
            id=fact.id,
            rows=self.snapshots.get(digest),
            snapshot=digest,
            kept=taken.rows.height,
            held=0,
            seed=plan.seed,
            code=plan.code,
        )
        status = self.train(inputs, fact.version)
        folder = _folder(status)
        made = read_outcome(folder)
        if self.artifacts.put(folder / ARTIFACT) != made.digest:
            raise IntegrityError(f"the run made the artifact {made.digest}, what it left is another")
        return SpanFitted(
            model=fact.model,
            at=fact.at,
            cause=fact.id,
            version=fact.version,
            digest=made.digest,
            rows=taken.rows.height,
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
            evidence = self.read_evidence((_folder(status) / "evidence.json").read_bytes())
            compute_s = status.cpu_s
        return SpansCompared(
            model=fact.model,
            at=fact.at,
            cause=fact.id,
            version=fact.version,
            evidence=evidence,
            compute_s=compute_s,
        )


def _folder(status: JobStatus) -> Path:
    if status.folder is None:
        raise TrainingError("error", "the job says that it is done and names no folder")
    return status.folder
