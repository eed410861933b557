"""The job that scores retired champions: what compute runs as ``anew.app.score_job:run``."""

import json
from collections.abc import Mapping
from pathlib import Path

import msgspec
import polars as pl

from anew.adapters.model_loader import ModelLoader
from anew.loop.measure import as_values, losses
from anew.loop.retired import retired_losses

__all__ = ["ENTRY", "run"]

ENTRY = "anew.app.score_job:run"


def run(arguments: Mapping[str, str], folder: Path) -> None:
    """Score versions on the same rows, as the JSON file ``run`` says; evidence goes to `folder`.

    Losses are on the first version's scale, which is the champion's.
    """
    order = json.loads(Path(arguments["run"]).read_text("utf-8"))
    rows = pl.read_parquet(order["rows"])
    loader = ModelLoader()
    found = {name: loader.load(Path(place), version=name, digest=digest) for name, digest, place in order["versions"]}
    champion = next(iter(found.values()))
    task, scale = champion.columns.task, champion.manifest.loss_scale or 1.0
    label = as_values(rows.get_column("_label"), task)
    lost = {
        name: losses(task, label, as_values(each.predict(rows).output, task), scale) for name, each in found.items()
    }
    (folder / "evidence.json").write_bytes(msgspec.json.encode(retired_losses(lost, list(lost))))
