"""The correcting job with its adapters: what compute runs as ``anew.app.correct_job:run``."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from anew.adapters.pipeline_module import load_pipeline
from anew.app.accepted import accepted, kept_code
from anew.app.watch import watched_by
from anew.domain.errors import TrainingError
from anew.loop.correction import corrected_rows
from anew.loop.correction_run import CorrectionRun, leave_correction
from anew.loop.training_order import find_code

__all__ = ["ENTRY", "run"]

ENTRY = "anew.app.correct_job:run"


def run(arguments: Mapping[str, str], folder: Path) -> None:
    """Mend or leave out the rows that break a rule, as the JSON file ``run`` says; results go to `folder`."""
    order = CorrectionRun.from_json(Path(arguments["run"]).read_text("utf-8"))
    settings = accepted(order.project)
    pipeline = load_pipeline(settings.pipeline, find_code(order.code, (kept_code(settings),)))
    if order.code and pipeline.digest != order.code:
        raise TrainingError(
            "error",
            f"{settings.pipeline} has changed since this run was planned; for one that takes the change: anew retrain",
        )
    rows = pl.read_parquet(order.rows)
    rules = watched_by(settings).rules
    leave_correction(order, corrected_rows(rows, rules, settings.columns, pipeline.correct), folder)
