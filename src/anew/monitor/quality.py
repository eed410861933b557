"""The data-quality contract: what tells a broken feed from a changed world."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import combinations
from typing import ClassVar

import numpy as np
import polars as pl

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.domain.severity import Severity
from anew.monitor._detector import Finding, ScoredRows, SeenRows
from anew.stats.column import ColumnProfile
from anew.stats.edge import CategoricalBinning, NumericBinning
from anew.stats.misfit import FAR, distance_from, swapped, unit_of

__all__ = ["Quality"]

_MANY = 50
"""Bins that a column has to fill before a window of one single value counts as a stuck sensor."""
_OFTEN = 0.2


def _no_ranges() -> Mapping[str, tuple[float, float]]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Raise an incident when what comes in is broken: then the feed has to be mended, not the model.

    Parameters
    ----------
    nulls_at_most
        Share of missing values in a column that had at most a tenth of that in training.
    new_at_most
        Share of rows of a category column whose level training never saw.
    ranges
        For columns that can only lie in a range: the range, bounds included, e.g. ``{age: [0, 130]}``.
    outside_at_most
        Share of rows that may lie outside the range of such a column.
    constant
        Is it broken when a number that took many values in training, none of them often, is the same in every row? A
        column of few values, such as a month, is never looked at.
    units, swaps
        Is it broken when a column has little in common with training as it is, and much once it is read in another unit
        (Fahrenheit for Celsius, a thousand times …), or with another column's values?
    at_least_rows
        Below it nothing is judged.

    Notes
    -----
    A surge of nulls or new levels below these limits is drift, and the drift detectors' to find. Alerts about a window
    with an incident are withheld (``incident``) and its rows are kept from training. Do not set limits so low that a
    changed world breaks them: then nothing would ever be retrained.
    """

    labels: ClassVar[bool] = False
    incident: ClassVar[bool] = True

    nulls_at_most: float = 0.5
    new_at_most: float = 0.5
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=_no_ranges)
    outside_at_most: float = 0.01
    constant: bool = True
    units: bool = True
    swaps: bool = True
    at_least_rows: int = 50

    def __post_init__(self) -> None:
        shares = (self.nulls_at_most, self.new_at_most, self.outside_at_most)
        if not all(0 <= each < 1 for each in shares) or self.at_least_rows < 1:
            raise InvariantError(
                f"quality: shares {shares} lie in [0, 1), at_least_rows {self.at_least_rows} from 1 on"
            )
        wrong = {name: each for name, each in self.ranges.items() if not each[0] <= each[1]}
        if wrong:
            raise InvariantError(f"quality: ranges go from the lower to the upper bound, not {wrong}")

    @property
    def key(self) -> str:
        """``quality``: a project has one contract."""
        return "quality"

    @property
    def over(self) -> timedelta | None:
        """One window."""
        return None

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that the contract names."""
        return tuple(self.ranges)

    def measure_seen(self, seen: SeenRows) -> tuple[Evidence, ...]:
        """Measure what the contract is about, column by column; the limit stands as the evidence's reference."""
        if seen.n < self.at_least_rows:
            return (Evidence.of(self.key, None, seen.n, problem=f"{seen.n} rows, {self.at_least_rows} are needed"),)
        found = []
        for name in seen.yardstick.features.names:
            base, now = seen.yardstick.features.own.columns[name], seen.profile().columns[name]
            if base.nulls <= self.nulls_at_most / 10 * base.n:
                found.append(self._share("nulls in", name, now.nulls, now.n, self.nulls_at_most))
            binning = seen.yardstick.features.binnings[name]
            if isinstance(binning, CategoricalBinning):
                if binning.complete:
                    found.append(self._share("new levels in", name, int(now.counts[-2]), now.n, self.new_at_most))
            elif self.constant and _takes_many_values(base):
                stuck = now.finite if now.minimum == now.maximum else 0
                found.append(self._share("one value in", name, stuck, now.n, 0.5))
        found += self._misread(seen)
        found += [self._outside(seen.rows, name, *bounds) for name, bounds in self.ranges.items()]
        return tuple(found)

    def measure_scored(self, rows: ScoredRows) -> tuple[Evidence, ...]:  # noqa: ARG002  the detector's contract
        """Measure nothing: this detector needs no labels."""
        return ()

    def judge(self, evidence: tuple[Evidence, ...]) -> Finding | None:
        """Find a broken feed where a share exceeds its limit; always HIGH."""
        broken = [
            each
            for each in evidence
            if each.measured and each.value is not None and each.reference is not None and each.value > each.reference
        ]
        if not broken:
            return None
        named = ", ".join(f"{each.subject} {each.value:.0%} (at most {each.reference:.0%})" for each in broken[:5])
        more = f" and {len(broken) - 5} more" if len(broken) > 5 else ""
        return Finding(severity=Severity.HIGH, message=f"broken data: {named}{more}", evidence=tuple(broken))

    def _share(self, what: str, column: str, count: int, n: int, limit: float) -> Evidence:
        return Evidence.of(self.key, count / n, n, subject=f"{what} {column}", reference=limit)

    def _misread(self, seen: SeenRows) -> list[Evidence]:
        """Return what explains columns that have little in common with training; nothing where nothing is amiss."""
        reference = seen.yardstick.features
        far = {}
        for name, base in reference.own.columns.items():
            binning = reference.binnings[name]
            if isinstance(binning, NumericBinning):
                values = seen.rows.get_column(name).cast(pl.Float64).to_numpy()
                values = values[np.isfinite(values)]
                if len(values) >= self.at_least_rows and distance_from(binning, base, values) > FAR:
                    far[name] = (binning, base, values)
        found = [(f"{name} in {each.reading}", each) for name, place in far.items() if (each := unit_of(*place))]
        pairs = [(a, b, each) for a, b in combinations(far, 2) if (each := swapped(far[a], far[b]))]
        found = found if self.units else []
        found += [(f"{a} and {b} swapped", each) for a, b, each in pairs] if self.swaps else []
        return [
            Evidence.of(self.key, each.as_is, seen.n, subject=f"distance from training of {what}", reference=FAR)
            for what, each in found
        ]

    def _outside(self, rows: pl.DataFrame, column: str, low: float, high: float) -> Evidence:
        values = rows.get_column(column)
        if not values.dtype.is_numeric():
            return Evidence.of(
                self.key, None, rows.height, subject=f"range of {column}", problem=f"{column} has no numbers"
            )
        outside = int((~values.is_between(low, high)).fill_null(value=False).sum())
        return self._share("outside the range of", column, outside, rows.height, self.outside_at_most)


def _takes_many_values(column: ColumnProfile) -> bool:
    """Did training see many values of it, none of them often?"""
    bins = column.counts[2:-4]
    return int((bins > 0).sum()) >= _MANY and float(bins.max()) <= _OFTEN * column.n
