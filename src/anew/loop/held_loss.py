"""Measure where a version errs: its losses on rows that it was not trained on, by the parts of each column."""

from collections.abc import Callable

import numpy as np
import polars as pl

from anew.domain.column import Columns
from anew.loop.columns import profile_columns
from anew.loop.measure import as_values
from anew.ports.predictor import Predictions
from anew.ports.rows import declared_rows
from anew.stats.loss_profile import profile_losses
from anew.stats.outcome import losses
from anew.stats.profile import Reference

__all__ = ["LOSSES", "MOST_ROWS", "held_losses", "loss_scale"]

LOSSES = "losses.bin"
"""The file of a version that has them."""
MOST_ROWS = 2_000
"""Newest held-out rows that are asked about."""


def held_losses(
    held: pl.DataFrame,
    columns: Columns,
    answer: Callable[[pl.DataFrame], Predictions],
    reference: Reference,
    scale: float,
) -> bytes:
    """Have a model answer the newest of the rows held out, and count its losses on the bins of its training rows.

    Parameters
    ----------
    held
        In time order: ``_label`` and the declared features.
    scale
        Absolute error that counts as 1, for regression.
    """
    newest = held.tail(MOST_ROWS)
    label, output = (as_values(each, columns.task) for each in (newest.get_column("_label"), answer(newest).output))
    features = profile_columns(declared_rows(newest, columns), columns)
    return profile_losses(reference, features, losses(columns.task, label, output, scale)).to_bytes()


def loss_scale(y: pl.Series, columns: Columns) -> float:
    """Return quantile 0.995 − quantile 0.005 of regression labels (their whole range if that is 0); else 0."""
    if columns.task.classifies:
        return 0.0
    values = y.to_numpy()
    low, high = np.quantile(values, [0.005, 0.995])
    return float(high - low) or float(values.max() - values.min())
