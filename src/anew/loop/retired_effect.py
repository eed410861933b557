"""The live effect that scores retired champions: a child process answers labelled rows of many windows with each.

Windows that wait are scored together, the oldest first, by one process. Where there is no retired champion and the
present one answered every row, its answers are on record, and no process is started to ask for them again.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from anew.domain.errors import TrainingError
from anew.domain.evidence import Evidence
from anew.domain.fact import Fact
from anew.domain.facts import CandidateTrained, RetiredScored, RetiredScoringAsked, SnapshotTaken
from anew.domain.manifest import Manifest
from anew.loop.failure import failure
from anew.loop.measure import as_values, losses
from anew.loop.retired import evidence_file, retired_losses
from anew.loop.span_effects import RunJob
from anew.ports.artifact import ArtifactStore
from anew.ports.lake import Lake

__all__ = ["RetiredEffect", "revived_candidate"]

_ROWS = 200_000
"""Rows after which a process is given no further window; they are in memory at once."""
_WINDOWS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class RetiredEffect:
    """Scores retired champions on the rows that the lake has of windows, whoever answered them then.

    Attributes
    ----------
    folder
        Where the order and its rows lie while the job runs; the rows are the lake's, and kept nowhere else.
    job
        Runs the entry with the order; see `anew.loop.span_effects.RunJob`.
    """

    lake: Lake
    artifacts: ArtifactStore
    folder: Path
    entry: str
    read_evidence: Callable[[bytes], tuple[Evidence, ...]]
    job: RunJob

    def run(self, asked: Sequence[RetiredScoringAsked]) -> tuple[Fact, ...]:
        """End the first of `asked`, and of those after it as many as one process scores with it.

        A window whose labels were withdrawn meanwhile gives no evidence. What one process was to score fails together.
        """
        begun = self._begun(asked[0])
        if not begun:
            known = self._on_record(asked)
            if known:
                return known
            begun = self._write(asked)
        order, places = begun
        scored = {each["id"] for each in json.loads(order)["windows"]}
        rows = self._rows(asked[0])
        try:
            status = self.job(asked[0], self.entry, order, (str(rows), *places))
        except TrainingError as exc:
            rows.unlink(missing_ok=True)
            return tuple(failure(each, exc.reason, exc.detail) for each in asked if each.id in scored)
        rows.unlink(missing_ok=True)
        if status.folder is None:
            raise TrainingError("error", "the job says that it is done and names no folder")
        return self._collected(asked, status.folder)

    def _collected(self, asked: Sequence[RetiredScoringAsked], folder: Path) -> tuple[Fact, ...]:
        """Return what the job left: it may have been begun before a crash, when other windows waited."""
        files = {each.id: folder / evidence_file(each.id) for each in asked}
        if not files[asked[0].id].is_file():
            raise TrainingError("error", "the job says that it is done and left no evidence")
        return tuple(
            _scored(each, self.read_evidence(files[each.id].read_bytes())) for each in asked if files[each.id].is_file()
        )

    def _on_record(self, asked: Sequence[RetiredScoringAsked]) -> tuple[Fact, ...]:
        """Return what the first windows lost, up to one that a process has to be asked about."""
        found: list[Fact] = []
        for fact in asked[:_WINDOWS]:
            rows = self.lake.labelled(fact.window)
            evidence = self._answered(fact, rows)
            if rows.height and not evidence:
                break
            found.append(_scored(fact, evidence))
        return tuple(found)

    def _answered(self, fact: RetiredScoringAsked, rows: pl.DataFrame) -> tuple[Evidence, ...]:
        """Return what the champion lost by the answers that it gave; nothing where another one answered or is asked."""
        if len(fact.versions) > 1 or not rows.height:
            return ()
        name, digest = fact.versions[0]
        theirs = self.lake.predictions(fact.window).filter(pl.col("_version") == name).select("_id", "_output")
        answered = rows.join(theirs, on="_id", how="inner", maintain_order="left")
        if answered.height < rows.height:
            return ()
        manifest = Manifest.from_json((self.artifacts.get(digest) / "manifest.json").read_text("utf-8"))
        task = manifest.columns.task
        label, output = (as_values(answered.get_column(column), task) for column in ("_label", "_output"))
        return retired_losses({name: losses(task, label, output, manifest.loss_scale or 1.0)}, [name])

    def _write(self, asked: Sequence[RetiredScoringAsked]) -> tuple[str, Sequence[str]]:
        """Write the rows of as many windows as go into one process; return its order, and where its models lie."""
        parts: list[pl.DataFrame] = []
        windows: list[dict[str, object]] = []
        models: dict[str, tuple[str, str]] = {}
        for fact in asked[:_WINDOWS]:
            rows = self.lake.labelled(fact.window)
            if parts and sum(each.height for each in parts) + rows.height > _ROWS:
                break
            parts.append(rows)
            windows.append({"id": fact.id, "rows": rows.height, "versions": [name for name, _ in fact.versions]})
            models |= {name: (digest, str(self.artifacts.get(digest))) for name, digest in fact.versions}
        file = self._rows(asked[0])
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(".rows")
        pl.concat(parts).write_parquet(draft)
        draft.rename(file)
        order = json.dumps({"rows": str(file), "models": models, "windows": windows})
        return order, [place for _, place in models.values()]

    def _begun(self, fact: RetiredScoringAsked) -> tuple[str, Sequence[str]] | None:
        """Return the order of a job that may be running: it is not told anything else after a crash."""
        order, rows = self.folder / f"{fact.id}.json", self._rows(fact)
        if not (order.is_file() and rows.is_file()):
            return None
        text = order.read_text("utf-8")
        return text, [place for _, place in json.loads(text)["models"].values()]

    def _rows(self, fact: RetiredScoringAsked) -> Path:
        return self.folder / f"{fact.id}.parquet"


def _scored(fact: RetiredScoringAsked, evidence: tuple[Evidence, ...]) -> RetiredScored:
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
