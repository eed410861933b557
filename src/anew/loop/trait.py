"""Measure what a version knows of its columns: how much its model relies on each, and which follow the calendar."""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from anew.domain.column import ColumnKind, Columns
from anew.domain.errors import TrainingError
from anew.loop.measure import as_values
from anew.monitor import Traits
from anew.ports.predictor import Predictions
from anew.ports.rows import declared_rows
from anew.stats.calendar_column import calendar_columns
from anew.stats.inertia import level_inertia, number_inertia
from anew.stats.vector import VectorView

__all__ = ["measure_traits"]

MOST_ROWS, LEAST_ROWS, ANSWERS = 256, 32, 20_000
"""Rows to shuffle: so many, or as many as keep the answers for all columns below this number."""
_NO_VECTORS: Mapping[str, VectorView] = MappingProxyType({})
AT_ONCE = 1_000_000
"""Values that the model is handed at once."""
INERTIA_ROWS = 10_000
CALENDAR_ROWS = 5_000
"""Rows, chosen by chance, that calendar-like columns are recognised on."""


Answer = Callable[[pl.DataFrame], Predictions]
"""A model's answers to rows; raises TrainingError where the user's code fails."""


def measure_traits(
    rows: pl.DataFrame,
    held: int,
    columns: Columns,
    answer: Answer,
    seed: int,
    vectors: Mapping[str, VectorView] = _NO_VECTORS,
) -> Traits:
    """Measure the traits of a model's columns.

    Reliance is permutation importance of the answers, not of their errors: one column at a time is shuffled among the
    newest rows, those kept from training where there are enough, and by how much the model's answers move is compared
    between columns. A model that cannot answer such rows leaves its reliance unknown.

    Parameters
    ----------
    rows
        The snapshot in time order: ``_at`` and the declared features.
    held
        Newest rows that the model was not trained on.
    seed
        For the choice of rows and the shuffling.
    vectors
        How each column of vectors is looked at.
    """
    chance = np.random.default_rng(seed)
    names = columns.names
    some = max(LEAST_ROWS, min(MOST_ROWS, ANSWERS // len(names)))
    newest = rows.tail(max(held, some))
    chosen = declared_rows(newest.gather_every(max(1, newest.height // some)).head(some), columns)
    try:
        moved = _moved(chosen, columns, answer, chance)
    except TrainingError:  # such rows never were, and the user's code need not bear them
        moved = {}
    whole = sum(moved.values())
    if not math.isfinite(whole):
        moved = {}
    return Traits(
        reliance={name: each / whole if whole else 0.0 for name, each in moved.items()},
        calendar=_calendar(rows, columns, chance),
        rows=chosen.height,
        inertia=_inertia(rows, columns, vectors),
    )


def _moved(rows: pl.DataFrame, columns: Columns, answer: Answer, chance: np.random.Generator) -> dict[str, float]:
    """Return by how much the answers move, on average, when each column is shuffled by itself."""
    said, moved = answer(rows), dict[str, float]()
    # As many columns at a time as keep what is handed to the model small.
    step = max(1, AT_ONCE // max(rows.height * len(columns.names), 1))
    for start in range(0, len(columns.names), step):
        names = columns.names[start : start + step]
        answers = answer(pl.concat(_shuffled(rows, name, chance) for name in names))
        for i, name in enumerate(names):
            moved[name] = _distance(said, _part(answers, i * rows.height, rows.height), columns)
    return moved


def _part(answers: Predictions, start: int, n: int) -> Predictions:
    proba = None if answers.proba is None else answers.proba[start : start + n]
    return Predictions(output=answers.output.slice(start, n), proba=proba)


def _shuffled(rows: pl.DataFrame, name: str, chance: np.random.Generator) -> pl.DataFrame:
    return rows.with_columns(rows.get_column(name).gather(chance.permutation(rows.height)))


def _distance(first: Predictions, second: Predictions, columns: Columns) -> float:
    if first.proba is not None and second.proba is not None:
        return float(np.abs(first.proba - second.proba).sum(axis=1).mean() / 2)
    said = [as_values(each.output, columns.task) for each in (first, second)]
    if columns.task.classifies:
        return float((said[0] != said[1]).mean())
    with np.errstate(over="ignore"):
        return float(np.abs(said[0] - said[1]).mean())


def _inertia(rows: pl.DataFrame, columns: Columns, vectors: Mapping[str, VectorView]) -> dict[str, float]:
    """Measure it on the newest rows, in their order; of vectors part by part."""
    features = declared_rows(rows.tail(INERTIA_ROWS), columns)
    found: dict[str, float] = {}
    for column in columns.features:
        values = features.get_column(column.name)
        if column.kind is ColumnKind.VECTOR:
            parts = vectors[column.name].parts(column.name, values.to_arrow())
            for name, part in parts.items():
                found[name] = number_inertia(_numbers(pl.Series(part), ColumnKind.NUMBER))
        elif column.kind is ColumnKind.NUMBER:
            found[column.name] = number_inertia(_numbers(values, column.kind))
        else:
            found[column.name] = level_inertia(_numbers(values, column.kind))
    return found


def _calendar(rows: pl.DataFrame, columns: Columns, chance: np.random.Generator) -> dict[str, str]:
    if rows.height > CALENDAR_ROWS:
        rows = rows[np.sort(chance.choice(rows.height, CALENDAR_ROWS, replace=False))]
    features = declared_rows(rows, columns)
    values = {
        column.name: _numbers(features.get_column(column.name), column.kind)
        for column in columns.features
        if column.kind is not ColumnKind.VECTOR
    }
    at = rows.get_column("_at").dt.convert_time_zone("UTC").dt.replace_time_zone(None).to_numpy()
    return dict(calendar_columns(values, at))


def _numbers(series: pl.Series, kind: ColumnKind) -> npt.NDArray[Any]:
    """Return floats with NaN for missing, or codes of levels with -1 for missing."""
    if kind is ColumnKind.NUMBER:
        return np.asarray(series.fill_null(float("nan")).to_numpy(), dtype=np.float64)
    codes = series.rank("dense").cast(pl.Int64) - 1
    return np.asarray(codes.fill_null(-1).to_numpy(), dtype=np.int64)
