"""The live effect that scores retired champions: a child process answers a window's labelled rows with each of them.

Where there is no retired champion and the present one answered every row, its answers are on record, and no process is
started to ask for them again.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from anew.domain.errors import TrainingError
from anew.domain.evidence import Evidence
from anew.domain.facts import CandidateTrained, RetiredScored, RetiredScoringAsked, SnapshotTaken
from anew.domain.manifest import Manifest
from anew.loop.measure import as_values, losses
from anew.loop.retired import retired_losses
from anew.loop.span_effects import RunJob
from anew.ports.artifact import ArtifactStore
from anew.ports.lake import Lake

__all__ = ["RetiredEffect", "revived_candidate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetiredEffect:
    """Scores retired champions on the rows that the lake has of a window, whoever answered them then.

    Attributes
    ----------
    folder
        Where the rows lie while the job runs; they are the lake's, and kept nowhere else.
    job
        Runs the entry with the order; see `anew.loop.span_effects.RunJob`.
    """

    lake: Lake
    artifacts: ArtifactStore
    folder: Path
    entry: str
    read_evidence: Callable[[bytes], tuple[Evidence, ...]]
    job: RunJob

    def run(self, fact: RetiredScoringAsked) -> RetiredScored:
        """Have each version answer; a window whose labels were withdrawn meanwhile gives no evidence."""
        rows = self.lake.labelled(fact.window)
        evidence: tuple[Evidence, ...] = ()
        if rows.height:
            evidence = self._on_record(fact, rows) or self._asked(fact, rows)
        return RetiredScored(
            model=fact.model, at=fact.at, cause=fact.id, version=fact.version, window=fact.window, evidence=evidence
        )

    def _on_record(self, fact: RetiredScoringAsked, rows: pl.DataFrame) -> tuple[Evidence, ...]:
        """Return what the champion lost by the answers that it gave; nothing where another one answered or is asked."""
        name, digest = fact.versions[0]
        theirs = self.lake.predictions(fact.window).filter(pl.col("_version") == name).select("_id", "_output")
        answered = rows.join(theirs, on="_id", how="inner", maintain_order="left")
        if len(fact.versions) > 1 or answered.height < rows.height:
            return ()
        manifest = Manifest.from_json((self.artifacts.get(digest) / "manifest.json").read_text("utf-8"))
        task = manifest.columns.task
        label, output = (as_values(answered.get_column(column), task) for column in ("_label", "_output"))
        return retired_losses({name: losses(task, label, output, manifest.loss_scale or 1.0)}, [name])

    def _asked(self, fact: RetiredScoringAsked, rows: pl.DataFrame) -> tuple[Evidence, ...]:
        """Return what each version loses, asked in a process of its own."""
        file = self.folder / f"{fact.id}.parquet"
        self.folder.mkdir(parents=True, exist_ok=True)
        rows.write_parquet(file)
        versions = [[name, digest, str(self.artifacts.get(digest))] for name, digest in fact.versions]
        try:
            order = json.dumps({"rows": str(file), "versions": versions})
            status = self.job(fact, self.entry, order, (str(file), *(place for _, _, place in versions)))
        finally:
            file.unlink(missing_ok=True)
        if status.folder is None:
            raise TrainingError("error", "the job says that it is done and names no folder")
        return self.read_evidence((status.folder / "evidence.json").read_bytes())


def revived_candidate(fact: SnapshotTaken, version: str, digest: str, artifacts: ArtifactStore) -> CandidateTrained:
    """Make a candidate of a retired version's model: nothing is fitted, and its artifact is verified anew.

    Raises
    ------
    TrainingError
        No model of the version is on record.
    """
    if not digest:
        raise TrainingError("error", f"{version} is to come back, and no model of it is on record")
    artifacts.get(digest)
    return CandidateTrained(
        model=fact.model,
        at=fact.at,
        cause=fact.id,
        version=fact.version,
        champion=fact.champion,
        digest=digest,
        snapshot=fact.digest,
        rows=fact.rows - fact.holdout_rows,
        compute_s=0.0,
    )
