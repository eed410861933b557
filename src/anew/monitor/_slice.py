"""Slices of scored rows: those with one value of a column."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import polars as pl

from anew.monitor._detector import ScoredRows

__all__ = ["MOST_SLICES", "slices_of"]

MOST_SLICES = 50
"""Slices of a column that are looked at, the largest ones."""


def slices_of(rows: ScoredRows, by: Sequence[str], at_least_rows: int) -> Mapping[str, ScoredRows]:
    """Return the slices that have at least so many labelled rows, by name, ``country = NO``."""
    found: dict[str, ScoredRows] = {}
    for column in by:
        values = rows.table.get_column(column)
        counted = values.drop_nulls().value_counts().filter(pl.col("count") >= at_least_rows)
        largest = counted.sort("count", column, descending=[True, False]).head(MOST_SLICES)
        for value in largest.get_column(column).to_list():
            marked = rows.where((values == value).fill_null(value=False))
            answers = rows.answers
            if column in answers.columns:
                answers = answers.filter((pl.col(column) == value).fill_null(value=False))
            found[f"{column} = {value}"] = replace(marked, answers=answers)
    return found
