"""The row contract that is read off a table."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from anew.adapters.schema_inference import Roles, infer_schema
from anew.domain.column import Column, ColumnKind, Task
from anew.domain.errors import SettingsError

N = 40
NAIVE = datetime(2024, 1, 1)  # noqa: DTZ001 - files without a zone are what is tested
ROLES = Roles(time="at", target="y", task="classification")


def table(**columns: Any) -> pl.DataFrame:
    start = datetime(2024, 1, 1, tzinfo=UTC)
    base: dict[str, Any] = {
        "at": [start + timedelta(hours=i) for i in range(N)],
        "y": [i % 2 for i in range(N)],
        "x": [float(i) for i in range(N)],
    }
    return pl.DataFrame(base | columns)


def test_kinds_follow_from_types() -> None:
    frame = table(
        whole=[i % 2 for i in range(N)],
        text=["b" if i % 2 else "a" for i in range(N)],
        flag=[bool(i % 2) for i in range(N)],
        factor=pl.Series(["u", "v"] * (N // 2), dtype=pl.Categorical),
        level=pl.Series(["u", None] * (N // 2), dtype=pl.Enum(["u", "w"])),
        nothing=[None] * N,
        when=[date(2024, 1, 1)] * N,
        several=[["a"]] * N,
        ragged=[[1.0], [1.0, 2.0]] * (N // 2),
        vector=[[1.0, 2.0], None] * (N // 2),
        broken=[[1.0, float("nan")]] * N,
        _own=[1.0] * N,
    )
    found = infer_schema(frame, ROLES)
    number, category = ColumnKind.NUMBER, ColumnKind.CATEGORY
    assert {column.name: column.kind for column in found.columns.features} == {
        "x": number,
        "whole": number,
        "text": category,
        "flag": category,
        "factor": category,
        "level": category,
        "nothing": number,
        "vector": ColumnKind.VECTOR,
    }
    assert found.vocabulary == {
        "text": ("a", "b"),
        "flag": ("false", "true"),
        "factor": ("u", "v"),
        "level": ("u",),
    }
    assert [note.split(":")[0] for note in found.notes] == [
        f"column {name!r}" for name in ("flag", "when", "several", "ragged", "broken", "_own")
    ]
    assert next(column.width for column in found.columns.features if column.name == "vector") == 2


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (pl.Series([2**53] * N), ColumnKind.NUMBER),
        (pl.Series([-(2**53), None] * (N // 2)), ColumnKind.NUMBER),
        (pl.Series([255] * N, dtype=pl.UInt8), ColumnKind.NUMBER),
        (pl.Series([2.0**60] * N), ColumnKind.NUMBER),
        (pl.Series([2**53 + 1, None] * (N // 2)), ColumnKind.CATEGORY),
        (pl.Series([-(2**53) - 1] * N), ColumnKind.CATEGORY),
        (pl.Series([2**63 - 1] * N), ColumnKind.CATEGORY),
        (pl.Series([2**64 - 1] * N, dtype=pl.UInt64), ColumnKind.CATEGORY),
    ],
    ids=["2^53", "-2^53", "short", "a float", "2^53+1", "-2^53-1", "longest", "longest unsigned"],
)
def test_whole_numbers_that_would_be_rounded_are_names(values: pl.Series, kind: ColumnKind) -> None:
    found = infer_schema(table(id=values), ROLES)
    assert {column.name: column.kind for column in found.columns.features}["id"] is kind
    named = kind is ColumnKind.CATEGORY
    assert [note for note in found.notes if "'id'" in note and "callers send text" in note] == list(found.notes)
    assert bool(found.notes) is named
    assert found.vocabulary == ({"id": (str(values[0]),)} if named else {})


@pytest.mark.parametrize(
    ("labels", "task", "classes"),
    [
        ([0, 1] * 20, Task.BINARY, (0, 1)),
        ([1.0, 3.0, 2.0, 1.0] * 10, Task.MULTICLASS, (1, 2, 3)),
        ([True, False] * 20, Task.BINARY, (0, 1)),
        (["no", "yes"] * 20, Task.BINARY, ("no", "yes")),
        (["10", "9", None, "9"] * 10, Task.BINARY, ("10", "9")),
    ],
)
def test_classes_are_written_as_they_stand_in_json(labels: list[Any], task: Task, classes: tuple[Any, ...]) -> None:
    found = infer_schema(table(y=labels), ROLES)
    assert (found.columns.task, found.columns.classes) == (task, classes)
    assert [type(label) for label in found.columns.classes] == [type(label) for label in classes]


def test_a_long_vocabulary_is_cut_at_the_most_frequent_levels() -> None:
    n = 3000
    frame = pl.DataFrame(
        {
            "at": pl.datetime_range(NAIVE, NAIVE + timedelta(days=366), "1h", eager=True).head(n),
            "y": [i % 2 for i in range(n)],
            "id": ["often" if i % 2 else f"{i:05d}" for i in range(n)],
        }
    )
    found = infer_schema(frame, ROLES)
    assert len(found.vocabulary["id"]) == 1000
    assert "often" in found.vocabulary["id"]
    assert "1501 levels" in found.notes[0]
    assert not found.zoned


def test_key_and_sensitive_columns_are_no_features() -> None:
    frame = table(user=["u"] * N, sex=["f"] * N)
    roles = Roles(time="at", target="y", task="classification", key="user", sensitive=("sex",))
    columns = infer_schema(frame, roles).columns
    assert columns.features == (Column(name="x", kind=ColumnKind.NUMBER),)
    assert (columns.key, columns.sensitive) == ("user", ("sex",))


@pytest.mark.parametrize(
    ("changes", "roles", "says"),
    [
        ({}, {"time": "when"}, "time column 'when' not found; the file has 'at', 'y', 'x'"),
        ({}, {"target": "label"}, "target column 'label' not found"),
        ({}, {"key": "who"}, "key column 'who' not found"),
        ({}, {"target": "at"}, "cannot be both"),
        ({}, {"sensitive": ("x", "y")}, "'y' cannot be both the target and a sensitive column, which is kept from the"),
        ({}, {"task": "ranking"}, "task 'ranking' is unknown; it is classification or regression"),
        ({"at": range(N)}, {}, "holds Int64 such as [0]"),
        ({"at": ["yesterday"] * N}, {}, "'yesterday' in row 1 is neither a date nor an instant in ISO 8601"),
        ({"at": ["2024-01-01", "2024-01-02"] * 20}, {}, "holds String such as ['2024-01-01']"),
        ({"at": [None] * N}, {}, "holds Null"),
        ({"at": [NAIVE] * N}, {}, "the same in every row; a stream needs time to pass"),
        ({"at": [NAIVE, None] * 20}, {}, "missing in 20 of 40 rows"),
        ({"y": [1] * N}, {}, "is 1 in every row"),
        ({"y": [None] * N}, {}, "is missing in every row"),
        ({"y": [0.5, 1.0] * 20}, {}, "holds fractions"),
        ({"y": ["a", "b"] * 20}, {"task": "regression"}, "regression needs numbers"),
        ({"y": [1.0, float("nan")] * 20}, {"task": "regression"}, "NaN or infinity"),
        ({"X": [1.0] * N}, {}, "differ at most in case"),
    ],
)
def test_what_cannot_be_is_said(changes: dict[str, Any], roles: dict[str, Any], says: str) -> None:
    asked = {"time": "at", "target": "y", "task": "classification"} | roles
    with pytest.raises(SettingsError) as caught:
        infer_schema(table(**changes), Roles(**asked))
    assert says in str(caught.value)


def test_too_many_classes_and_no_feature_are_refused() -> None:
    n = 150
    at = pl.datetime_range(NAIVE, NAIVE + timedelta(days=366), "1h", eager=True).head(n)
    many = pl.DataFrame({"at": at, "y": range(n), "x": range(n)})
    with pytest.raises(SettingsError, match="150 distinct values"):
        infer_schema(many, ROLES)
    with pytest.raises(SettingsError, match="no feature column"):
        infer_schema(table().drop("x"), ROLES)


def test_rows_from_the_future_are_refused() -> None:
    newest = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=N - 1)
    assert infer_schema(table(), ROLES, latest=newest).end == newest
    with pytest.raises(SettingsError, match="1 of 40 rows lie in the future, the first of them is row 40"):
        infer_schema(table(), ROLES, latest=newest - timedelta(microseconds=1))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            ["1.5", None, "-"] + ["2"] * 37,
            "38 of 39 values are numbers, and yet it is a category: the first other is '-' in row 3",
        ),
        (
            [" 1"] * 38 + ["n/a", "?"],
            "38 of 40 values are numbers, and yet it is a category: the first other is 'n/a' in row 39",
        ),
        (["1"] * 37 + ["a", "b", "c"], ""),
        (["1"] * 40, ""),
        ([None] * 39 + ["a"], ""),
    ],
)
def test_text_that_is_numbers_but_for_some_cells_is_told(values: list[str | None], said: str) -> None:
    found = infer_schema(table(t=pl.Series(values, dtype=pl.String)), ROLES)
    assert found.columns.features[-1].kind is ColumnKind.CATEGORY
    assert [note.removeprefix("column 't': ").partition(";")[0] for note in found.notes] == ([said] if said else [])
