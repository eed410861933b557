"""The live effect that scores retired champions: a child process answers a window's labelled rows with each of them."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from anew.domain.errors import TrainingError
from anew.domain.evidence import Evidence
from anew.domain.fact import Fact
from anew.domain.facts import CandidateTrained, RetiredScored, RetiredScoringAsked, SnapshotTaken
from anew.ports.artifact import ArtifactStore
from anew.ports.compute import JobStatus
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
        Runs the entry with the order on behalf of a fact, to its end; raises TrainingError when it fails.
    """

    lake: Lake
    artifacts: ArtifactStore
    folder: Path
    entry: str
    read_evidence: Callable[[bytes], tuple[Evidence, ...]]
    job: Callable[[Fact, str, str], JobStatus]

    def run(self, fact: RetiredScoringAsked) -> RetiredScored:
        """Have each version answer; a window whose labels were withdrawn meanwhile gives no evidence."""
        rows = self.lake.labelled(fact.window)
        evidence: tuple[Evidence, ...] = ()
        if rows.height:
            file = self.folder / f"{fact.id}.parquet"
            self.folder.mkdir(parents=True, exist_ok=True)
            rows.write_parquet(file)
            versions = [[name, digest, str(self.artifacts.get(digest))] for name, digest in fact.versions]
            try:
                status = self.job(fact, self.entry, json.dumps({"rows": str(file), "versions": versions}))
            finally:
                file.unlink(missing_ok=True)
            if status.folder is None:
                raise TrainingError("error", "the job says that it is done and names no folder")
            evidence = self.read_evidence((status.folder / "evidence.json").read_bytes())
        return RetiredScored(
            model=fact.model, at=fact.at, cause=fact.id, version=fact.version, window=fact.window, evidence=evidence
        )


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
