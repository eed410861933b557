"""Read the row contract off a table: which columns are numbers, which are categories, what the classes are."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from anew.adapters.iso_text import iso_problem
from anew.adapters.table_file import refuse_future
from anew.domain.column import Column, ColumnKind, Columns, Task
from anew.domain.errors import SchemaError, SettingsError
from anew.ports.rows import vectors

__all__ = ["Inferred", "Roles", "infer_schema"]

MAX_CLASSES = 100
MAX_VOCABULARY = 1000
_NEARLY = 0.95
"""Share of numbers in a column of text from which on the others look like mistakes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """What a person says of a table: `task` is ``classification`` or ``regression``; other columns are features.

    `key` keeps a user on one arm, `sensitive` are kept from the model; neither need be given.
    """

    time: str
    target: str
    task: str
    key: str = ""
    sensitive: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Inferred:
    """What a table says.

    Attributes
    ----------
    vocabulary
        For each category its levels, sorted; the 1,000 most frequent ones if there are more.
    start, end
        First and last instant.
    zoned
        Did the instants carry a zone? If not, they are taken as UTC.
    notes
        What a person should know: columns and rows left out, and why.
    """

    columns: Columns
    vocabulary: Mapping[str, tuple[str, ...]]
    rows: int
    start: datetime
    end: datetime
    zoned: bool
    notes: tuple[str, ...] = ()

    @property
    def length(self) -> timedelta:
        """Event time from the first row to the last."""
        return self.end - self.start


def infer_schema(frame: pl.DataFrame, roles: Roles, *, latest: datetime | None = None) -> Inferred:
    """Infer the row contract of `frame`.

    Integers stay numbers, however few values they have, unless they are too long to be told apart as such; these, text,
    booleans, categoricals and enums are categories; lists of numbers that are all of one length are vectors. Columns of
    any other type are left out, with a note.

    Parameters
    ----------
    latest
        The last instant that a row may bear; None for any.

    Raises
    ------
    SettingsError
        A named column is not there, the time or target column cannot serve as one, or no feature is left.
    """
    _check_names(frame, roles)
    start, end = _reach(frame.get_column(roles.time), latest)
    task, classes = _target(frame.get_column(roles.target), roles.task)
    notes = [f"{missing} rows without {roles.target!r}"] if (missing := _missing(frame, roles.target)) else []
    taken = {roles.time, roles.target, roles.key, *roles.sensitive}
    features, vocabulary = [], {}
    for series in frame:
        if series.name in taken:
            continue
        column, problem = _column(series)
        if column is None:
            notes.append(f"column {series.name!r}: {problem}")
            continue
        features.append(column)
        if column.kind is ColumnKind.CATEGORY:
            vocabulary[series.name], note = _levels(series)
            notes += [each for each in (note, _nearly_numbers(series), _sent_as_text(series)) if each]
    try:
        columns = Columns(
            time=roles.time,
            target=roles.target,
            features=tuple(features),
            task=task,
            classes=classes,
            key=roles.key,
            sensitive=roles.sensitive,
        )
    except SchemaError as exc:
        raise SettingsError(str(exc)) from exc
    zoned = getattr(frame.schema[roles.time], "time_zone", None) is not None
    return Inferred(
        columns=columns,
        vocabulary=vocabulary,
        rows=frame.height,
        start=start,
        end=end,
        zoned=zoned,
        notes=tuple(notes),
    )


def _check_names(frame: pl.DataFrame, roles: Roles) -> None:
    named = {"time": roles.time, "target": roles.target, "key": roles.key}
    named |= {f"sensitive[{i}]": name for i, name in enumerate(roles.sensitive)}
    missing = [f"{role} column {name!r}" for role, name in named.items() if name and name not in frame.columns]
    if missing:
        raise SettingsError(f"{', '.join(missing)} not found; the file has {', '.join(map(repr, frame.columns))}")
    if roles.time == roles.target:
        raise SettingsError(f"{roles.time!r} cannot be both the time and the target column")
    if roles.target in roles.sensitive:
        raise SettingsError(
            f"{roles.target!r} cannot be both the target and a sensitive column, which is kept from the model"
        )
    if roles.task not in ("classification", "regression"):
        raise SettingsError(f"task {roles.task!r} is unknown; it is classification or regression")


def _reach(series: pl.Series, latest: datetime | None) -> tuple[datetime, datetime]:
    """Return the first and the last instant, as they are written; a number's unit or origin is never guessed."""
    name, kind = series.name, series.dtype
    if not isinstance(kind, pl.Datetime) and kind != pl.Date:
        why = iso_problem(series) if kind == pl.String else ""
        if why:
            raise SettingsError(f"time column {name!r}: {why}; write all of them so")
        first = series.drop_nulls().head(1).to_list()
        raise SettingsError(
            f"time column {name!r} holds {kind} such as {first}; it must hold dates or instants in ISO 8601, "
            "e.g. 2024-05-01T12:00:00Z"
        )
    missing = series.null_count()
    if missing:
        raise SettingsError(f"time column {name!r} is missing in {missing} of {series.len()} rows; remove those rows")
    if latest is not None:
        try:
            refuse_future(series.to_frame(), name, "the file", latest)
        except SchemaError as exc:
            raise SettingsError(str(exc)) from exc
    instants = series.cast(pl.Datetime("us", getattr(kind, "time_zone", None)))
    start, end = instants.min(), instants.max()
    if not isinstance(start, datetime) or not isinstance(end, datetime) or start == end:
        raise SettingsError(f"time column {name!r} is the same in every row; a stream needs time to pass")
    return start, end


