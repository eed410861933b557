"""Sums of a window that an objective over a period is measured from, of all its rows and by slice."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import polars as pl

from anew.domain.evidence import Evidence
from anew.monitor._detector import ScoredRows
from anew.monitor._slice import MOST_SLICES
from anew.stats.sums import Asked, Sums, merged, sums_of

__all__ = ["PeriodSums", "Summing", "sliced_sums", "whole_of"]

_MOST_VALUES = 1000
"""Values of a column in a window up to which each is summed up."""

Value = object


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodSums:
    """What the labelled rows of a window or of a period came to: all of them, and by column and value.

    `asked` is what was summed up; it has to be the same wherever sums are added.
    """

    asked: Asked
    whole: Sums
    by: Mapping[str, Mapping[Value, Sums]]

    def slices(self, at_least_rows: int) -> Mapping[str, Sums]:
        """Return the slices that have at least so many rows, named and chosen as `slices_of` does."""
        found: dict[str, Sums] = {}
        for column, values in self.by.items():
            enough = [(value, sums) for value, sums in values.items() if sums.n >= at_least_rows]
            largest = sorted(enough, key=lambda each: (-each[1].n, _is_nan(each[0]), each[0]))
            found |= {f"{column} = {value}": sums for value, sums in largest[:MOST_SLICES]}
        return found


@runtime_checkable
class Summing(Protocol):
    """What a detector has besides that can measure a period from sums of its windows, each of which is read once."""

    def adds_up(self, classes: int) -> bool:
        """Can it, with so many classes?"""
        ...

    def sums(self, rows: ScoredRows) -> object | None:
        """Take the sums of labelled rows; None where that would be too much: the rows of the period are read then."""
        ...

    def measure_sums(self, own: ScoredRows, parts: Sequence[object]) -> tuple[Evidence, ...]:
        """Measure the rows that it summed up in parts, in order of time, of which `own` are the newest window; pure."""
        ...


def sliced_sums(rows: ScoredRows, metric: str, by: Sequence[str]) -> PeriodSums | None:
    """Take the sums of a window's labelled rows; None where a column has too many values to keep one for each."""
    asked = Asked(metric=metric, task=rows.task, positive=rows.positive, classes=rows.classes)
    names = [f"_p{k}" for k in range(len(rows.classes))]
    known = bool(names) and set(names) <= set(rows.table.columns)
    chance = rows.table.select(names).to_numpy() if known else None
    found: dict[str, Mapping[Value, Sums]] = {}
    for column in by:
        places = _places(rows.table.get_column(column)) if rows.n else {}
        if len(places) > _MOST_VALUES:
            return None
        found[column] = {
            value: sums_of(asked, rows.label[at], rows.output[at], None if chance is None else chance[at])
            for value, at in places.items()
        }
    return PeriodSums(asked=asked, whole=sums_of(asked, rows.label, rows.output, chance), by=found)


def whole_of(parts: Sequence[PeriodSums]) -> PeriodSums:
    """Add the sums of windows up to those of their period; there is at least one."""
    by: dict[str, Mapping[Value, Sums]] = {}
    for column in parts[0].by:
        met: dict[Value, list[Sums]] = {}
        for part in parts:
            for value, sums in part.by[column].items():
                met.setdefault(value, []).append(sums)
        by[column] = {value: merged(sums) for value, sums in met.items()}
    return PeriodSums(asked=parts[0].asked, whole=merged([each.whole for each in parts]), by=by)


def _places(values: pl.Series) -> Mapping[Value, npt.NDArray[np.intp]]:
    """Return the row numbers of each value that is not missing."""
    rows = pl.DataFrame({"value": values}).with_row_index("row").drop_nulls("value")
    groups = rows.group_by("value", maintain_order=True).agg("row")
    return {
        math.nan if _is_nan(value) else value: at.to_numpy()  # one NaN, which equals none, for all
        for value, at in zip(groups.get_column("value").to_list(), groups.get_column("row"), strict=True)
    }


def _is_nan(value: Value) -> bool:
    return isinstance(value, float) and math.isnan(value)
