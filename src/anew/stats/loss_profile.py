"""Where a model errs: losses of rows it was not trained on, by bins of each column, and what a shift would cost."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]  # ships no types

from anew.domain.errors import InvariantError
from anew.stats.column import ColumnProfile
from anew.stats.distance import quantile_groups
from anew.stats.profile import Column, Profile, Reference

__all__ = ["LossProfile", "profile_losses"]

_BITS = 8
_WHOLE = 2**_BITS - 1
"""A loss of 1, in the parts that losses are counted in."""
_GROUPS = 10
_PRIOR_ROWS = 10.0
"""Rows of average loss that each part of a column is taken to have beside its own, so that a few rows say little."""
_HEAD = struct.Struct(">Q")
_EPSILON = float(np.finfo(np.float64).eps)
_ROUNDED = 4
"""How often a term is rounded before terms are summed, in whole epsilons: its two shares, its loss, its product."""


@dataclass(frozen=True, slots=True)
class LossProfile:
    """The rows whose losses are known, and the same rows again, each counted as often as its loss has parts.

    Parameters
    ----------
    rows, losses
        On one reference's bins; a loss of 1 has 255 parts.
    """

    rows: Profile
    losses: Profile

    @property
    def mean(self) -> float:
        """The mean loss of all rows, in [0, 1]; 0 without rows."""
        return self.losses.n / (_WHOLE * self.rows.n) if self.rows.n else 0.0

    def effect(self, name: str, reference: ColumnProfile, current: ColumnProfile) -> float | None:
        """Return by how much the mean loss would change if `current` differed from `reference` in this column alone.

        The model is taken to err in each part of the column (tenths of the reference, or levels) as it did on the rows
        whose losses are known. This is what the shift of the inputs would cost, one column at a time: effects of
        columns that move together do not add up, and what the labels mean now it does not know.

        Returns
        -------
        float
            In [-1, 1], more is worse; 0 where it is no larger than what rounding adds to it; None where a side has no
            rows or the column is not known.

        Raises
        ------
        InvariantError
            The profiles are on different bins.
        """
        rows, losses = self.rows.columns.get(name), self.losses.columns.get(name)
        if rows is None or losses is None or not (rows.n and reference.n and current.n):
            return None
        if not rows.edges == losses.edges == reference.edges == current.edges:
            raise InvariantError(f"losses of {name} are counted on other bins")
        slots = np.arange(len(reference.counts))
        if reference.kind == "numeric":
            slots = quantile_groups(reference.counts, _GROUPS)
        known, lost, then, now = (
            np.bincount(slots, each.counts, minlength=int(slots.max()) + 1)
            for each in (rows, losses, reference, current)
        )
        loss = (lost / _WHOLE + _PRIOR_ROWS * self.mean) / (known + _PRIOR_ROWS)
        before, after = then / reference.n, now / current.n
        change = float(((after - before) * loss).sum())
        # shares on either side sum to one, so that losses which are all alike cancel out, but for what rounding leaves
        rounding = (len(loss) + _ROUNDED) * _EPSILON * float(((after + before) * loss).sum())
        return change if abs(change) > rounding else 0.0

    def to_bytes(self) -> bytes:
        """Return a compact form."""
        first, second = self.rows.to_bytes(), self.losses.to_bytes()
        return _HEAD.pack(len(first)) + first + second

    @classmethod
    def from_bytes(cls, packed: bytes) -> "LossProfile":
        """Return what `to_bytes` was made from.

        Raises
        ------
        InvariantError
            The bytes are none.
        """
        if len(packed) < _HEAD.size:
            raise InvariantError(f"these {len(packed)} bytes are no profile of losses")
        (size,) = _HEAD.unpack_from(packed)
        first = packed[_HEAD.size : _HEAD.size + size]
        return cls(Profile.from_bytes(first), Profile.from_bytes(packed[_HEAD.size + size :]))


def profile_losses(reference: Reference, columns: Mapping[str, Column], losses: npt.NDArray[np.float64]) -> LossProfile:
    """Count rows and their losses on a reference's bins.

    Parameters
    ----------
    columns
        The declared features of the rows, each of shape (n,).
    losses
        Shape (n,), in [0, 1]; rows whose loss is not known (NaN) are left out.

    Examples
    --------
    >>> seen = np.arange(100.0)
    >>> reference = Reference.fit({"x": seen})
    >>> known = profile_losses(reference, {"x": seen}, np.where(seen < 90, 0.0, 1.0))
    >>> later = reference.profile({"x": seen[80:]}).columns["x"]
    >>> round(known.effect("x", reference.own.columns["x"], later), 2)  # half of them lie where it errs, not a tenth
    0.2
    """
    known = np.isfinite(losses)
    parts = np.rint(np.clip(losses[known], 0.0, 1.0) * _WHOLE).astype(np.int64)
    rows = {name: _some(column, known) for name, column in columns.items()}

    def of_bit(bit: int) -> Profile:
        has = (parts >> bit) & 1 == 1
        return reference.profile({name: _some(column, has) for name, column in rows.items()})

    counted = reduce(lambda sum_, bit: sum_ + sum_ + of_bit(bit), range(_BITS - 2, -1, -1), of_bit(_BITS - 1))
    return LossProfile(reference.profile(rows), counted)


def _some(column: Column, chosen: npt.NDArray[np.bool_]) -> Column:
    filtered: Column = column[chosen] if isinstance(column, np.ndarray) else column.filter(pa.array(chosen))
    return filtered
