"""`anew init --model`: a project around a model that exists, which becomes the first champion."""

import hashlib
import tempfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import polars as pl

from anew.adapters.model_file import ModelFile, read_model_file
from anew.adapters.model_format import DataFormats
from anew.adapters.model_loader import ModelLoader
from anew.adapters.pipeline_module import load_pipeline
from anew.adapters.schema_inference import Roles
from anew.adapters.table_file import labelled_rows, read_table
from anew.app.first_look import AT_LEAST_ROWS, FirstLook
from anew.app.project_template import Created, Given, create_from_frame, model_name
from anew.domain.column import Columns
from anew.domain.errors import AnewError, SchemaError, SettingsError
from anew.loop.adopted import Adopted, adopted_draft
from anew.loop.held_loss import loss_scale
from anew.loop.training import Kit, Recipe, assemble, label_series, user_code

__all__ = ["create_around"]

_HISTORY = "history.parquet"


def create_around(
    parent: Path, model_file: Path, source: Path, roles: Roles, *, name: str = "", unpickle: bool = False
) -> Created:
    """Write a project for the stream in `source` whose first champion is the model in `model_file`.

    The model is kept in the project as data, and answers all rows once: how well is the first objective.

    Raises
    ------
    SettingsError
        The rows are too few, or the model does not answer what `features` makes of them.
    PolicyError
        The model is a pickle, and `unpickle` does not allow that.
    ConflictError
        The folder has a project already.
    """
    found = read_model_file(model_file, unpickle=unpickle)
    try:
        frame = read_table(source)
    except SchemaError as exc:
        raise SettingsError(str(exc)) from exc
    history = BytesIO()
    frame.write_parquet(history)
    given = Given(
        history=_HISTORY,
        sections=(_section(found),),
        files={found.file: found.data, _HISTORY: history.getvalue()},
        look=_Look(found).measured,
    )
    model = model_name(name, source.stem)
    return create_from_frame(parent / model, model, _as_the_model_has_it(frame, found), roles, given)


def _as_the_model_has_it(frame: pl.DataFrame, found: ModelFile) -> pl.DataFrame:
    """Put the model's inputs in its own order, where it names columns of the file; the others come after them."""
    if not found.inputs or not set(found.inputs) <= set(frame.columns):
        return frame
    return frame.select(*found.inputs, *(each for each in frame.columns if each not in found.inputs))


def _section(found: ModelFile) -> str:
    return (
        "train:\n  adopt:  # the first champion, instead of a fit; retrains fit as pipeline.py says\n"
        f'    model: {found.file}\n    format: {found.format}\n    sha256: "{hashlib.sha256(found.data).hexdigest()}"'
    )


@dataclass(frozen=True, slots=True)
class _Look:
    """Measures the adopted model on all the rows that the file has."""

    found: ModelFile

    def measured(self, frame: pl.DataFrame, columns: Columns, pipeline: str) -> FirstLook:
        try:
            rows = labelled_rows(frame, columns, "the file")
        except SchemaError as exc:
            raise SettingsError(str(exc)) from exc
        if rows.height < AT_LEAST_ROWS:
            raise SettingsError(f"{rows.height} labelled rows are too few to begin with; {AT_LEAST_ROWS} are needed")
        try:
            output = self._answers(rows, columns, pipeline)
        except AnewError as exc:
            said = str(exc).partition("\n")[0].rstrip(".")
            takes = f" It takes {', '.join(self.found.inputs)}." if self.found.inputs else ""
            raise SettingsError(
                f"the model does not answer the rows of the file: {said}.{takes} The columns that are neither --time, "
                "--target, --key nor --sensitive are its inputs, in their order; leave the others out of the file"
            ) from exc
        label = rows.get_column("_label")
        if columns.task.classifies:
            metric, loss = "error", int((output.cast(pl.String) != label.cast(pl.String)).sum()) / rows.height
        else:
            metric, loss = "mae", float(np.abs(output.to_numpy() - label.to_numpy()).mean())
        scale = loss_scale(label_series(label, columns), columns)
        return FirstLook(metric=metric, loss=loss, train_rows=0, test_rows=rows.height, scale=scale)

    def _answers(self, rows: pl.DataFrame, columns: Columns, source: str) -> pl.Series:
        kit = Kit(formats=DataFormats(), loader=ModelLoader())
        with tempfile.TemporaryDirectory(prefix="anew-adopt-") as folder:
            path, model = Path(folder) / "pipeline.py", Path(folder) / self.found.file
            path.write_text(source, encoding="utf-8")
            model.write_bytes(self.found.data)
            pipeline = load_pipeline(path)
            digest = hashlib.sha256(self.found.data).hexdigest()
            adopted = Adopted(file=str(model), format=self.found.format, sha256=digest)
            recipe = Recipe(columns=columns, seed=0)
            made = adopted_draft(adopted, rows, recipe, pipeline, kit)
            _, predictor = assemble(made, recipe, rows.height, pipeline, kit)
            return user_code("the model", lambda: predictor.predict(rows)).output
