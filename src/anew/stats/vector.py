"""Vector columns, such as embeddings, as a few numbers each that can be counted like any other column.

A vector is told by how far it lies from where the reference's lie, and by its place along the directions in which those
vary most. So its profile does not grow with its width, and every distance and test for numbers serves it.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]  # ships no types

from anew.domain.errors import InvariantError, SchemaError
from anew.stats._column import plain

__all__ = ["VectorView", "fit_view", "is_ragged", "is_vector", "part_names"]

Floats = npt.NDArray[np.float64]

DIRECTIONS = 7
_FITTED_ROWS = 1024
"""Rows, evenly spaced, that the directions are chosen on: a wide vector's are found in the space of these."""


@dataclass(frozen=True, eq=False)
class VectorView:
    """How vectors of one column are looked at.

    Parameters
    ----------
    centre, scale
        Shape (d,): mean of the reference's vectors, and what each number is divided by, its standard deviation (1 for
        one that does not vary).
    directions
        Shape (k, d), orthonormal rows: the leading principal directions of the scaled vectors, at most seven.
    """

    centre: npt.NDArray[np.float32]
    scale: npt.NDArray[np.float32]
    directions: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        d = self.centre.shape
        if len(d) != 1 or not d[0] or self.scale.shape != d or self.directions.shape[1:] != d:
            raise InvariantError(f"a view of vectors has one width: {d}, {self.scale.shape}, {self.directions.shape}")

    @cached_property
    def _weights(self) -> Floats:
        return np.asarray(self.directions, dtype=np.float64).T

    @property
    def width(self) -> int:
        """Numbers in a vector."""
        return len(self.centre)

    def numbers(self, vectors: Floats) -> Floats:
        """Return what is counted of vectors, shape (n, d): shape (n, 1 + k).

        First the distance from the centre over the root of d, in standard deviations (about 1 for vectors like the
        reference's); then the place along each direction. Both with 24 significant bits, so that the same vector counts
        the same in whatever batch it comes. Vectors with a number that is not finite are NaN.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = (vectors - self.centre) / self.scale
            distance = np.sqrt(np.einsum("ij,ij->i", scaled, scaled) / self.width)
            found = np.column_stack((distance, scaled @ self._weights))
            found[~np.isfinite(vectors).all(axis=1)] = np.nan
            return found.astype(np.float32).astype(np.float64)

    def parts(self, name: str, column: Any) -> dict[str, Any]:
        """Return what is counted of a column of vectors as columns of numbers, null where a vector is missing.

        A vector of another width is NaN: it is none of these.

        Raises
        ------
        SchemaError
            The column holds no lists of numbers.
        """
        vectors, missing = _matrix(column, self.width)
        found = self.numbers(vectors)
        return {
            part: pa.array(np.ascontiguousarray(found[:, i]), mask=missing, from_pandas=False)
            for i, part in enumerate(part_names(name, len(self.directions)))
        }

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON holds, `from_dict`'s inverse."""
        whole = np.vstack((self.centre, self.scale, self.directions)).astype("<f4")
        return {"width": self.width, "numbers": base64.b64encode(whole.tobytes()).decode()}

    @classmethod
    def from_dict(cls, held: Mapping[str, Any]) -> "VectorView":
        """Return what `to_dict` was made from."""
        whole = np.frombuffer(base64.b64decode(held["numbers"]), "<f4").reshape(-1, held["width"])
        return cls(whole[0], whole[1], whole[2:])


def part_names(name: str, directions: int) -> tuple[str, ...]:
    """Return the names under which a column of vectors is counted: its own for the distance, then its directions'."""
    return (name, *(f"{name} direction {i}" for i in range(1, directions + 1)))


def is_vector(column: Any) -> bool:
    """Does it hold lists of numbers (a numpy array of shape (n, d), or Arrow lists)?"""
    if isinstance(column, np.ndarray):
        return column.ndim == 2 and column.dtype.kind in "biuf"
    kind = column.type
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(test(kind) for test in lists) and _is_number(kind.value_type)


def is_ragged(column: Any) -> bool:
    """Are its lists of different lengths, or empty, so that they are no vectors?"""
    found = _widths(column)
    return len(found) != 1 or not found[0]


