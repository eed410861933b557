"""The job that scores retired champions: what compute runs as ``anew.app.score_job:run``."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import polars as pl

from anew.adapters.model_loader import ModelLoader
from anew.domain.evidence import Evidence
from anew.loop.measure import as_values, losses
from anew.loop.retired import evidence_file, retired_losses
from anew.ports.predictor import Predictor

__all__ = ["ENTRY", "run"]

ENTRY = "anew.app.score_job:run"


def run(arguments: Mapping[str, str], folder: Path) -> None:
    """Score versions on the rows of windows, as the JSON file ``run`` says; evidence of each goes to `folder`.

    Losses are on the scale of a window's first version, which was the champion then.
    """
    order = json.loads(Path(arguments["run"]).read_text("utf-8"))
    rows = pl.read_parquet(order["rows"])
    loader = ModelLoader()
    models = {
        name: loader.load(Path(place), version=name, digest=digest) for name, (digest, place) in order["models"].items()
    }
    begin = 0
    for window in order["windows"]:
        part = rows.slice(begin, window["rows"])
        begin += part.height
        evidence = _lost([models[name] for name in window["versions"]], part) if part.height else ()
        (folder / evidence_file(window["id"])).write_bytes(msgspec.json.encode(evidence))


def _lost(versions: Sequence[Predictor], rows: pl.DataFrame) -> tuple[Evidence, ...]:
    champion = versions[0]
    task, scale = champion.columns.task, champion.manifest.loss_scale or 1.0
    label = as_values(rows.get_column("_label"), task)
    lost = {each.version: losses(task, label, as_values(each.predict(rows).output, task), scale) for each in versions}
    return retired_losses(lost, list(lost))
