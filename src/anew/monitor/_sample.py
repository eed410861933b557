"""Machinery of the detectors that compare whole rows of a window with a sample of the training rows."""

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.monitor._budget import promised
from anew.monitor._detector import ScoredRows, SeenRows
from anew.stats.encoding import Encoding, fit_encoding

__all__ = ["Points", "RowComparison", "independent_points", "points_of"]

Floats = npt.NDArray[np.float64]

_ALPHA = 1 / 365
_ALIKE = 1.2
"""Rows that count as one, up to which rows pass for independent."""


class Points(NamedTuple):
    """Rows of the reference and of a window as points, shapes (n, d) and (m, d)."""

    reference: Floats
    window: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class RowComparison:
    """A detector that compares points; each kind says how. Without a limit of its own the budget holds its alarms."""

    labels: ClassVar[bool] = False
    needs_sample: ClassVar[bool] = True

    columns: tuple[str, ...] = ()
    rows: int = 500
    at_least_rows: int = 100
    alpha: float | None = None
    declared: str = ""

    @property
    def limited(self) -> bool:
        """Has it a limit of its own?"""
        raise NotImplementedError

    def compare(self, points: Points) -> Evidence:
        """Measure how far the points lie apart."""
        raise NotImplementedError

    @property
    def key(self) -> str:
        """Name with settings."""
        raise NotImplementedError

    @property
    def over(self) -> timedelta | None:
        """One window."""
        return None

    @property
    def calibrated(self) -> bool:
        """Does the budget hold it?"""
        return not self.limited

    @property
    def needs_traits(self) -> bool:
        """Does it read how rows resemble each other?"""
        return self.calibrated

    @property
    def promise(self) -> float:
        """The chance of a false alarm in a window that it keeps where it is calibrated."""
        return _ALPHA if self.alpha is None else self.alpha

    @property
    def promised(self) -> str:
        """The end of its alert: what is promised, if anything is."""
        return f"; {promised(self.promise, self.declared)}" if self.calibrated else ""

    def measure_seen(self, seen: SeenRows) -> tuple[Evidence, ...]:
        """Measure how far the window is from the training rows, with a p-value."""
        if seen.n < self.at_least_rows:
            return (Evidence.of(self.key, None, seen.n, problem=f"{seen.n} rows, {self.at_least_rows} are needed"),)
        try:
            return (
                self.compare((independent_points if self.calibrated else points_of)(seen, self.columns, self.rows)),
            )
        except InvariantError as exc:
            return (Evidence.of(self.key, None, seen.n, problem=f"the rows cannot be compared: {exc}"),)

    def measure_scored(self, rows: ScoredRows) -> tuple[Evidence, ...]:  # noqa: ARG002  the detector's contract
        """Measure nothing: this detector needs no labels."""
        return ()


def points_of(seen: SeenRows, columns: tuple[str, ...], most: int) -> Points:
    """Return up to `most` rows of either side, evenly spaced; those of the reference are encoded once for a yardstick.

    Raises
    ------
    InvariantError
        The version was stored without a sample, or the columns are not those of the rows.
    """
    sample = seen.yardstick.sample
    if "_held" in sample.columns:
        sample = sample.filter(~pl.col("_held"))
    names = columns or tuple(name for name in seen.yardstick.features.names if name in sample.columns)
    return _points(seen, sample, names, (most, most), ",".join(columns))


def independent_points(seen: SeenRows, columns: tuple[str, ...], most: int) -> Points:
    """Return the same of rows so far apart that they tell as much as independent ones, as far as that was measured.

    Columns that follow the calendar are left out, unless they are named: they tell any two windows apart.

    Raises
    ------
    InvariantError
        As `points_of`; or every column follows the calendar.
    """
    traits, features = seen.yardstick.traits, seen.yardstick.features
    calendar = {} if traits is None or columns else traits.calendar
    sample = seen.yardstick.sample
    if "_held" in sample.columns:
        sample = sample.filter(~pl.col("_held"))
    names = columns or tuple(name for name in features.names if name in sample.columns and name not in calendar)
    if not names and len(sample.columns):
        raise InvariantError(f"every column follows the calendar: {', '.join(calendar)}; name those to look at")
    inertia = 1.0 if traits is None else max((traits.inertia.get(name, 1.0) for name in names), default=1.0)
    # Twice as far as rows that count as one: at that distance a row says next to nothing of the one before it.
    apart = 2 * inertia if inertia > _ALIKE else 1.0
    told = ",".join(columns) + (f" without {','.join(calendar)}" if calendar else "")
    return _points(seen, sample, names, (min(most, int(features.own.n / apart)), min(most, int(seen.n / apart))), told)


def _points(
    seen: SeenRows, sample: pl.DataFrame, names: tuple[str, ...], most: tuple[int, int], columns: str
) -> Points:
    """Return up to so many rows of the reference and of the window."""
    key = f"points/{most[0]}/{columns}"
    kept: dict[str, tuple[Encoding, Floats]] = seen.yardstick.kept
    if key not in kept:
        encoding = fit_encoding(sample, names)
        kept[key] = encoding, encoding.points(_some(sample, most[0]))
    encoding, reference = kept[key]
    return Points(reference, encoding.points(_some(seen.rows, most[1])))


def _some(rows: pl.DataFrame, most: int) -> pl.DataFrame:
    return rows.gather_every(max(1, -(-rows.height // max(most, 1))))
