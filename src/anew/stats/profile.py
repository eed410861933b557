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
from anew.stats._tally import scratch_for
from anew.stats.column import ColumnProfile
from anew.stats.edge import Binning, binning_from_dict, fit_column

__all__ = ["Column", "ColumnProfile", "Profile", "Reference"]

_SCHEMA = 1


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
        _check_schema(held)
        return cls(held["n"], {name: ColumnProfile.from_dict(column) for name, column in held["columns"].items()})

    def to_bytes(self) -> bytes:
        """Return a compact form, under 50 KB for 30 columns: a header in JSON and the numbers, both deflated."""
        header = self.to_dict()
        numbers: list[bytes] = []
        for name, column in self.columns.items():
            held = header["columns"][name]
            narrow = np.min_scalar_type(int(column.counts.max()))
            held["counts"], held["sums"] = [len(column.counts), narrow.str], len(column.sums)
            # Byte planes, so that deflate sees the zero bytes of the dropped bits side by side.
            numbers += [column.counts.astype(narrow).tobytes(), column.sums.view(np.uint8).reshape(-1, 8).T.tobytes()]
        head = json.dumps(header, separators=(",", ":")).encode()
        return zlib.compress(len(head).to_bytes(4, "big") + head + b"".join(numbers))

    @classmethod
    def from_bytes(cls, packed: bytes) -> "Profile":
        """Return what `to_bytes` was made from, to the last bit.

        Raises
        ------
        InvariantError
            The bytes are no profile.
        """
        try:
            raw = zlib.decompress(packed)
            at = 4 + int.from_bytes(raw[:4], "big")
            header = json.loads(raw[4:at])
        except (zlib.error, ValueError) as exc:
            raise InvariantError(f"these {len(packed)} bytes are not a profile") from exc
        for held in header["columns"].values():
            size, narrow = held["counts"]
            held["counts"] = np.frombuffer(raw, narrow, size, at)
            at += held["counts"].nbytes
            planes = np.frombuffer(raw, np.uint8, held["sums"] * 8, at).reshape(8, -1)
            held["sums"] = np.ascontiguousarray(planes.T).view(np.float64).ravel()
            at += planes.nbytes
        return cls.from_dict(header)


@dataclass(frozen=True, slots=True)
class Reference:
    """The bins of a version's training data and their counts: what windows are compared with.

    Examples
    --------
    >>> reference = Reference.fit({"colour": np.array(["red", "red", "blue"])})
    >>> window = reference.profile({"colour": np.array(["blue", "green"])})
    >>> window.columns["colour"].counts.tolist()  # red, blue, other, new, null
    [0, 1, 0, 1, 0]
    """

    binnings: Mapping[str, Binning]
    own: Profile
    _names: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "binnings", MappingProxyType(dict(self.binnings)))
        object.__setattr__(self, "_names", frozenset(self.binnings))
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
        for name, column in columns.items():
            with _named(name):
                fitted = fit_column(column, kind=told.get(name), bins=bins, vocabulary=vocabulary)
            binnings[name], counted[name] = fitted
        return cls(binnings, Profile(_height(columns), counted))

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
            missing = sorted(self._names - columns.keys())
            if missing:
                raise SchemaError(f"the reference has the columns {missing}, these rows have not", missing[0])
            height = _height({name: columns[name] for name in tallies})
            scratch = max(scratch, scratch_for(height), key=np.size)
            rows += height
            for name, tally in tallies.items():
                with _named(name):
                    tally.add(columns[name], scratch)
        return Profile(rows, {name: tally.profile() for name, tally in tallies.items()})

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON holds, `from_dict`'s inverse."""
        binnings = {name: binning.to_dict() for name, binning in self.binnings.items()}
        return {"schema": _SCHEMA, "binnings": binnings, "own": base64.b64encode(self.own.to_bytes()).decode()}

    @classmethod
    def from_dict(cls, held: dict[str, Any]) -> "Reference":
        """Return what `to_dict` was made from.

        Raises
        ------
        InvariantError
            It was written by a newer version, or its counts do not belong to its bins.
        """
        _check_schema(held)
        binnings = {name: binning_from_dict(binning) for name, binning in held["binnings"].items()}
        return cls(binnings, Profile.from_bytes(base64.b64decode(held["own"])))

    def to_bytes(self) -> bytes:
        """Return a compact form of `to_dict`."""
        plain = json.dumps(self.to_dict(), separators=(",", ":")).encode()
        return zlib.compress(
            plain, 1
        )  # edges are digits that look random: higher levels take four times as long for 2 %

    @classmethod
    def from_bytes(cls, packed: bytes) -> "Reference":
        """Return what `to_bytes` was made from."""
        return cls.from_dict(json.loads(zlib.decompress(packed)))


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


def _check_schema(held: Mapping[str, Any]) -> None:
    if held.get("schema") != _SCHEMA:
        raise InvariantError(f"this anew reads schema {_SCHEMA}, not {held.get('schema')}: update anew or profile anew")
