"""One training run on files: what a training job does in processes of its own.

The job has two steps. The first, `fit_run`, searches and fits; it is given the rows to train on and nothing else. The
second, `finish_run`, has the model answer, also to the rows that were held out, and packs the artifact.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import polars as pl

from anew.domain.column import Columns
from anew.domain.errors import SettingsError, TrainingError
from anew.domain.manifest import columns_from_json, columns_to_json
from anew.loop.adopted import Adopted, adopted_draft
from anew.loop.blending import blended_draft
from anew.loop.fold import fold_scores
from anew.loop.progress import Progress, ProgressFile
from anew.loop.search import Found, SearchPlan, search
from anew.loop.training import SEARCH, Draft, Kit, Recipe, draft, finish, training_rows
from anew.ports.pipeline import Pipeline
from anew.ports.search import Scores, Study

__all__ = [
    "ARTIFACT",
    "JOURNAL",
    "LoadPipeline",
    "Searching",
    "TrainingOutcome",
    "TrainingRun",
    "finish_run",
    "fit_run",
    "planned_pipeline",
    "read_outcome",
    "run_scores",
    "run_training",
    "search_params",
]

ARTIFACT = "artifact"
JOURNAL = "search.journal"
OUTCOME = "outcome.json"
_DRAFT = "draft"
_SCHEMA = 2

LoadPipeline = Callable[[Path, bytes | None], Pipeline]
"""Loads the code at a path; or what it said, where that is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRun:
    """All that a run needs, as a file of JSON.

    Attributes
    ----------
    rows
        Parquet file of the snapshot in time order: ``_at``, ``_label``, the declared features, ``_weight`` or not.
    part
        Parquet file with the rows of the snapshot that are not held out: all that a fit may see.
    pipeline, code
        The pipeline file, and the SHA-256 that it had when the run was planned (empty: whatever it is).
    source
        Copy of the pipeline as it was planned: the file may be edited meanwhile. Empty where there is none.
    previous, previous_digest
        Folder of the champion's verified artifact to start warm from, and its digest; or empty.
    sample_rows, traits, export
        Rows of the snapshot that are stored with the version, and whether the traits of its columns, where it errs,
        and an export of its model, are.
    search
        How parameters are searched; None fits with `params`.
    searched
        The record of the search that `params` came from, when it is not to be repeated; or empty.
    adopt
        The model that is taken instead of a fit; or None.
    blend
        The verified artifacts whose models are made one instead of a fit: digest, folder and weight of each; or none.
    """

    columns: Columns
    rows: Path
    part: Path
    pipeline: Path
    seed: int
    holdout_rows: int = 0
    params: Mapping[str, Any] = field(default_factory=dict)
    code: str = ""
    source: str = ""
    snapshot: str = ""
    previous: str = ""
    previous_digest: str = ""
    sample_rows: int = 0
    traits: bool = False
    losses: bool = False
    export: bool = False
    search: SearchPlan | None = None
    searched: str = ""
    adopt: Adopted | None = None
    blend: tuple[tuple[str, str, float], ...] = ()

    def recipe(self) -> Recipe:
        """Return what the run needs to know besides its rows and code."""
        return Recipe(
            columns=self.columns,
            seed=self.seed,
            params=self.params,
            holdout_rows=self.holdout_rows,
            snapshot=self.snapshot,
            previous=self.previous_digest,
            sample_rows=self.sample_rows,
            traits=self.traits,
            losses=self.losses,
            export=self.export,
            blend=tuple((digest, weight) for digest, _, weight in self.blend),
        )

    def to_json(self) -> str:
        """Write as JSON."""
        plain = {each.name: getattr(self, each.name) for each in fields(self)} | {
            "schema": _SCHEMA,
            "columns": columns_to_json(self.columns),
            "rows": str(self.rows),
            "part": str(self.part),
            "pipeline": str(self.pipeline),
            "search": None if self.search is None else asdict(self.search),
            "adopt": None if self.adopt is None else asdict(self.adopt),
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
                "part": Path(plain["part"]),
                "search": None if plain["search"] is None else _plan(plain["search"]),
                "pipeline": Path(plain["pipeline"]),
                "adopt": Adopted(**plain["adopt"]) if plain.get("adopt") else None,
                "blend": tuple((digest, folder, weight) for digest, folder, weight in plain.get("blend", ())),
            }
            return cls(**plain)
        except (AttributeError, KeyError, TypeError, ValueError) as exc:
            if isinstance(exc, SettingsError):
                raise
            raise SettingsError(f"the training run cannot be read: {exc!r}") from exc


