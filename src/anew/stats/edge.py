"""Bins chosen once on a reference, on which every later window is counted."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from anew.domain.errors import InvariantError
from anew.stats._column import Column, Kind, kind_of, levels, numbers
from anew.stats._tally import LevelTally, NumberTally, scratch_for
from anew.stats.column import ColumnProfile, Floats

__all__ = [
    "Binning",
    "CategoricalBinning",
    "NumericBinning",
    "binning_from_dict",
    "fit_binning",
    "fit_column",
]

_LOWEST = -float(np.finfo(np.float64).max)
_TAIL_BINS = 4  # extra bins on each side, each half as heavy as the one before


@dataclass(frozen=True)
class NumericBinning:
    """Bins of a numeric column: ``[edges[i], edges[i + 1])``, B of them, and slots for what lies outside.

    Parameters
    ----------
    edges
        Increasing, B + 1 of them. The last one is just above the reference's greatest value.
    centre
        The reference's median.
    """

    edges: tuple[float, ...]
    centre: float
    kind: Literal["numeric"] = "numeric"

    @cached_property
    def hash(self) -> str:
        """Address of these bins: counts with the same one may be added and compared."""
        # The text that json.dumps makes of it, without its search for what to escape.
        edges = '", "'.join(map(float.hex, self.edges))
        return _digest(f'["numeric", ["{edges}"], "{self.centre.hex()}"]')

    @cached_property
    def _cuts(self) -> Floats:
        return np.array([_LOWEST, *self.edges, np.inf, np.nan])

    def tally(self) -> NumberTally:
        """Begin to count on these bins."""
        return NumberTally(self._cuts, self.centre, self.hash)

    def count(self, column: Column) -> ColumnProfile:
        """Return the counts of a column's values, shape (n,), on these bins.

        Raises
        ------
        SchemaError
            The column holds something that is not a number.
        """
        return _counted(self.tally(), column)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON holds; numbers come back to the last bit."""
        return {"kind": "numeric", "edges": list(self.edges), "centre": self.centre}


@dataclass(frozen=True)
class CategoricalBinning:
    """The reference's most frequent levels, and slots for other, new and null.

    Parameters
    ----------
    levels
        The vocabulary, most frequent first.
    complete
        Whether the reference had no further levels: then an unknown level is new, else it is counted as other, since
        the bound on the vocabulary's size leaves nothing to tell the two apart.
    """

    levels: tuple[str, ...]
    complete: bool
    kind: Literal["categorical"] = "categorical"

    @cached_property
    def hash(self) -> str:
        """Address of these bins: counts with the same one may be added and compared."""
        return _digest(json.dumps(["categorical", self.levels, self.complete]))

    @cached_property
    def _slots(self) -> dict[str | None, int]:
        return {**{level: slot for slot, level in enumerate(self.levels)}, None: len(self.levels) + 2}

    def tally(self) -> LevelTally:
        """Begin to count on this vocabulary."""
        size = len(self.levels)
        return LevelTally(self._slots, size + 1 if self.complete else size, self.hash)

    def count(self, column: Column) -> ColumnProfile:
        """Return the counts of a column's levels, shape (n,), on this vocabulary."""
        return _counted(self.tally(), column)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON holds."""
        return {"kind": "categorical", "levels": list(self.levels), "complete": self.complete}


Binning: TypeAlias = NumericBinning | CategoricalBinning


def _counted(tally: NumberTally | LevelTally, column: Column) -> ColumnProfile:
    tally.add(column, scratch_for(len(column)))
    return tally.profile()


def fit_binning(column: Column, *, kind: Kind | None = None, bins: int = 256, vocabulary: int = 1000) -> Binning:
    """Choose the bins of one reference column, shape (n,).

    Parameters
    ----------
    kind
        Read the column as ``numeric`` or ``categorical``; by default what its type says.
    bins
        At most so many bins. They lie at quantiles of the reference, finer in both tails. A value heavy enough to be
        met at two of these quantiles gets a bin of its own, so that a discrete column is counted value by value.
    vocabulary
        At most so many levels, the most frequent ones.

    Raises
    ------
    InvariantError
        `bins` is under 16 or `vocabulary` under 1.
    SchemaError
        The column holds neither numbers nor levels.

    Examples
    --------
    >>> fit_binning(np.array(["b", "a", "b", None], dtype=object)).to_dict()
    {'kind': 'categorical', 'levels': ['b', 'a'], 'complete': True}
    """
    _check(bins, vocabulary)
    if (kind or kind_of(column)) == "numeric":
        return _at_quantiles(_in_order(column)[0], bins)
    totals: dict[str, int] = {}
    for names, found in levels(column):
        for name, count in zip(names, found.tolist(), strict=True):
            if count and name is not None:
                totals[name] = totals.get(name, 0) + count
    ranked = sorted(totals, key=lambda level: (-totals[level], level))
    return CategoricalBinning(tuple(ranked[:vocabulary]), complete=len(ranked) <= vocabulary)


def _check(bins: int, vocabulary: int) -> None:
    if bins < 16 or vocabulary < 1:
        raise InvariantError(f"a binning has 16 or more bins and 1 or more levels, not {bins} and {vocabulary}")


def fit_column(
    column: Column, *, kind: Kind | None = None, bins: int = 256, vocabulary: int = 1000
) -> tuple[Binning, ColumnProfile]:
    """Choose the bins of one reference column, shape (n,), as `fit_binning` does, and count it on them.

    Raises
    ------
    InvariantError, SchemaError
        See `fit_binning`.
    """
    if (kind or kind_of(column)) != "numeric":
        binning = fit_binning(column, kind="categorical", bins=bins, vocabulary=vocabulary)
        return binning, binning.count(column)
    _check(bins, vocabulary)
    ordered, nulls = _in_order(column)
    chosen = _at_quantiles(ordered, bins)
    tally = chosen.tally()
    tally.add_ordered(ordered, nulls)
    return chosen, tally.profile()


def _in_order(column: Column) -> tuple[Floats, int]:
    """Return a numeric column's values in order, NaN last, and the number of nulls."""
    parts = list(numbers(column))
    ordered = np.concatenate([values for values, _ in parts]) if parts else np.empty(0)
    ordered.sort()
    return ordered, sum(nulls for _, nulls in parts)


