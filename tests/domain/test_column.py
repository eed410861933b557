"""Declared columns: what a kind may be, and what a vector's width."""

import pytest

from anew.domain.column import Column, ColumnKind, Columns, Task, out_of_reach
from anew.domain.errors import SchemaError
from anew.domain.manifest import columns_from_json, columns_to_json

VIEW = Column(name="view", kind=ColumnKind.VECTOR, width=384)


@pytest.mark.parametrize("declared", ["number", "category", "vector(384)", "vector(1)"])
def test_a_kind_is_read_as_it_is_written(declared: str) -> None:
    assert Column.declared_as("view", declared).declared == declared


@pytest.mark.parametrize(
    "declared",
    ["vector", "vector()", "vector(0)", "vector(-1)", "vector(9999)", "vector(007)", "Vector(3)", "text", ""],
)
def test_another_kind_is_refused(declared: str) -> None:
    with pytest.raises(SchemaError, match="vector"):
        Column.declared_as("view", declared)


@pytest.mark.parametrize(("kind", "width"), [(ColumnKind.VECTOR, 0), (ColumnKind.NUMBER, 3), (ColumnKind.VECTOR, 5000)])
def test_vectors_and_they_alone_have_a_width(kind: ColumnKind, width: int) -> None:
    with pytest.raises(SchemaError, match=f"a width of {width}"):
        Column(name="view", kind=kind, width=width)


def test_a_vector_is_no_key() -> None:
    with pytest.raises(SchemaError, match="a key is text or a number"):
        Columns(time="at", target="y", features=(VIEW,), task=Task.REGRESSION, key="view")


def test_a_row_contract_comes_back_and_an_old_one_is_read() -> None:
    columns = Columns(
        time="at", target="y", features=(VIEW, Column(name="x", kind=ColumnKind.NUMBER)), task=Task.REGRESSION
    )
    assert columns_from_json(columns_to_json(columns)) == columns
    written = columns_to_json(columns)["features"]
    assert written == [
        {"name": "view", "kind": "vector", "nullable": True, "width": 384},
        {"name": "x", "kind": "number", "nullable": True},  # as before there were vectors
    ]


@pytest.mark.parametrize(
    ("number", "found"),
    [
        (1e100, ""),
        (-(10**100), ""),
        (-1.2345678901234567e108, "-1.2345678901234566e+108 is no"),
        (float("nan"), "nan is no"),
        (10**5000, "one of 16610 bits is no"),
    ],
    ids=["bound", "whole bound", "seventeen digits", "nan", "digits without end"],
)
def test_a_number_that_is_out_of_reach_is_named_whole(number: float, found: str) -> None:
    said = out_of_reach(number)
    assert said.startswith(found)
    assert bool(said) == bool(found)
