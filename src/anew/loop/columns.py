"""The columns of rows as profiles take them; apart from the other measurements, so that workers begin in no time."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from anew.domain.column import Columns

__all__ = ["profile_columns"]


def profile_columns(frame: pl.DataFrame, columns: Columns) -> Mapping[str, Any]:
    """Return the declared features of `frame` as profiles take them: arrays by name, of Arrow where there are nulls."""
    return {name: _array(frame.get_column(name)) for name in columns.names}


def _array(column: pl.Series) -> Any:
    """Return numbers without nulls as they lie in memory, which takes a hundredth of the time."""
    return column.to_numpy() if column.dtype.is_float() and not column.null_count() else column.to_arrow()