def _at_quantiles(values: Floats, bins: int) -> NumericBinning:
    """Choose bins on values in order, NaN last."""
    ordered = values[values.searchsorted(_LOWEST) : values.searchsorted(np.inf)]
    n = len(ordered)
    if not n:
        return NumericBinning((0.0,), 0.0)
    met = ordered[_ranks(n, bins)] + 0.0  # adding zero makes -0.0 and 0.0 one edge
    first = np.concatenate(([True], met[1:] != met[:-1]))
    found = met[first]
    heavy = met[1:][~first[1:]]
    # The last value is not an edge on its own: the bin that holds it ends just above it, save for the largest float64,
    # which has nothing above it and is itself counted as above.
    with np.errstate(over="ignore"):
        top = min(float(np.nextafter(ordered[-1], np.inf)), -_LOWEST)
        inner = np.union1d(found, np.nextafter(heavy, np.inf))
    edges = np.append(inner[inner < top], top)
    return NumericBinning(tuple(edges.tolist()), float(ordered[n // 2]))


@lru_cache(maxsize=256)
def _ranks(n: int, bins: int) -> npt.NDArray[np.int64]:
    """Return the places, among `n` values in order, of the quantiles at which bins begin; the same for every column."""
    even = np.arange(1, bins - 2 * _TAIL_BINS) / (bins - 2 * _TAIL_BINS)
    tail = even[0] / 2.0 ** np.arange(1, _TAIL_BINS + 1)
    quantiles = np.concatenate(([0.0], even, tail, 1.0 - tail))
    found = np.unique((quantiles * n).astype(np.int64))
    found.setflags(write=False)
    return found


def binning_from_dict(held: dict[str, Any]) -> Binning:
    """Return what a binning's `to_dict` was made from.

    Raises
    ------
    InvariantError
        Its kind is unknown.
    """
    if held["kind"] == "numeric":
        return NumericBinning(tuple(float(edge) for edge in held["edges"]), float(held["centre"]))
    if held["kind"] == "categorical":
        return CategoricalBinning(tuple(held["levels"]), bool(held["complete"]))
    raise InvariantError(f"a binning is numeric or categorical, not {held['kind']!r}")


def _digest(what: str) -> str:
    return hashlib.sha256(what.encode()).hexdigest()[:32]
