"""Compare two sets of rows column by column, in one pass over each."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from anew.adapters.reference_file import StoredReference, read_reference, write_reference
from anew.adapters.table_stream import TableStream, open_table
from anew.domain.errors import SchemaError, SettingsError
from anew.stats.comparison import ColumnDrift, DriftVerdict, judge, measure
from anew.stats.profile import Profile, Reference
from anew.stats.sketch import QuantileSketch
from anew.stats.vector import is_ragged

__all__ = ["QUANTILES", "DriftOptions", "DriftReport", "Quantiles", "TypeChange", "measure_drift", "measure_quantiles"]

_FAMILIES = {
    "level": {"string", "large_string", "string_view", "binary", "large_binary", "binary_view", "fixed_size_binary"},
    "instant": {"timestamp", "date32", "date64"},
    "time of day": {"time32", "time64"},
    "duration": {"duration"},
    "nothing": {"null"},
    "vector": {"list", "large_list", "fixed_size_list"},
}
"""Arrow types that are compared among themselves; all others are numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftOptions:
    """What to compare, and how strictly.

    Parameters
    ----------
    current
        Parquet file of the rows to judge.
    reference
        Parquet file of the rows to judge them by, or None with `reference_profile`.
    reference_profile
        What an earlier run stored of its reference.
    save_profile
        Where to store the reference's profile, None not to.
    alpha
        Chance of any false finding among the columns.
    margin
        Population stability index up to which a change does not matter; 0.005 is a shift of the mean by 0.07 standard
        deviations.
    """

    current: Path
    reference: Path | None = None
    reference_profile: Path | None = None
    save_profile: Path | None = None
    alpha: float = 0.01
    margin: float = 0.005

    def __post_init__(self) -> None:
        problems = []
        if (self.reference is None) == (self.reference_profile is None):
            problems.append("give one of --reference FILE and --reference-profile FILE")
        if self.save_profile is not None and self.reference is None:
            problems.append("--save-profile stores what is made of --reference FILE: give it too")
        if not 0 < self.alpha < 1:
            problems.append(f"--alpha {self.alpha:g}: a chance lies between 0 and 1, e.g. 0.01")
        if not 0 <= self.margin < 10:
            problems.append(f"--margin {self.margin:g}: a margin on the index is 0 or more, e.g. 0.005")
        if problems:
            raise SettingsError(*problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeChange:
    """A column that holds something else than it did.

    Parameters
    ----------
    before, after
        Arrow types as text.
    comparable
        Whether its values could still be compared, as numbers of another width can.
    """

    before: str
    after: str
    comparable: bool

    def __str__(self) -> str:
        """Say it after the column's name."""
        return f"was {self.before}, is {self.after}{'' if self.comparable else ', which cannot be compared'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftReport:
    """What was found.

    Parameters
    ----------
    columns
        Verdict on each column that both sides have and that could be compared, in the reference's order; on each part
        of a column of vectors.
    reference, current
        The profiles of those columns.
    missing
        Columns of the reference that the current rows lack.
    new
        Columns that the reference lacks.
    retyped
        Columns whose type changed.
    unsupported
        Columns of either side that hold structs, maps, or lists that are no vectors: not looked at.
    """

    options: DriftOptions
    columns: Mapping[str, ColumnDrift]
    reference: Profile
    current: Profile
    missing: tuple[str, ...]
    new: tuple[str, ...]
    retyped: Mapping[str, TypeChange]
    unsupported: tuple[str, ...]

    @property
    def drifted(self) -> tuple[str, ...]:
        """Columns found to have drifted, the furthest first."""
        found = [
            (-each.measured.psi, name)
            for name, each in self.columns.items()
            if each.verdict is DriftVerdict.DRIFT and each.measured is not None
        ]
        return tuple(name for _, name in sorted(found))

    @property
    def unsettled(self) -> bool:
        """Whether a column drifted, is missing or cannot be compared any more."""
        return bool(self.drifted or self.missing or self.broken)

    @property
    def broken(self) -> tuple[str, ...]:
        """Columns that cannot be compared any more, because their type changed."""
        return tuple(name for name, change in self.retyped.items() if not change.comparable)


QUANTILES = (0.05, 0.5, 0.95)
"""Shares that `measure_quantiles` asks for."""

Quantiles = tuple[float, ...] | None


def measure_quantiles(options: DriftOptions, report: DriftReport) -> Mapping[str, tuple[Quantiles, Quantiles]]:
    """Return the quantiles of each number of both sides, the reference's first, by sketches: one more pass over each.

    Raises
    ------
    SettingsError
        There is no file of reference rows.
    MissingExtraError
        The extra ``sketches`` is not installed.
    NotFoundError, SchemaError
        A file is not there, or cannot be read.
    """
    if options.reference is None:
        raise SettingsError("--quantiles reads rows: give --reference FILE, a stored profile has none")
    tables = open_table(options.reference), open_table(options.current)
    names = [
        name
        for name, column in report.reference.columns.items()
        if column.kind == "numeric" and all(name in each.types and name not in each.widths for each in tables)
    ]
    first, second = (_sketched(each, names) for each in tables)
    return {name: (first[name].quantiles(QUANTILES), second[name].quantiles(QUANTILES)) for name in names}


def _sketched(table: TableStream, names: list[str]) -> dict[str, QuantileSketch]:
    sketches = {name: QuantileSketch() for name in names}
    for batch in table.batches(names):
        for name, sketch in sketches.items():
            sketch.add(batch[name])
    return sketches


def measure_drift(options: DriftOptions) -> DriftReport:
    """Profile the current rows on the reference's bins and judge every column.

    Raises
    ------
    NotFoundError
        A file is not there.
    SchemaError
        A file is not Parquet, or both sides have no column in common.
    IntegrityError
        The stored reference is none, or damaged.
    """
    current = open_table(options.current)
    stored = _reference(options)
    own = stored.reference.own.columns
    retyped = {name: _change(stored, current, name) for name in stored.types if _is_retyped(stored, current, name)}
    shared = [
        name
        for name in stored.reference.names
        if name in current.types and (name not in retyped or retyped[name].comparable)
    ]
    if not shared:
        raise SchemaError(
            f"no column can be compared: the reference has {_listed(stored.types)}, the current rows have "
            f"{_listed(current.types)}; needed is one that holds the same on both: numbers, text, times or vectors"
        )
    seen = _profile(stored.reference, current, shared)
    measured = {name: measure(own[name], column, options.margin) for name, column in seen.columns.items()}
    return DriftReport(
        options=options,
        columns=judge(measured, options.alpha),
        reference=Profile(stored.reference.own.n, {name: own[name] for name in seen.columns}),
        current=seen,
        missing=tuple(name for name in stored.types if name not in current.types),
        new=tuple(name for name in current.types if name not in stored.types),
        retyped=retyped,
        unsupported=tuple(sorted(current.unsupported | (stored.types.keys() - own.keys()))),
    )


def _reference(options: DriftOptions) -> StoredReference:
    if options.reference is None:
        if options.reference_profile is None:
            raise SettingsError("give one of --reference FILE and --reference-profile FILE")
        return read_reference(options.reference_profile)
    table = open_table(options.reference)
    fitted = []
    for name in table.types:
        column = None if name in table.unsupported else table.column(name)
        if column is not None and not (name in table.widths and is_ragged(column)):
            fitted.append(Reference.fit({name: column}))
    stored = StoredReference(Reference.together(fitted), table.types)
    if options.save_profile is not None:
        write_reference(options.save_profile, stored)
    return stored


def _is_retyped(stored: StoredReference, current: TableStream, name: str) -> bool:
    return name in current.types and stored.types[name] != current.types[name]


def _change(stored: StoredReference, current: TableStream, name: str) -> TypeChange:
    before, after = stored.types[name], current.types[name]
    looked_at = name in stored.reference.binnings and name not in current.unsupported
    # A column without any value has no type of its own: it is compared, as nulls.
    same = after == "null" or _family(before) == _family(after)
    return TypeChange(before=before, after=after, comparable=looked_at and same)


def _listed(types: Mapping[str, str]) -> str:
    return ", ".join(f"{name} ({kind})" for name, kind in types.items()) or "none"


def _family(kind: str) -> str:
    """Return what values of an Arrow type are compared as."""
    name = kind.partition("[")[0].partition("(")[0].partition("<")[0]
    return next((family for family, names in _FAMILIES.items() if name in names), "number")


def _profile(reference: Reference, current: TableStream, names: list[str]) -> Profile:
    return reference.only(names).profile_batches(current.batches(names))
