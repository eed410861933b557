"""The counts of one column: what a profile keeps of a column's values."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from anew.domain.errors import InvariantError
from anew.stats._column import Kind

__all__ = ["ColumnProfile", "Counts", "Floats", "settle"]

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# Sums are kept within reach of every later addition and square: an overflow must not turn evidence into NaN.
_LIMIT = 1e300
# The lower 29 of a float64's 52 fraction bits are dropped from a fresh sum (relative error 6e-8): sums of windows then
# add up without rounding, so that merging does not depend on its order, and they pack into half the bytes.
_DROPPED_BITS = 29


def settle(sums: Floats) -> Floats:
    """Return sums, shape (k,), within +-1e300 and rounded to 24 significant bits; what overflowed both ways is 0."""
    held = np.minimum(np.maximum(sums, -_LIMIT), _LIMIT)
    held[np.isnan(held)] = 0.0
    bits = held.view(np.int64)
    bits += 1 << (_DROPPED_BITS - 1)
    bits &= -(1 << _DROPPED_BITS)
    return held


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ColumnProfile:
    """Counts of one column on the reference's bins; two of them add up when their `edges` agree.

    Parameters
    ----------
    kind
        ``numeric`` or ``categorical``.
    edges
        Hash of the binning that the counts belong to.
    counts
        Shape (k,). Numeric: -infinity, below the reference, B bins, above it, +infinity, NaN, null (k = B + 6).
        Categorical: L levels, other (levels that the reference had beyond its vocabulary), new (levels that it never
        had), null (k = L + 3).
    sums
        Shape (k,) if numeric, else (0,): the sum of (value - centre) over the finite values of each slot.
    squares
        Sum of (value - centre)**2 over all finite values.
    centre
        The reference's median, from which sums are taken, so that a large common offset costs no digits.
    minimum, maximum
        Of the finite values; +infinity and -infinity when there are none.
    """

    kind: Kind
    edges: str
    counts: Counts
    sums: Floats
    squares: float = 0.0
    centre: float = 0.0
    minimum: float = np.inf
    maximum: float = -np.inf

    def __post_init__(self) -> None:
        least = 6 if self.kind == "numeric" else 3
        if len(self.counts) < least or len(self.sums) not in (0, len(self.counts)) or self.counts.min() < 0:
            raise InvariantError(f"a {self.kind} column has {least} counts or more, none negative, and as many sums")
        self.counts.setflags(write=False)
        self.sums.setflags(write=False)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ColumnProfile):
            return NotImplemented
        return self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash((self.edges, self.counts.tobytes()))

    def __add__(self, other: "ColumnProfile") -> "ColumnProfile":
        """Return the profile of both sets of rows.

        Raises
        ------
        InvariantError
            The two are on different bins.
        """
        if self.edges != other.edges:
            raise InvariantError(f"profiles add up on the same bins only: {self.edges} is not {other.edges}")
        return ColumnProfile(
            kind=self.kind,
            edges=self.edges,
            counts=self.counts + other.counts,
            sums=np.minimum(np.maximum(self.sums + other.sums, -_LIMIT), _LIMIT),
            squares=min(self.squares + other.squares, _LIMIT),
            centre=self.centre,
            minimum=min(self.minimum, other.minimum),
            maximum=max(self.maximum, other.maximum),
        )

    @property
    def n(self) -> int:
        """Rows, null ones included."""
        return int(self.counts.sum())

    @property
    def nulls(self) -> int:
        """Rows without a value."""
        return int(self.counts[-1])

    @property
    def finite(self) -> int:
        """Rows with a finite number; 0 for a categorical column."""
        return int(self.counts[1:-3].sum()) if self.kind == "numeric" else 0

    @property
    def mean(self) -> float | None:
        """Mean of the finite values, to about 1e-7 of their spread; None when there are none."""
        return self.centre + float(self.sums.sum()) / self.finite if self.finite else None

    @property
    def variance(self) -> float | None:
        """Population variance of the finite values; None when there are none."""
        if not self.finite:
            return None
        shift = float(self.sums.sum()) / self.finite
        return max(self.squares / self.finite - shift * shift, 0.0)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON holds."""
        some = self.finite > 0
        return {
            "kind": self.kind,
            "edges": self.edges,
            "counts": self.counts.tolist(),
            "sums": self.sums.tolist(),
            "squares": self.squares,
            "centre": self.centre,
            "minimum": self.minimum if some else None,
            "maximum": self.maximum if some else None,
        }

    @classmethod
    def from_dict(cls, held: dict[str, Any]) -> "ColumnProfile":
        """Return what `to_dict` was made from."""
        return cls(
            kind=held["kind"],
            edges=held["edges"],
            counts=np.array(held["counts"], dtype=np.int64),
            sums=np.array(held["sums"], dtype=np.float64),
            squares=float(held["squares"]),
            centre=float(held["centre"]),
            minimum=np.inf if held["minimum"] is None else float(held["minimum"]),
            maximum=-np.inf if held["maximum"] is None else float(held["maximum"]),
        )