def _missing(frame: pl.DataFrame, name: str) -> int:
    return frame.get_column(name).null_count()


def _target(series: pl.Series, task: str) -> tuple[Task, tuple[int | str, ...]]:
    name, found = series.name, series.drop_nulls()
    distinct = found.n_unique()
    if distinct < 2:
        value = repr(found.first()) if distinct else "missing"
        raise SettingsError(f"target {name!r} is {value} in every row; there is nothing to learn")
    if task == "regression":
        if not series.dtype.is_numeric():
            raise SettingsError(f"target {name!r} holds {series.dtype}; regression needs numbers")
        if not found.cast(pl.Float64).is_finite().all():
            raise SettingsError(f"target {name!r} holds NaN or infinity; remove those rows")
        return Task.REGRESSION, ()
    if distinct > MAX_CLASSES:
        raise SettingsError(
            f"target {name!r} has {distinct} distinct values; classification takes at most {MAX_CLASSES}, "
            "use --task regression"
        )
    classes: tuple[int | str, ...]
    if series.dtype.is_numeric() or series.dtype == pl.Boolean:
        numbers = found.cast(pl.Float64)
        if not (numbers.is_finite().all() and (numbers == numbers.round()).all()):
            raise SettingsError(f"target {name!r} holds fractions; classes are whole numbers or text")
        classes = tuple(int(value) for value in numbers.unique().sort())
    else:
        classes = tuple(found.cast(pl.String).unique().sort())
    return (Task.BINARY if distinct == 2 else Task.MULTICLASS), classes


def _column(series: pl.Series) -> tuple[Column | None, str]:
    kind = series.dtype
    if isinstance(kind, pl.List | pl.Array):
        return _vector(series)
    found, problem = _kind(series)
    return (None if found is None else Column(name=series.name, kind=found)), problem


def _vector(series: pl.Series) -> tuple[Column | None, str]:
    known = series.drop_nulls()
    lengths = known.arr.to_list().list.len() if isinstance(known.dtype, pl.Array) else known.list.len()
    width = int(lengths[0]) if len(lengths) else 0
    try:
        column = Column(name=series.name, kind=ColumnKind.VECTOR, width=width)
        vectors(series, width)
    except SchemaError as exc:
        return None, f"left out; {exc}"
    return column, ""


def _kind(series: pl.Series) -> tuple[ColumnKind | None, str]:
    kind = series.dtype
    if series.name.startswith("_"):
        return None, "left out; names that begin with an underscore are anew's own"
    if kind.is_integer() and _rounded(series):
        return ColumnKind.CATEGORY, ""
    if kind.is_numeric() or kind == pl.Null:
        return ColumnKind.NUMBER, ""
    if kind in (pl.String, pl.Boolean, pl.Categorical) or isinstance(kind, pl.Enum):
        return ColumnKind.CATEGORY, ""
    return None, f"left out; {kind} is neither number nor category, derive one from it before"


def _levels(series: pl.Series) -> tuple[tuple[str, ...], str]:
    found = series.cast(pl.String).drop_nulls()
    if found.n_unique() <= MAX_VOCABULARY:
        return tuple(found.unique().sort()), ""
    frame = found.alias("level").to_frame().group_by("level").len().sort("len", "level", descending=[True, False])
    levels = tuple(frame.head(MAX_VOCABULARY).get_column("level").sort())
    return (
        levels,
        f"column {series.name!r}: has {frame.height} levels; all but the {MAX_VOCABULARY} most frequent are unseen",
    )


def _rounded(whole: pl.Series) -> bool:
    """Is any of these integers, such as an id, another number as a float?"""
    return bool(whole.cast(pl.Float64).cast(whole.dtype, strict=False).ne_missing(whole).any())


def _sent_as_text(series: pl.Series) -> str:
    """Return what to say of a category whose values are no text in the file; empty for others."""
    if series.dtype == pl.Boolean:
        return f'column {series.name!r}: booleans are a category, whose callers send the texts "true" and "false"'
    if series.dtype.is_integer():
        return (
            f"column {series.name!r}: has whole numbers beyond 2^53, which are rounded as numbers; it is a category, "
            "whose callers send text"
        )
    return ""


def _nearly_numbers(series: pl.Series) -> str:
    """Return what to say of text that is a number in nearly every row; empty for others, and where all are numbers."""
    if series.dtype != pl.String:
        return ""
    others = series.is_not_null() & series.str.strip_chars().cast(pl.Float64, strict=False).is_null()
    known, strange = series.len() - series.null_count(), int(others.sum())
    row = others.arg_max()
    if not strange or row is None or known - strange < _NEARLY * known:
        return ""
    return (
        f"column {series.name!r}: {known - strange} of {known} values are numbers, and yet it is a category: the first "
        f"other is {series[row]!r} in row {row + 1}; leave such cells empty to have a number"
    )
