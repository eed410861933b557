"""The measuring job with its adapters: what compute runs as ``anew.app.measure_job:run``."""

import json
from collections.abc import Mapping
from pathlib import Path

import msgspec
import polars as pl

from anew.adapters.model_loader import ModelLoader
from anew.app.accepted import accepted
from anew.app.gates import chosen_gates
from anew.domain.evidence import Evidence
from anew.loop.measure import as_values, losses, measure_gates
from anew.validate import HeldOut

__all__ = ["ENTRY", "read_evidence", "run"]

ENTRY = "anew.app.measure_job:run"


def run(arguments: Mapping[str, str], folder: Path) -> None:
    """Measure a candidate on the held-out rows of its snapshot, as the JSON file ``run`` says."""
    order = json.loads(Path(arguments["run"]).read_text("utf-8"))
    settings = accepted(Path(order["project"]))
    held = pl.read_parquet(order["snapshot"]).slice(order["trained_rows"])
    version, digest, place = order["candidate"]
    candidate = ModelLoader().load(Path(place), version=version, digest=digest)
    task = candidate.columns.task
    scale = candidate.manifest.loss_scale or 1.0
    label = as_values(held.get_column("_label"), task)
    said = candidate.predict(held)
    ours = as_values(said.output, task)
    version, digest, place = order["champion"]
    theirs, their_chance = None, None
    if digest:
        champion = ModelLoader().load(Path(place), version=version, digest=digest)
        answered = champion.predict(held)
        theirs, their_chance = as_values(answered.output, task), answered.proba
    rows = HeldOut(
        task=task,
        label=label,
        challenger=ours,
        challenger_loss=losses(task, label, ours, scale),
        champion=theirs,
        champion_loss=None if theirs is None else losses(task, label, theirs, scale),
        positive=str(candidate.columns.classes[-1]) if candidate.columns.classes else "",
        classes=tuple(map(str, candidate.columns.classes)),
        challenger_chance=said.proba,
        champion_chance=their_chance,
    )
    (folder / "evidence.json").write_bytes(msgspec.json.encode(measure_gates(chosen_gates(settings).gates, rows)))


def read_evidence(data: bytes) -> tuple[Evidence, ...]:
    """Read what the job left in ``evidence.json``."""
    return msgspec.json.decode(data, type=tuple[Evidence, ...])
