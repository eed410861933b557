"""A business's own measure of a single answer, as a loss that a rollout can be judged by."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from anew.domain.errors import InvariantError

__all__ = ["KPI"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KPI:
    """What one answered row is worth, bounded, so that bets on it are valid.

    Parameters
    ----------
    name
        As the policy calls it.
    value
        Expression in SQL over the declared features, ``prediction`` and ``label``, one number for each row, e.g.
        ``label * margin``. A row for which it is null does not count.
    low, high
        Bounds of the value; what lies outside counts as the nearer bound. Margins and limits on a KPI are shares of
        the range between them.
    better
        ``higher`` or ``lower``.
    """

    name: str
    value: str
    low: float
    high: float
    better: Literal["higher", "lower"] = "higher"

    def __post_init__(self) -> None:
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.low < self.high):
            raise InvariantError(f"kpi {self.name}: low {self.low} and high {self.high} are no bounds; give low < high")
        try:
            pl.sql_expr(self.value)
        except pl.exceptions.PolarsError as exc:
            raise InvariantError(f"kpi {self.name}: {self.value!r} is no expression in SQL: {exc}") from exc

    @property
    def columns(self) -> tuple[str, ...]:
        """Names that the expression reads."""
        return tuple(pl.sql_expr(self.value).meta.root_names())

    def losses(self, rows: pl.DataFrame, prediction: pl.Series, label: pl.Series) -> npt.NDArray[np.float64]:
        """Return the loss in [0, 1] of each row, shape `(n,)`; NaN where there is no value.

        `rows` has the declared features. A model that gave no answer, or none that was labelled, has no value.

        Raises
        ------
        InvariantError
            It cannot be read on these rows, or gives something else than one number for each.
        """
        named = {"prediction": prediction, "label": label}
        frame = rows.with_columns(_number(series).alias(name) for name, series in named.items())
        try:
            found = frame.select(pl.sql_expr(self.value).cast(pl.Float64).alias("value")).get_column("value")
        except pl.exceptions.PolarsError as exc:
            raise InvariantError(f"kpi {self.name} ({self.value}) cannot be read on these rows: {exc}") from exc
        if found.len() != rows.height:
            raise InvariantError(f"kpi {self.name} ({self.value}) gives {found.len()} values for {rows.height} rows")
        value = found.fill_null(float("nan")).to_numpy().copy()
        value[(prediction.is_null() | label.is_null()).to_numpy()] = np.nan
        share = (np.clip(value, self.low, self.high) - self.low) / (self.high - self.low)
        return np.asarray(share if self.better == "lower" else 1.0 - share, dtype=np.float64)


def _number(series: pl.Series) -> pl.Series:
    number = series.cast(pl.Float64, strict=False)
    return number if number.null_count() == series.null_count() else series
