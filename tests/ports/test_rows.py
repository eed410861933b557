"""Vectors on their way to the model: checked where they come in, a column of numbers each where they go out."""

import math
from typing import Any

import numpy as np
import polars as pl
import pytest

from anew.domain.column import Column, ColumnKind, Columns, Task
from anew.domain.errors import SchemaError
from anew.feedback.address import rows_address
from anew.ports.rows import declared_rows, flat_inputs, input_matrix, vectors

COLUMNS = Columns(
    time="at",
    target="y",
    features=(Column(name="e", kind=ColumnKind.VECTOR, width=2), Column(name="x", kind=ColumnKind.NUMBER)),
    task=Task.REGRESSION,
)


@pytest.mark.parametrize(
    "held",
    [
        pl.Series("e", [[1.0, 2.0], None]),
        pl.Series("e", [[1, 2], None], dtype=pl.List(pl.Int8)),
        pl.Series("e", [[1.0, 2.0], None], dtype=pl.Array(pl.Float32, 2)),
    ],
)
def test_lists_and_arrays_of_any_numbers_are_vectors(held: pl.Series) -> None:
    rows = declared_rows(pl.DataFrame({"x": [1, 2], "e": held}), COLUMNS)
    assert rows.schema == {"e": pl.Array(pl.Float64, 2), "x": pl.Float64}
    assert rows.get_column("e").to_list() == [[1.0, 2.0], None]
    flat = flat_inputs(rows)
    assert flat.columns == ["e.0", "e.1", "x"]
    assert str(input_matrix(flat).tolist()) == str([[1.0, 2.0, 1.0], [math.nan, math.nan, 2.0]])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([[1.0, 2.0], [3.0]], "vectors of 2 numbers; not so 1 of its values, the first with 1"),
        ([[1.0, 2.0, 3.0]], "the first with 3"),
        ([[]], "the first with 0"),
        ([[1.0, None]], r"1 numbers in its vectors are missing or not from -1e\+100 to 1e\+100"),
        ([[math.nan, math.inf]], "2 numbers in its vectors are missing or not from"),
        ([[1e308, 1e100]], "1 numbers in its vectors are missing or not from"),
        ([["a", "b"]], r"declared as a vector\(2\) and holds List\(String\)"),
        ([1.0], r"declared as a vector\(2\) and holds Float64"),
    ],
)
def test_what_is_no_such_vector_is_refused_with_what_was_found(values: list[Any], said: str) -> None:
    with pytest.raises(SchemaError, match=said) as caught:
        declared_rows(pl.DataFrame({"e": values, "x": [1.0] * len(values)}), COLUMNS)
    assert caught.value.path == "e"


def test_nothing_and_no_rows_are_vectors_too() -> None:
    assert vectors(pl.Series("e", [None, None]), 2).to_list() == [None, None]
    assert vectors(pl.Series("e", [], dtype=pl.List(pl.Float64)), 2).dtype == pl.Array(pl.Float64, 2)


def test_names_that_are_taken_are_told() -> None:
    rows = pl.DataFrame({"e": pl.Series([[1.0, 2.0]], dtype=pl.Array(pl.Float64, 2)), "e.1": [3.0]})
    with pytest.raises(SchemaError, match="names are taken"):
        flat_inputs(rows)


def test_a_vector_counts_in_the_address_of_rows() -> None:
    def address(last: float) -> str:
        return rows_address(pl.DataFrame({"e": pl.Series([[1.0, last], None], dtype=pl.Array(pl.Float64, 2))}))

    assert address(2.0) == address(2.0) != address(np.nextafter(2.0, 3.0))
