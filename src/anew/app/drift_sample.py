"""Compare samples of two sets of rows: what no profile tells, such as columns that move together no longer.

A module of its own, because it needs libraries that take longer to load than profiles take to compare.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl
from polars import selectors

from anew.adapters.table_stream import TableStream, open_table
from anew.app.drift import DriftOptions
from anew.domain.errors import InvariantError, SettingsError
from anew.stats.domain_classifier import Separation, separation
from anew.stats.encoding import fit_encoding
from anew.stats.mmd import Discrepancy, mmd

__all__ = ["Compared", "SampleDrift", "measure_samples"]


@dataclass(frozen=True, slots=True)
class Compared:
    """Two samples: their mean discrepancy, and how well a classifier tells them apart."""

    mmd: Discrepancy
    classifier: Separation


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleDrift:
    """What samples say.

    Parameters
    ----------
    rows
        Rows of the two samples.
    columns
        Of each column by itself; those that hold neither numbers, levels nor vectors are left out.
    together
        Of all columns together; None if there is none, or too few rows.
    """

    rows: tuple[int, int]
    columns: Mapping[str, Compared]
    together: Compared | None


def measure_samples(options: DriftOptions, most: int) -> SampleDrift:
    """Compare up to `most` rows of either side, evenly spaced, by the columns that both have.

    Raises
    ------
    SettingsError
        There is no file of reference rows, or `most` is not between 80 and 2000.
    NotFoundError, SchemaError
        A file is not there, or cannot be read.
    """
    if options.reference is None:
        raise SettingsError("--samples compares rows: give --reference FILE, a stored profile has none")
    if not 80 <= most <= 2000:
        raise SettingsError(f"--samples {most}: between 80 and 2000 rows of each side can be compared")
    tables = open_table(options.reference), open_table(options.current)
    names = [name for name in tables[0].types if all(name in each.types for each in tables)]
    names = [name for name in names if not any(name in each.unsupported for each in tables)]
    first, second = (_sample(each, names, most) for each in tables)
    compared = {name: found for name in names if (found := _compared(first, second, [name])) is not None}
    together = _compared(first, second, list(compared)) if compared else None
    return SampleDrift(rows=(first.height, second.height), columns=compared, together=together)


def _sample(table: TableStream, names: list[str], most: int) -> pl.DataFrame:
    frame = pl.DataFrame([pl.Series(name, values) for name, values in table.sample(names, most).items()])
    return frame.with_columns(selectors.temporal().to_physical(), selectors.decimal().cast(pl.Float64))


def _compared(first: pl.DataFrame, second: pl.DataFrame, names: list[str]) -> Compared | None:
    try:
        encoding = fit_encoding(first, names)
        points = encoding.points(first), encoding.points(second)
        return Compared(mmd(*points), separation(*points))
    except InvariantError:  # what cannot be compared is left out: profiles say what there is to say of it
        return None
