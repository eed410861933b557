"""Profiles: mergeable summaries of rows on a reference's bins.

A profile is all that monitoring keeps of a window. Two of them on the same bins add up: batches to windows, windows to
days, machines to a fleet.
"""

import base64
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from anew.domain.errors import InvariantError, SchemaError
from anew.stats._column import Column, Kind
from anew.stats._packed import counts_at, head_of, headed, numbers_at, planes, reading
from anew.stats._tally import scratch_for
from anew.stats.column import ColumnProfile
from anew.stats.edge import Binning, NumericBinning, binning_from_dict, fit_column
from anew.stats.vector import VectorView, fit_view, is_vector, part_names

__all__ = ["Column", "ColumnProfile", "Profile", "Reference"]

_SCHEMA = 1
_WITH_VECTORS = 2
"""Schema of a reference with columns of vectors, which would be read as if it had none by what knows only 1."""
_PACKED = 3
"""Schema of a reference whose edges follow its header as bytes."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What is kept of a set of rows: for each column its counts on the reference's bins.

    Counts are integers and add up exactly. Sums carry 24 significant bits when they are taken, so that adding many of
    them in another order gives the same to about 1e-7 of the spread (as a rule, to the last bit).

    Parameters
    ----------
    n
        Rows.
    columns
        By column name, in the reference's order.

    Examples
    --------
    >>> reference = Reference.fit({"x": np.arange(100.0)})
    >>> day = reference.profile({"x": np.array([1.0, 2.0])}) + reference.profile({"x": np.array([3.0, np.nan])})
    >>> day.n, day.columns["x"].mean
    (4, 2.0)
    """

    n: int
    columns: Mapping[str, ColumnProfile]

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", MappingProxyType(dict(self.columns)))
        wrong = [name for name, column in self.columns.items() if column.n != self.n]
        if self.n < 0 or wrong:
            raise InvariantError(f"a profile of {self.n} rows counts each column's rows once; not so in {wrong}")

    def __hash__(self) -> int:
        return hash((self.n, tuple(self.columns)))

    def __add__(self, other: "Profile") -> "Profile":
        """Return the profile of both sets of rows.

        Raises
        ------
        InvariantError
            The two have different columns or bins.
        """
        if self.columns.keys() != other.columns.keys():
            raise InvariantError(f"profiles add up on the same columns: {list(self.columns)}, {list(other.columns)}")
        return Profile(self.n + other.n, {name: mine + other.columns[name] for name, mine in self.columns.items()})

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON holds, `from_dict`'s inverse; `to_bytes` is a tenth of the size."""
        columns = {name: column.to_dict() for name, column in self.columns.items()}
        return {"schema": _SCHEMA, "n": self.n, "columns": columns}

    @classmethod
    def from_dict(cls, held: dict[str, Any]) -> "Profile":
        """Return what `to_dict` was made from.

        Raises
        ------
        InvariantError
            It was written by a newer version.
        """
        _check_schema(held, _SCHEMA)
        return cls(held["n"], {name: ColumnProfile.from_dict(column) for name, column in held["columns"].items()})

    def to_bytes(self) -> bytes:
        """Return a compact form, under 50 KB for 30 columns: a header in JSON and the numbers, both deflated."""
        header = self.to_dict()
        numbers: list[bytes] = []
        for name, column in self.columns.items():
            held = header["columns"][name]
            narrow = np.min_scalar_type(int(column.counts.max()))
            held["counts"], held["sums"] = [len(column.counts), narrow.str], len(column.sums)
            numbers += [column.counts.astype(narrow).tobytes(), planes(column.sums)]
        return zlib.compress(headed(header, numbers))

    @classmethod
    def from_bytes(cls, packed: bytes) -> "Profile":
        """Return what `to_bytes` was made from, to the last bit.

        Raises
        ------
        InvariantError
            The bytes are no profile.
        """
        with reading("a profile", packed):
            raw = zlib.decompress(packed)
            header, at = head_of(raw)
            for held in header["columns"].values():
                size, narrow = held["counts"]
                held["counts"] = counts_at(raw, size, narrow, at)
                at += held["counts"].nbytes
                held["sums"] = numbers_at(raw, held["sums"], at)
                at += held["sums"].nbytes
            return cls.from_dict(header)


