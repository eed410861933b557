"""A model that was made elsewhere as the first candidate: nothing is fitted, and the same proofs are asked of it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from anew.domain.errors import SchemaError, TrainingError
from anew.loop.training import Draft, Kit, Recipe, known_classes, user_code
from anew.ports.pipeline import Pipeline
from anew.ports.rows import declared_rows, model_inputs

__all__ = ["ADOPTED", "Adopted", "adopted_draft"]

ADOPTED = "adopted"
"""Among the parameters of a version whose model was adopted: the SHA-256 of the model's file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """A model's `file`, the name of its `format`, and the `sha256` that the file has to have."""

    file: str
    format: str
    sha256: str

    @classmethod
    def again(cls, params: Mapping[str, Any], file: Path, kept_as: str) -> "Adopted | None":
        """Return what is to be adopted when a version with these parameters is made again from its own `file`."""
        if ADOPTED not in params:
            return None
        return cls(file=str(file), format=kept_as, sha256=str(params[ADOPTED]))


def adopted_draft(adopted: Adopted, rows: pl.DataFrame, recipe: Recipe, pipeline: Pipeline, kit: Kit) -> Draft:
    """Make a draft of the adopted model, which is asked with what `features` makes of `rows`.

    Raises
    ------
    TrainingError
        The file is gone or another than was agreed to, is no model of its format, or knows other classes.
    """
    try:
        data = Path(adopted.file).read_bytes()
    except OSError as exc:
        raise TrainingError("error", f"the model to adopt, {adopted.file}, cannot be read: {exc.strerror}") from exc
    found = hashlib.sha256(data).hexdigest()
    if found != adopted.sha256:
        raise TrainingError(
            "error", f"{adopted.file} has the SHA-256 {found}, and train.adopt.sha256 says {adopted.sha256}"
        )
    kept_as = kit.formats.named(adopted.format)
    model = kept_as.decode(data)
    try:
        declared = declared_rows(rows.head(1), recipe.columns)
    except SchemaError as exc:
        raise TrainingError("error", f"the rows do not have the declared columns: {exc}") from exc
    return Draft(
        format=kept_as.name,
        model=data,
        inputs=tuple(user_code("features()", lambda: model_inputs(pipeline, declared)).columns),
        classes=known_classes(kept_as.classes(model), recipe.columns),
        params={ADOPTED: found},
    )
