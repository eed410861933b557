"""A model a second time, in a format that others read, and whether it says the same."""

import numpy as np
import polars as pl

from anew.domain.errors import TrainingError
from anew.ports.candidate import Candidate
from anew.ports.model_format import Exporter, ModelFormat
from anew.ports.rows import input_matrix

__all__ = ["TOLERANCE", "export"]

TOLERANCE = 1e-4
"""Difference between two answers, absolute and relative, that 32-bit arithmetic explains."""

_AGREEING = 0.99
"""Share of the rows whose answers have to be so close; a number that is rounded may cross a tree's threshold."""


def export(
    exporter: Exporter, candidate: Candidate, kept_as: ModelFormat, inputs: pl.DataFrame
) -> tuple[bytes, dict[str, float]]:
    """Export the candidate's model; returns the file, and what its answers to `inputs`, shape `(n, d)`, differ by.

    Raises
    ------
    TrainingError
        It cannot be exported, or answers otherwise than the model.
    """
    classify = candidate.manifest.columns.task.classifies
    matrix = input_matrix(inputs)
    data = exporter.export(candidate.model, candidate.manifest.format, matrix.shape[1])
    ours = kept_as.score(candidate.model, inputs, classify=classify)
    theirs = exporter.score(exporter.decode(data), matrix, classify=classify)
    a, b = (each.proba if classify else each.values for each in (ours, theirs))
    if a is None or b is None or a.shape != b.shape:
        raise TrainingError("error", "the export answers with numbers of another shape than the model")
    apart = np.abs(a - b).reshape(inputs.height, -1)
    close = (apart <= TOLERANCE * (1.0 + np.abs(a).reshape(inputs.height, -1))).all(axis=1)
    if not close.mean() >= _AGREEING:
        raise TrainingError(
            "error",
            f"the export answers {inputs.height - int(close.sum())} of {inputs.height} rows otherwise than the model, "
            f"at worst {apart.max():.3g} apart; leave `export` out",
        )
    return data, {"export_difference": float(apart.max())}
