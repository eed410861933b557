"""Business metrics: aggregates in SQL, or a function of the project's own, over answered rows, with uncertainty."""

import math
from collections.abc import Callable, Collection

import numpy as np
import polars as pl

from anew.domain.errors import InvariantError
from anew.stats.interval import mean_interval
from anew.stats.metric import Score

__all__ = [
    "Aggregate",
    "business_value",
    "check_aggregate",
    "check_definition",
    "in_sql",
    "measure_business",
    "names_in",
]

Aggregate = Callable[[pl.DataFrame], object]
"""Makes one number of rows."""

_GROUPS = 40
"""Groups of rows that are left out one after the other, for the interval."""
_NAMES = {"prediction": "_output", "label": "_label", "at": "_at"}


def check_definition(name: str, definition: str) -> None:
    """Raise InvariantError for what is no expression in SQL."""
    try:
        pl.sql_expr(definition)
    except pl.exceptions.PolarsError as exc:
        raise InvariantError(f"{name}: {definition!r} is no aggregate in SQL: {exc}") from exc


def check_aggregate(name: str, definition: str, rows: pl.DataFrame) -> None:
    """Raise InvariantError for SQL that is no number of `rows`; only their kinds matter, see `measure_business`."""
    try:
        value = _named(rows).select(pl.sql_expr(definition).alias("value")).get_column("value")
    except pl.exceptions.PolarsError as exc:
        why = str(exc).partition("\n")[0]
        raise InvariantError(f"{name}: {definition!r} cannot be read on the project's rows: {why}") from exc
    if value.len() != 1:
        raise InvariantError(
            f"{name}: {definition!r} is one value for each row; make one number of them, as avg() does"
        )
    if not (value.dtype.is_numeric() or value.dtype in (pl.Boolean, pl.Null)):
        raise InvariantError(f"{name}: {definition!r} is {value.dtype}; it has to be a number")


def names_in(definition: str) -> Collection[str]:
    """Return the columns that an expression in SQL reads."""
    return frozenset(pl.sql_expr(definition).meta.root_names())


def in_sql(definition: str) -> Aggregate:
    """Return what makes the number that an expression in SQL is of its rows."""

    def aggregate(rows: pl.DataFrame) -> object:
        return rows.select(pl.sql_expr(definition).alias("value")).get_column("value").item()

    return aggregate


def measure_business(name: str, aggregate: Aggregate, rows: pl.DataFrame, confidence: float = 0.95) -> Score:
    """Measure the aggregate on all rows; its interval is that of the jackknife over groups of rows, with Student's t.

    Parameters
    ----------
    rows
        Features, ``_output``, ``_label``, ``_at`` and outcomes; the first three are read as ``prediction``, ``label``
        and ``at`` where no feature bears that name, answers and labels as numbers where every one is a number.

    Raises
    ------
    InvariantError
        It cannot be read on these rows, or is no single finite number.

    References
    ----------
    Tukey (1958), "Bias and confidence in not-quite large samples"; grouped as in Efron and Stein (1981), Annals of
    Statistics 9. Good for what is smooth in the rows: means, ratios, totals; not for medians or extremes.
    """
    frame = _named(rows)
    value = _value(name, aggregate, frame)
    groups = min(_GROUPS, frame.height)
    if groups < 2:
        return Score(value=value, n=rows.height, low=None, high=None)
    group = pl.int_range(pl.len()) % groups
    without = np.array([_value(name, aggregate, frame.filter(group != i)) for i in range(groups)])
    variance = (groups - 1) * float(np.square(without - without.mean()).sum())
    low, high = mean_interval(groups, value, variance, confidence)
    return Score(value=value, n=rows.height, low=low, high=high)


def business_value(name: str, aggregate: Aggregate, rows: pl.DataFrame) -> float:
    """Return the aggregate of all rows alone; otherwise as `measure_business`."""
    return _value(name, aggregate, _named(rows))


def _named(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows as a business reads them."""
    named = [
        _number(rows.get_column(column)).alias(name)
        for name, column in _NAMES.items()
        if name not in rows.columns and column in rows.columns
    ]
    return rows.with_columns(named).select(pl.exclude("^_.*$"))


def _value(name: str, aggregate: Aggregate, rows: pl.DataFrame) -> float:
    try:
        value = float(aggregate(rows))  # type: ignore[arg-type]  # whatever it is
    except (Exception, SystemExit) as exc:
        raise InvariantError(f"{name} cannot be measured on these rows: {type(exc).__name__}: {exc}") from exc
    if not math.isfinite(value):
        raise InvariantError(f"{name} is {value} on these rows")
    return value


def _number(series: pl.Series) -> pl.Series:
    number = series.cast(pl.Float64, strict=False) if series.dtype != pl.Datetime else series
    return number if number.null_count() == series.null_count() else series