def _plan(plain: Mapping[str, Any]) -> SearchPlan:
    return SearchPlan(**{**plain, "warm": tuple(plain["warm"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOutcome:
    """What a run made: the digest of its artifact folder, rows trained on, CPU seconds, and what it measured."""

    digest: str
    rows: int
    compute_s: float
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Searching:
    """What a search works with.

    `study` opens the trials, given the plan, the seed and the file to keep them in; `scores`, given all that a fit
    needs, returns what fits and scores attempts.
    """

    study: Callable[[SearchPlan, int, Path], Study]
    scores: Callable[[TrainingRun, pl.DataFrame, Pipeline, object | None], Scores]


def run_training(
    run: TrainingRun, folder: Path, kit: Kit, load: LoadPipeline, searching: Searching | None = None
) -> TrainingOutcome:
    """Do both steps, one after the other; see `fit_run` and `finish_run`."""
    fit_run(run, folder, kit, load, searching)
    return finish_run(run, folder, kit, load)


def fit_run(run: TrainingRun, folder: Path, kit: Kit, load: LoadPipeline, searching: Searching | None = None) -> None:
    """Search, where the run says so, and fit, or make one model of two; leaves a draft in `folder`.

    Raises
    ------
    TrainingError
        See `fit`; also when the pipeline is no longer the planned one.
    OSError
        A file cannot be read or written.
    """
    pipeline = planned_pipeline(run, load)
    if run.blend:
        _leave(_blended(run, kit), folder / _DRAFT)
        return
    previous = None
    if run.previous:
        previous = kit.loader.load(Path(run.previous), version="previous", digest=run.previous_digest).model
    rows = pl.read_parquet(run.part)
    told = ProgressFile(folder, rows.height)
    if run.adopt is not None:
        _leave(adopted_draft(run.adopt, rows, run.recipe(), pipeline, kit), folder / _DRAFT)
        return
    recipe, record = run.recipe(), b""
    if run.searched:
        record = Path(run.searched).read_bytes()
    elif run.search is not None:
        if searching is None:
            raise TrainingError("error", "the run asks for a search, and nothing here can do one")
        told(Progress(step="search", of=run.search.trials))
        study = searching.study(run.search, run.seed, folder / JOURNAL)
        found = search_params(run.search, study, searching.scores(run, rows, pipeline, previous), pipeline, told)
        recipe, record = replace(recipe, params={**run.params, **found.params}), found.record
    told(Progress(step="fit"))
    made = replace(draft(rows, recipe, pipeline, kit, previous=previous), search=record)
    _leave(made, folder / _DRAFT)


def _blended(run: TrainingRun, kit: Kit) -> Draft:
    (first, place, weight), (second, other, _) = run.blend
    alone = kit.loader.load(Path(place), version="alone", digest=first)
    beside = kit.loader.load(Path(other), version="beside", digest=second)
    record = Path(run.searched).read_bytes() if run.searched else b""
    return blended_draft(alone, beside, weight, kit, search=record)


def search_params(
    plan: SearchPlan, study: Study, scores: Scores, pipeline: Pipeline, told: Callable[[Progress], None]
) -> Found:
    """Search by the pipeline's own space.

    Raises
    ------
    TrainingError
        The pipeline has none, or nothing was found.
    """
    if pipeline.search_space is None:
        raise TrainingError(
            "error", "anew.yaml asks for a search, and pipeline.py defines no `search_space(trial)` to search in"
        )
    return search(plan, study, pipeline.search_space, scores, told)


def run_scores(run: TrainingRun, rows: pl.DataFrame, pipeline: Pipeline, kit: Kit, previous: object | None) -> Scores:
    """Return what scores the attempts of a run's search in this process."""
    assert run.search is not None, "a run without a search scores nothing"  # noqa: S101  an invariant of ours
    return fold_scores(rows, run.recipe(), run.search, pipeline, kit, previous)


def finish_run(run: TrainingRun, folder: Path, kit: Kit, load: LoadPipeline) -> TrainingOutcome:
    """Prove the draft in `folder`, and write ``artifact/`` and ``outcome.json`` there. Raises as `fit_run`."""
    pipeline = planned_pipeline(run, load)
    made, seconds = _found_draft(folder / _DRAFT)
    rows = pl.read_parquet(run.rows)
    ProgressFile(folder, training_rows(rows, run.holdout_rows).height)(Progress(step="finish"))
    fitted = finish(made, rows, run.recipe(), pipeline, kit)
    candidate = fitted.candidate
    artifact = folder / ARTIFACT
    artifact.mkdir(exist_ok=True)
    for name, data in candidate.files.items():
        (artifact / name).write_bytes(data)
    outcome = TrainingOutcome(
        digest=candidate.digest,
        rows=candidate.manifest.rows,
        compute_s=seconds + time.process_time(),
        metrics={**candidate.manifest.metrics, **fitted.timings},
    )
    (folder / OUTCOME).write_text(json.dumps(_values(outcome) | {"metrics": dict(outcome.metrics)}), encoding="utf-8")
    return outcome


def _values(of: Any) -> dict[str, Any]:
    return {each.name: getattr(of, each.name) for each in fields(of)}


def planned_pipeline(run: TrainingRun, load: LoadPipeline) -> Pipeline:
    """Return the code that the run was planned with; raises TrainingError when there is none of it left."""
    pipeline = load(run.pipeline, Path(run.source).read_bytes() if run.source else None)
    if run.code and pipeline.digest != run.code:
        raise TrainingError(
            "error",
            f"{run.pipeline} has changed since this run was planned; for one that takes the change: anew retrain",
        )
    return pipeline


def _leave(made: Draft, folder: Path) -> None:
    """Write a draft, whole or not at all."""
    aside = folder.with_suffix(".part")
    aside.mkdir(exist_ok=True)
    (aside / "model").write_bytes(made.model)
    (aside / SEARCH).write_bytes(made.search)
    plain = {"format": made.format, "inputs": made.inputs, "classes": made.classes, "params": dict(made.params)}
    told = plain | {"compute_s": time.process_time()}
    (aside / "draft.json").write_text(json.dumps(told, allow_nan=False), encoding="utf-8")
    if not folder.exists():
        aside.rename(folder)


def _found_draft(folder: Path) -> tuple[Draft, float]:
    plain = json.loads((folder / "draft.json").read_text("utf-8"))
    made = Draft(
        format=plain["format"],
        model=(folder / "model").read_bytes(),
        inputs=tuple(plain["inputs"]),
        classes=tuple(plain["classes"]),
        params=plain["params"],
        search=(folder / SEARCH).read_bytes(),
    )
    return made, float(plain["compute_s"])


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
