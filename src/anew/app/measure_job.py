"""The measuring job with its adapters: what compute runs as ``anew.app.measure_job:run``."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import polars as pl

from anew.adapters.model_loader import ModelLoader
from anew.app.accepted import accepted
from anew.app.gates import chosen_gates
from anew.domain.evidence import Evidence
from anew.loop.measure import measure_gates
from anew.loop.trial import Trial
from anew.ports.predictor import Predictor

__all__ = ["ENTRY", "read_evidence", "run"]

ENTRY = "anew.app.measure_job:run"


def run(arguments: Mapping[str, str], folder: Path) -> None:
    """Measure a candidate on the held-out rows of its snapshot, as the JSON file ``run`` says."""
    order = json.loads(Path(arguments["run"]).read_text("utf-8"))
    settings = accepted(Path(order["project"]))
    rows = pl.read_parquet(order["snapshot"])
    trial = Trial(
        candidate=_loaded(order["candidate"]),
        champion=_loaded(order["champion"]) if order["champion"][1] else None,
        training=rows.head(order["trained_rows"]),
    )
    held = trial.held_out(rows.slice(order["trained_rows"]))
    (folder / "evidence.json").write_bytes(msgspec.json.encode(measure_gates(chosen_gates(settings).gates, held)))


def _loaded(version: Sequence[str]) -> Predictor:
    name, digest, place = version
    return ModelLoader().load(Path(place), version=name, digest=digest)


def read_evidence(data: bytes) -> tuple[Evidence, ...]:
    """Read what the job left in ``evidence.json``."""
    return msgspec.json.decode(data, type=tuple[Evidence, ...])
