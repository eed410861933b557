"""What a training job is told: its run as a file, the rows it may see, and what it may read."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from anew.domain.column import Columns
from anew.domain.errors import DiskFullError
from anew.loop.adopted import Adopted
from anew.loop.search import SearchPlan, suggested_before
from anew.loop.training_run import TrainingRun
from anew.ports.compute import Job, Limits, Request, Step

__all__ = [
    "RESTARTS",
    "Training",
    "TrainingInputs",
    "asked_job",
    "confined_job",
    "find_code",
    "training_job",
    "write_order",
]

RESTARTS = 2
"""How often a training is taken up again after the machine went down; its search goes on where it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How a project's versions are trained.

    Attributes
    ----------
    fit, finish
        ``package.module:function`` entries; they leave ``artifact/`` and ``outcome.json`` in the job's folder.
    pipeline, columns, params
        The user's code, the row contract and what `train` is given.
    kept
        Copy of the code in force, for when its file is being edited; or None.
    search
        How parameters are searched; None: they are as given.
    sample_rows, traits, losses, export
        Rows of a snapshot that are stored with its version, whether the traits of its columns are, for the detectors
        that need them, and where it errs, for people, and whether its model is exported.
    reads
        Files and folders of the project that the user's code may read while it trains.
    trial
        Module that scores trials apart from the search; or empty.
    request
        What a cluster sets aside for a run, and for each trial that runs apart.
    confined
        ``auto``: as far as the kernel can. ``required``: or not at all. ``none``: the user's code may do what we may.
    adopt
        The model that is the first candidate, where there is no champion yet; or None.
    """

    fit: str
    finish: str
    pipeline: Path
    columns: Columns
    kept: Path | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    search: SearchPlan | None = None
    sample_rows: int = 0
    traits: bool = False
    losses: bool = False
    export: bool = False
    reads: tuple[str, ...] = ()
    trial: str = ""
    request: Request = Request()
    confined: str = "auto"
    adopt: Adopted | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingInputs:
    """What a run starts from.

    Attributes
    ----------
    id
        Of the fact that asks for it: the job's own.
    rows, snapshot
        The snapshot's file and digest.
    kept, held
        Its rows that are trained on, and the newest ones that are held out.
    seed, code
        As planned; `code` is the digest of the pipeline.
    previous
        The champion's digest and the folder of its verified artifact, or two empty texts.
    tried
        The records of earlier searches, the newest first.
    searched
        File with the record of the search that the parameters came from, when none is to be made; or empty.
    blend
        Digest, folder and weight of the artifacts that are made one, where nothing is fitted; or none.
    """

    id: str
    rows: Path
    snapshot: str
    kept: int
    held: int
    seed: int
    code: str
    previous: tuple[str, str] = ("", "")
    tried: Sequence[bytes] = ()
    searched: str = ""
    blend: tuple[tuple[str, str, float], ...] = ()


def training_job(how: Training, inputs: TrainingInputs, orders: Path, limits: Limits) -> Job:
    """Write the order of a training into the folder `orders`, and return its job.

    The fit is given the rows that are not held out, in a file of their own: it can read no others.

    Raises
    ------
    DiskFullError
        There is no room for those rows.
    """
    part = orders / f"{inputs.id}.parquet"
    if not inputs.blend:
        _write_part(inputs.rows, inputs.kept, part)
    previous, folder = inputs.previous
    run = TrainingRun(
        columns=how.columns,
        rows=inputs.rows,
        part=part,
        pipeline=how.pipeline,
        seed=inputs.seed,
        holdout_rows=inputs.held,
        params=how.params,
        code=inputs.code,
        source=_keep_code(how, inputs, orders),
        snapshot=inputs.snapshot,
        previous=folder,
        previous_digest=previous,
        sample_rows=how.sample_rows,
        traits=how.traits,
        losses=how.losses,
        export=how.export,
        searched=inputs.searched,
        adopt=None if previous or inputs.blend else how.adopt,
        blend=inputs.blend,
        search=None if how.search is None else replace(how.search, warm=_warm(inputs.tried)),
    )
    order = write_order(orders, inputs.id, run.to_json())
    return confined_job(inputs.id, order, run, how, limits)


def confined_job(id: str, order: Path, run: TrainingRun, how: Training, limits: Limits) -> Job:
    """Return the job of a run whose order lies in the file `order`."""
    shared = (str(order), run.source or str(run.pipeline), *how.reads)
    free = how.confined == "none"
    adopted = run.adopt.file if run.adopt else ""
    members = tuple(place for _, place, _ in run.blend)
    part = "" if members else str(run.part)
    seen = (*shared, *filter(None, (part, run.previous, run.searched, adopted, *members)))
    return Job(
        id=id,
        entry=how.fit,
        arguments={"run": str(order)},
        limits=limits,
        reads=None if free else seen,
        then=(Step(entry=how.finish, reads=None if free else (*shared, str(run.rows))),),
        restarts=RESTARTS,
        confined=how.confined,
        files=tuple(dict.fromkeys((*seen, str(run.rows)))),
        request=how.request,
        trial=how.trial if run.search is not None and run.search.parallel > 1 else "",
    )


def asked_job(how: Training, id: str, entry: str, text: str, reads: Sequence[str], orders: Path, limits: Limits) -> Job:
    """Return the job of one step that runs the user's code on what was trained: confined as a training is.

    It may read its order, which says `text`, `reads`, and what the project lets its code read.
    """
    order = write_order(orders, id, text)
    seen = tuple(filter(None, (str(order), *how.reads, *reads)))
    free = how.confined == "none"
    return Job(
        id=id,
        entry=entry,
        arguments={"run": str(order)},
        limits=limits,
        reads=None if free else seen,
        confined=how.confined,
    )


def write_order(orders: Path, id: str, text: str) -> Path:
    """Write what a job is to do into a file of its own, whole or not at all."""
    file = orders / f"{id}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".part")
    draft.write_text(text, encoding="utf-8")
    draft.rename(file)
    return file


def _keep_code(how: Training, inputs: TrainingInputs, orders: Path) -> str:
    """Write a copy of the code that was planned beside the order; return its path, empty where that code is gone.

    A run that reads the file itself would fail whenever that is saved in the wrong moment.
    """
    copy = orders / f"{inputs.id}.py"
    code = find_code(inputs.code, (copy if inputs.code else None, how.kept, how.pipeline))  # or it is taken up again
    if code is None:
        return ""
    copy.parent.mkdir(parents=True, exist_ok=True)
    draft = copy.with_suffix(".code")
    draft.write_bytes(code)
    draft.rename(copy)
    return str(copy)


def find_code(digest: str, files: Iterable[Path | None]) -> bytes | None:
    """Return the bytes of the first of `files` that has this digest (empty: that is there); None when none has."""
    for file in filter(None, files):
        with suppress(OSError):  # being replaced, or gone
            code = file.read_bytes()
            if not digest or hashlib.sha256(code).hexdigest() == digest:
                return code
    return None


def _write_part(rows: Path, count: int, part: Path) -> None:
    part.parent.mkdir(parents=True, exist_ok=True)
    draft = part.with_suffix(".rows")
    try:
        pl.scan_parquet(rows).head(count).sink_parquet(draft, compression="lz4")
    except (OSError, pl.exceptions.ComputeError) as exc:
        draft.unlink(missing_ok=True)
        if "No space left" in str(exc):
            raise DiskFullError(f"the disk of {part.parent} is full; the rows to train on cannot be written") from exc
        raise
    draft.rename(part)


def _warm(tried: Sequence[bytes]) -> tuple[Mapping[str, Any], ...]:
    """Return what was best in earlier searches, each once."""
    found: list[Mapping[str, Any]] = []
    for record in tried:
        best = suggested_before(record)
        if best and best not in found:
            found.append(best)
    return tuple(found)
