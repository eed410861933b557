"""The job that compares two spans' models: what compute runs as ``anew.app.compare_job:run``."""

import json
from collections.abc import Mapping
from pathlib import Path

import msgspec
import polars as pl

from anew.adapters.model_loader import ModelLoader
from anew.loop.measure import as_values
from anew.loop.span_comparison import compared_spans

__all__ = ["ENTRY", "run"]

ENTRY = "anew.app.compare_job:run"


def run(arguments: Mapping[str, str], folder: Path) -> None:
    """Score two models on the same rows, as the JSON file ``run`` says; evidence goes to `folder`."""
    order = json.loads(Path(arguments["run"]).read_text("utf-8"))
    rows = pl.read_parquet(order["rows"])
    (first, place), (second, other) = order["models"]
    candidate = ModelLoader().load(Path(place), version="candidate", digest=first)
    beside = ModelLoader().load(Path(other), version="beside", digest=second)
    task = candidate.columns.task
    ours, theirs = (as_values(each.predict(rows).output, task) for each in (candidate, beside))
    evidence = compared_spans(
        rows,
        candidate.columns,
        (ours, theirs),
        scale=candidate.manifest.loss_scale or 1.0,
        window_s=order["window_s"],
    )
    (folder / "evidence.json").write_bytes(msgspec.json.encode(evidence))
