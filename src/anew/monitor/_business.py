"""Business metrics: aggregates in SQL over labelled rows, with their uncertainty."""

import math

import polars as pl

from anew.domain.errors import InvariantError
from anew.stats.interval import mean_interval
from anew.stats.metric import Score

__all__ = ["check_definition", "measure_business"]

_GROUPS = 40
"""Groups of rows that an aggregate is measured on apart, for its interval."""


def check_definition(name: str, definition: str) -> None:
    """Raise InvariantError for what is no expression in SQL."""
    try:
        pl.sql_expr(definition)
    except pl.exceptions.PolarsError as exc:
        raise InvariantError(f"{name}: {definition!r} is no aggregate in SQL: {exc}") from exc


def measure_business(name: str, definition: str, rows: pl.DataFrame, confidence: float = 0.95) -> Score:
    """Measure the aggregate on all rows; its interval comes from that of groups of rows (batch means, Student's t).

    Parameters
    ----------
    rows
        Features, ``_output`` and ``_label``, which are read as ``prediction`` and ``label`` where no feature bears that
        name; as numbers where every one is a number.

    Raises
    ------
    InvariantError
        It cannot be read on these rows, or is no single finite number.
    """
    named = {"prediction": "_output", "label": "_label"}
    frame = rows.with_columns(
        _number(rows.get_column(column)).alias(name) for name, column in named.items() if name not in rows.columns
    )
    try:
        found = frame.select(pl.sql_expr(definition).alias("value")).get_column("value")
        value = float(found.item())
        groups = frame.with_columns(_group=pl.int_range(pl.len()) % _GROUPS)
        apart = (
            groups.group_by("_group").agg(pl.sql_expr(definition).alias("value")).get_column("value").cast(pl.Float64)
        )
    except (pl.exceptions.PolarsError, TypeError, ValueError) as exc:
        raise InvariantError(f"{name} ({definition}) cannot be measured on these rows: {exc}") from exc
    if not math.isfinite(value):
        raise InvariantError(f"{name} ({definition}) is {value} on these rows")
    whole = apart.drop_nulls().drop_nans()
    if whole.len() < 2:
        return Score(value=value, n=rows.height, low=None, high=None)
    low, high = mean_interval(whole.len(), value, float(whole.var(ddof=1) or 0.0), confidence)  # type: ignore[arg-type]  # a number
    return Score(value=value, n=rows.height, low=low, high=high)


def _number(series: pl.Series) -> pl.Series:
    number = series.cast(pl.Float64, strict=False)
    return number if number.null_count() == series.null_count() else series