def _widths(column: Any) -> list[int]:
    if isinstance(column, np.ndarray):
        return [int(column.shape[1])]
    if pa.types.is_fixed_size_list(column.type):
        return [int(column.type.list_size)]
    found: set[int] = set()
    for chunk in _chunks(column):
        found.update(np.unique(_lengths(chunk.drop_null() if chunk.null_count else chunk)).tolist())
    return sorted(found)


def fit_view(column: Any) -> VectorView:
    """Choose how the vectors of a reference column are looked at; the same for the same vectors.

    Raises
    ------
    SchemaError
        It is ragged, or holds no lists of numbers.

    References
    ----------
    Jolliffe (2002), "Principal component analysis", section 3.5, on the singular value decomposition; of scaled columns
    (section 2.3), since the numbers of a vector have no common unit.
    """
    if is_ragged(column):
        raise SchemaError(f"vectors of one column are equally long, these have lengths {_widths(column)[:5]}")
    vectors, _ = _matrix(column, _widths(column)[0])
    whole = vectors[np.isfinite(vectors).all(axis=1)]
    if not len(whole):
        nothing = np.zeros(vectors.shape[1], dtype=np.float32)
        return VectorView(nothing, nothing + 1, np.zeros((0, len(nothing)), dtype=np.float32))
    centre, spread = whole.mean(axis=0), whole.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    some = whole[:: -(-len(whole) // _FITTED_ROWS)]
    scaled = (some - some.mean(axis=0)) / scale
    _, lengths, rows = np.linalg.svd(scaled, full_matrices=False)
    # A direction in which nothing varies is rounding.
    rows = rows[: min(DIRECTIONS, int((lengths > 1e-9 * max(lengths[0], 1.0)).sum()))]
    largest = np.take_along_axis(rows, np.abs(rows).argmax(axis=1)[:, None], axis=1)
    directions = rows * np.sign(largest)  # of a direction's two signs the one that makes its largest number positive
    return VectorView(centre.astype(np.float32), scale.astype(np.float32), directions.astype(np.float32))


def _matrix(column: Any, width: int) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return vectors as rows, NaN where one is missing or of another width, and which are missing."""
    if isinstance(column, np.ndarray):
        if not is_vector(column) or column.shape[1] != width:
            raise SchemaError(f"vectors of {width} numbers have the shape (n, {width}), not {column.shape}")
        return column.astype(np.float64), np.zeros(len(column), dtype=np.bool_)
    if not (is_vector(column) or pa.types.is_null(column.type)):
        raise SchemaError(f"a column of vectors holds lists of numbers, this one holds {column.type}")
    found = np.full((len(column), width), np.nan)
    missing = np.ones(len(column), dtype=np.bool_)
    start = 0
    for chunk in _chunks(column):
        here = slice(start, start + len(chunk))
        start += len(chunk)
        if pa.types.is_null(chunk.type):
            continue
        missing[here] = plain(chunk.is_null().cast(pa.uint8())) > 0 if chunk.null_count else False
        known = chunk.drop_null() if chunk.null_count else chunk
        lengths = _lengths(known)
        flat = _floats(known.flatten())
        fits = lengths == width
        rows = np.full((len(known), width), np.nan)
        rows[fits] = flat[np.repeat(fits, lengths)].reshape(-1, width)
        found[here][~missing[here]] = rows
    return found, missing


def _floats(numbers: Any) -> Floats:
    held = numbers if pa.types.is_float64(numbers.type) else numbers.cast(pa.float64())
    return np.asarray(held.to_numpy(zero_copy_only=False)) if held.null_count else plain(held)


def _lengths(lists: Any) -> npt.NDArray[np.int64]:
    if pa.types.is_fixed_size_list(lists.type):
        return np.full(len(lists), lists.type.list_size, dtype=np.int64)
    return plain(lists.value_lengths()).astype(np.int64)


def _chunks(column: Any) -> list[Any]:
    return list(column.chunks) if isinstance(column, pa.ChunkedArray) else [column]


def _is_number(kind: Any) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind))
