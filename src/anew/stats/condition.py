"""Conditions in SQL that answered rows have to keep."""

import polars as pl

from anew.domain.errors import InvariantError

__all__ = ["as_answered", "broken", "check_condition", "names_in"]


def check_condition(keep: str) -> None:
    """Raise InvariantError for what is no condition in SQL."""
    try:
        pl.sql_expr(keep)
    except pl.exceptions.PolarsError as exc:
        raise InvariantError(f"rule {keep!r} is no condition in SQL: {exc}") from exc


def names_in(keep: str) -> tuple[str, ...]:
    """Return the names that a condition reads."""
    return tuple(pl.sql_expr(keep).meta.root_names())


def as_answered(said: pl.Series, *, numbered: bool) -> pl.Series:
    """Return answers or labels as callers know them: rows hold classes as text, which are numbers where `numbered`."""
    return said.cast(pl.Int64, strict=False) if numbered and said.dtype == pl.String else said


def broken(keep: str, rows: pl.DataFrame) -> pl.Series:
    """Return which of `rows` do not keep the condition, as booleans of the same length; raises PolarsError.

    A row for which it is null does not break it, as in SQL, and is no evidence that it is kept: there it is null. So
    ``sum()`` counts the rows that break it, and ``count()`` those on which anything is known. Where the rows have no
    column ``prediction``, it is ``_output``.

    Examples
    --------
    >>> broken("prediction >= 0", pl.DataFrame({"prediction": [1.0, -1.0, None]})).to_list()
    [False, True, None]
    """
    if "prediction" not in rows.columns:
        rows = rows.with_columns(prediction=pl.col("_output"))
    kept = rows.select(pl.sql_expr(keep).alias("kept")).get_column("kept")
    if kept.dtype != pl.Boolean:
        raise pl.exceptions.InvalidOperationError(f"{keep} gives {kept.dtype}, not true or false")
    if kept.len() != rows.height:
        raise pl.exceptions.InvalidOperationError(f"{keep} is one value for all rows, not one for each")
    return ~kept
