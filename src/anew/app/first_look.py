"""How well a quick model does on the beginning of a stream: the honest number that a first objective rests on."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from anew.adapters.model_format import DataFormats
from anew.adapters.model_loader import ModelLoader
from anew.adapters.pipeline_module import load_pipeline
from anew.adapters.table_file import labelled_rows
from anew.domain.column import Columns
from anew.domain.errors import SchemaError, SettingsError, TrainingError
from anew.loop.training import Kit, Recipe, fit

__all__ = ["AT_LEAST_ROWS", "FirstLook", "look_ahead", "look_at_newest"]

AT_LEAST_ROWS = 200
_SHARES = (0.04, 0.1, 0.25, 0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstLook:
    """A model trained on the first `train_rows` had `loss` on the `test_rows` after them.

    `metric` is ``error`` (a share) or ``mae`` (units of the target); `scale` is the spread of the training labels.
    """

    metric: str
    loss: float
    train_rows: int
    test_rows: int
    scale: float


def look_ahead(frame: pl.DataFrame, columns: Columns, pipeline: str) -> FirstLook:
    """Train the pipeline with the source text `pipeline` on the first 4 % of the rows and test it on the next 4 %.

    Fewer rows to test on would give an objective by chance: 1 % of a stream with few positives says next to nothing.
    Takes more when those are too few or all have one label.

    Raises
    ------
    SettingsError
        There are too few rows, or no model can be trained on the first half of them.
    """
    try:
        rows = labelled_rows(frame, columns, "the file")
    except SchemaError as exc:
        raise SettingsError(str(exc)) from exc
    if rows.height < AT_LEAST_ROWS:
        raise SettingsError(f"{rows.height} labelled rows are too few to begin with; {AT_LEAST_ROWS} are needed")
    problem = ""
    for share in _SHARES:
        part = max(int(share * rows.height), 50)
        try:
            return _look(rows.head(2 * part), part, columns, pipeline)
        except TrainingError as exc:
            problem = exc.detail
    raise SettingsError(f"no model can be trained on the first half of the rows: {problem}")


def look_at_newest(
    frame: pl.DataFrame, columns: Columns, pipeline: str, held: Callable[[int], int]
) -> FirstLook | None:
    """Train on all rows but the newest and test on those, `held` of the count of all, as a first champion is judged.

    Returns None where no model can be trained on them.
    """
    rows = labelled_rows(frame, columns, "the file")
    try:
        return _look(rows, held(rows.height), columns, pipeline)
    except TrainingError:
        return None


def _look(rows: pl.DataFrame, test: int, columns: Columns, source: str) -> FirstLook:
    kit = Kit(formats=DataFormats(), loader=ModelLoader())
    with tempfile.TemporaryDirectory(prefix="anew-init-") as folder:
        path = Path(folder) / "pipeline.py"
        path.write_text(source, encoding="utf-8")
        pipeline = load_pipeline(path)
        candidate = fit(rows, Recipe(columns=columns, seed=0, holdout_rows=test), pipeline, kit).candidate
        predictor = kit.loader.assemble(candidate, pipeline=pipeline, version="first")
        output = predictor.predict(rows.tail(test)).output
    label = rows.get_column("_label").tail(test)
    if columns.task.classifies:
        metric, loss = "error", int((output != label).sum()) / test
    else:
        metric, loss = "mae", float(np.abs(output.to_numpy() - label.to_numpy()).mean())
    return FirstLook(
        metric=metric,
        loss=loss,
        train_rows=rows.height - test,
        test_rows=test,
        scale=candidate.manifest.loss_scale,
    )