@dataclass(frozen=True, slots=True)
class Reference:
    """The bins of a version's training data and their counts: what windows are compared with.

    Parameters
    ----------
    binnings, own
        Of each column that is counted: the bins, and the counts of the training data on them.
    vectors
        How the columns of vectors are looked at, by name. Such a column is counted as several, its parts: see
        `VectorView.parts`.

    Examples
    --------
    >>> reference = Reference.fit({"colour": np.array(["red", "red", "blue"])})
    >>> window = reference.profile({"colour": np.array(["blue", "green"])})
    >>> window.columns["colour"].counts.tolist()  # red, blue, other, new, null
    [0, 1, 0, 1, 0]
    """

    binnings: Mapping[str, Binning]
    own: Profile
    vectors: Mapping[str, VectorView] = field(default_factory=dict, compare=False)
    _parts: Mapping[str, tuple[str, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "binnings", MappingProxyType(dict(self.binnings)))
        object.__setattr__(self, "vectors", MappingProxyType(dict(self.vectors)))
        object.__setattr__(self, "_parts", MappingProxyType(_parts_of(self.binnings, self.vectors)))
        hashes = {name: binning.hash for name, binning in self.binnings.items()}
        if hashes != {name: column.edges for name, column in self.own.columns.items()}:
            raise InvariantError("a reference's own profile is counted on its own bins")

    def __hash__(self) -> int:
        return hash(self.own)

    @classmethod
    def fit(
        cls,
        columns: Mapping[str, Column],
        *,
        kinds: Mapping[str, Kind] | None = None,
        bins: int = 256,
        vocabulary: int = 1000,
    ) -> "Reference":
        """Choose bins on the columns, each of shape (n,), and count them.

        Parameters
        ----------
        kinds
            ``numeric`` or ``categorical`` for columns whose type does not say it, such as integers that are codes.
        bins, vocabulary
            At most so many bins and levels (see `anew.stats.edge.fit_binning`).

        Raises
        ------
        SchemaError
            Columns differ in length, or hold neither numbers nor levels.
        """
        told = kinds or {}
        binnings: dict[str, Binning] = {}
        counted: dict[str, ColumnProfile] = {}
        vectors: dict[str, VectorView] = {}
        for name, column in columns.items():
            with _named(name):
                parts: Mapping[str, Column] = {name: column}
                if is_vector(column):
                    vectors[name] = fit_view(column)
                    parts = vectors[name].parts(name, column)
                if taken := sorted(parts.keys() & (columns.keys() - {name})):
                    raise SchemaError(f"its parts would bear the names of other columns: {', '.join(taken)}")
                for part, values in parts.items():
                    fitted = fit_column(values, kind=told.get(part), bins=bins, vocabulary=vocabulary)
                    binnings[part], counted[part] = fitted
        return cls(binnings, Profile(_height(columns), counted), vectors)

    @classmethod
    def together(cls, references: Iterable["Reference"]) -> "Reference":
        """Return references to columns of the same rows as one.

        Raises
        ------
        InvariantError
            They are of unlike numbers of rows.
        """
        held = list(references)
        columns = {name: column for each in held for name, column in each.own.columns.items()}
        return cls(
            {name: binning for each in held for name, binning in each.binnings.items()},
            Profile(held[0].own.n if held else 0, columns),
            {name: view for each in held for name, view in each.vectors.items()},
        )

    def only(self, names: Iterable[str]) -> "Reference":
        """Return the reference to some of its columns, by the names in the rows."""
        kept = {name: self._parts[name] for name in names}
        parts = [part for each in kept.values() for part in each]
        return Reference(
            {part: self.binnings[part] for part in parts},
            Profile(self.own.n, {part: self.own.columns[part] for part in parts}),
            {name: view for name, view in self.vectors.items() if name in kept},
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that rows have, in order."""
        return tuple(self._parts)

    def parts(self, name: str) -> tuple[str, ...]:
        """Return the names under which a column of the rows is counted: its own, or those of a vector's parts."""
        return self._parts[name]

    def counted(self, columns: Mapping[str, Column]) -> Mapping[str, Column]:
        """Return the columns as they are counted: those that the reference knows, vectors by their parts.

        Raises
        ------
        SchemaError
            A column of vectors holds something else.
        """
        found: dict[str, Column] = {}
        for name in self._parts:
            if name not in self.vectors:
                found[name] = columns[name]
                continue
            with _named(name):
                found |= self.vectors[name].parts(name, columns[name])
        return found

    def profile(self, columns: Mapping[str, Column]) -> Profile:
        """Count columns, each of shape (n,), on the reference's bins; columns that it does not know are left out.

        Raises
        ------
        SchemaError
            A column is missing, differs in length, or is not of the kind it was.
        """
        return self.profile_batches([columns])

    def profile_batches(self, batches: Iterable[Mapping[str, Column]]) -> Profile:
        """Count rows that come in batches, as `profile` does each; at most one is held at a time.

        Raises
        ------
        SchemaError
            A batch lacks a column, has columns that differ in length, or one is not of the kind it was.
        """
        tallies = {name: binning.tally() for name, binning in self.binnings.items()}
        rows, scratch = 0, scratch_for(0)
        for columns in batches:
            missing = sorted(self._parts.keys() - columns.keys())
            if missing:
                raise SchemaError(f"the reference has the columns {missing}, these rows have not", missing[0])
            height = _height({name: columns[name] for name in self._parts})
            parts = self.counted(columns) if self.vectors else columns
            scratch = max(scratch, scratch_for(height), key=np.size)
            rows += height
            for name, tally in tallies.items():
                with _named(name):
                    tally.add(parts[name], scratch)
        return Profile(rows, {name: tally.profile() for name, tally in tallies.items()})

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON holds, `from_dict`'s inverse."""
        plain: dict[str, Any] = {
            "schema": _SCHEMA,
            "binnings": {name: binning.to_dict() for name, binning in self.binnings.items()},
            "own": base64.b64encode(self.own.to_bytes()).decode(),
        }
        if self.vectors:
            plain |= {"schema": _WITH_VECTORS, "vectors": {name: each.to_dict() for name, each in self.vectors.items()}}
        return plain

    @classmethod
    def from_dict(cls, held: dict[str, Any]) -> "Reference":
        """Return what `to_dict` was made from.

        Raises
        ------
        InvariantError
            It was written by a newer version, or its counts do not belong to its bins.
        """
        _check_schema(held, _SCHEMA, _WITH_VECTORS)
        binnings = {name: binning_from_dict(binning) for name, binning in held["binnings"].items()}
        vectors = {name: VectorView.from_dict(each) for name, each in held.get("vectors", {}).items()}
        return cls(binnings, Profile.from_bytes(base64.b64decode(held["own"])), vectors)

    def to_bytes(self) -> bytes:
        """Return a compact form: a header in JSON, the edges, and the reference's own profile."""
        header: dict[str, Any] = {"schema": _PACKED, "binnings": {}}
        numbers: list[bytes] = []
        for name, binning in self.binnings.items():
            if isinstance(binning, NumericBinning):
                header["binnings"][name] = {"centre": binning.centre, "edges": len(binning.edges)}
                numbers.append(planes(np.array(binning.edges)))
            else:
                header["binnings"][name] = binning.to_dict()
        header["vectors"] = {name: each.to_dict() for name, each in self.vectors.items()}
        # Of edges no level finds much to save.
        return zlib.compress(headed(header, [*numbers, self.own.to_bytes()]), 1)

    @classmethod
    def from_bytes(cls, packed: bytes) -> "Reference":
        """Return what `to_bytes` was made from, in this release or in one that wrote `to_dict` as text.

        Raises
        ------
        InvariantError
            The bytes are no reference, or of a newer version.
        """
        with reading("a reference", packed):
            raw = zlib.decompress(packed)
            if raw[:1] == b"{":
                return cls.from_dict(json.loads(raw))
            header, at = head_of(raw)
            _check_schema(header, _PACKED)
            for held in header["binnings"].values():
                if "levels" not in held:
                    size = held["edges"]
                    held |= {"kind": "numeric", "edges": numbers_at(raw, size, at).tolist()}
                    at += 8 * size
            vectors = {name: VectorView.from_dict(each) for name, each in header["vectors"].items()}
            binnings = {name: binning_from_dict(held) for name, held in header["binnings"].items()}
            return cls(binnings, Profile.from_bytes(raw[at:]), vectors)


def _parts_of(binnings: Mapping[str, Binning], vectors: Mapping[str, VectorView]) -> dict[str, tuple[str, ...]]:
    """Return by the name of each column of the rows the names under which it is counted."""
    of_vectors = {name: part_names(name, len(view.directions)) for name, view in vectors.items()}
    further = {part for parts in of_vectors.values() for part in parts[1:]}
    return {name: of_vectors.get(name, (name,)) for name in binnings if name not in further}


def _height(columns: Mapping[str, Column]) -> int:
    heights = {name: len(column) for name, column in columns.items()}
    if len(set(heights.values())) > 1:
        raise SchemaError(f"the columns of one set of rows have one length, these have {heights}")
    return next(iter(heights.values()), 0)


@contextmanager
def _named(column: str) -> Iterator[None]:
    try:
        yield
    except SchemaError as exc:
        raise SchemaError(f"column {column!r}: {exc}", column) from exc


def _check_schema(held: Mapping[str, Any], *known: int) -> None:
    if held.get("schema") not in known:
        raise InvariantError(
            f"this anew reads schema {known[-1]}, not {held.get('schema')}: update anew or profile anew"
        )
