"""One training run on files: what a training job in a process of its own does."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import polars as pl

from anew.domain.column import Columns
from anew.domain.errors import SettingsError, TrainingError
from anew.domain.manifest import columns_from_json, columns_to_json
from anew.loop.training import Kit, Recipe, fit
from anew.ports.pipeline import Pipeline

__all__ = ["ARTIFACT", "TrainingOutcome", "TrainingRun", "read_outcome", "run_training"]

ARTIFACT = "artifact"
OUTCOME = "outcome.json"
_SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRun:
    """All that a run needs, as a file of JSON.

    Attributes
    ----------
    rows
        Parquet file of the snapshot in time order: ``_at``, ``_label``, the declared features, ``_weight`` or not.
    pipeline, code
        The pipeline file, and the SHA-256 that it had when the run was planned (empty: whatever it is).
    previous, previous_digest
        Folder of the champion's verified artifact to start warm from, and its digest; or empty.
    sample_rows, traits
        Rows of the snapshot that are stored with the version, and whether the traits of its columns are.
    """

    columns: Columns
    rows: Path
    pipeline: Path
    seed: int
    holdout_rows: int = 0
    params: Mapping[str, Any] = field(default_factory=dict)
    code: str = ""
    snapshot: str = ""
    previous: str = ""
    previous_digest: str = ""
    sample_rows: int = 0
    traits: bool = False

    def to_json(self) -> str:
        """Write as JSON."""
        plain = {each.name: getattr(self, each.name) for each in fields(self)} | {
            "schema": _SCHEMA,
            "columns": columns_to_json(self.columns),
            "rows": str(self.rows),
            "pipeline": str(self.pipeline),
        }
        return json.dumps(plain, sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "TrainingRun":
        """Read what `to_json` wrote.

        Raises
        ------
        SettingsError
            It is something else.
        """
        try:
            plain = json.loads(text)
            if plain.pop("schema") != _SCHEMA:
                raise SettingsError("the training run was written by another anew")
            plain |= {
                "columns": columns_from_json(plain["columns"]),
                "rows": Path(plain["rows"]),
                "pipeline": Path(plain["pipeline"]),
            }
            return cls(**plain)
        except (AttributeError, KeyError, TypeError, ValueError) as exc:
            if isinstance(exc, SettingsError):
                raise
            raise SettingsError(f"the training run cannot be read: {exc!r}") from exc


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOutcome:
    """What a run made: the digest of its artifact folder, rows trained on, CPU seconds, and what it measured."""

    digest: str
    rows: int
    compute_s: float
    metrics: Mapping[str, float]


def run_training(run: TrainingRun, folder: Path, kit: Kit, load: Callable[[Path], Pipeline]) -> TrainingOutcome:
    """Train and write ``artifact/`` and ``outcome.json`` into `folder`.

    Raises
    ------
    TrainingError
        See `fit`; also when the pipeline is no longer the planned one.
    OSError
        A file cannot be read or written.
    """
    started = time.process_time()
    pipeline = load(run.pipeline)
    if run.code and pipeline.digest != run.code:
        raise TrainingError(
            "error", f"{run.pipeline} has changed since this run was planned; the change asks for a run of its own"
        )
    recipe = Recipe(
        columns=run.columns,
        seed=run.seed,
        params=run.params,
        holdout_rows=run.holdout_rows,
        snapshot=run.snapshot,
        previous=run.previous_digest,
        sample_rows=run.sample_rows,
        traits=run.traits,
    )
    previous = None
    if run.previous:
        previous = kit.loader.load(Path(run.previous), version="previous", digest=run.previous_digest).model
    candidate = fit(pl.read_parquet(run.rows), recipe, pipeline, kit, previous=previous).candidate
    artifact = folder / ARTIFACT
    artifact.mkdir()
    for name, data in candidate.files.items():
        (artifact / name).write_bytes(data)
    outcome = TrainingOutcome(
        digest=candidate.digest,
        rows=candidate.manifest.rows,
        compute_s=time.process_time() - started,
        metrics=candidate.manifest.metrics,
    )
    plain = {each.name: getattr(outcome, each.name) for each in fields(outcome)}
    (folder / OUTCOME).write_text(json.dumps(plain | {"metrics": dict(outcome.metrics)}), encoding="utf-8")
    return outcome


def read_outcome(folder: Path) -> TrainingOutcome:
    """Return the outcome that a finished run left in its folder.

    Raises
    ------
    TrainingError
        There is none, or it cannot be read.
    """
    try:
        return TrainingOutcome(**json.loads((folder / OUTCOME).read_text("utf-8")))
    except (OSError, TypeError, ValueError) as exc:
        raise TrainingError("error", f"the run left no outcome in {folder}: {exc}") from exc
