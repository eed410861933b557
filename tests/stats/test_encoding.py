"""Rows as points: scaled, bounded, and told when they are missing."""

import numpy as np
import polars as pl
import pytest

from anew.domain.errors import InvariantError
from anew.stats.encoding import fit_encoding

ROWS = pl.DataFrame(
    {
        "x": [0.0, 1.0, 2.0, 3.0, 4.0, None],
        "c": ["a", "a", "b", None, "a", "b"],
        "e": pl.Series([*([2.0 * i, 2.0 * i + 1] for i in range(5)), None], dtype=pl.Array(pl.Float64, 2)),
    }
)


def test_numbers_categories_and_vectors_become_points() -> None:
    points = fit_encoding(ROWS, ["x", "c", "e"]).points(ROWS)
    assert points.shape == (6, 2 + 4 + 3)
    assert points[2, :2].tolist() == [0.0, 0.0]  # the median, there
    assert points[5, :2].tolist() == [0.0, 1.0]  # missing
    assert points[:, 2:6].tolist() == np.eye(4)[[0, 0, 1, 3, 0, 1]].tolist()
    assert points[:, 8].tolist() == [0.0] * 5 + [1.0]
    assert np.square(points[4, 6:8]).sum() == pytest.approx(points[4, 0] ** 2)  # a vector weighs as a number does


def test_a_huge_or_an_unknown_value_stays_in_reach() -> None:
    encoding = fit_encoding(ROWS, ["x", "c"])
    odd = pl.DataFrame({"x": [1e300, -float("inf"), float("nan")], "c": ["new", "", None]})
    points = encoding.points(odd)
    assert points[:, 0].tolist() == [10.0, -10.0, 0.0]
    assert points[:, 1].tolist() == [0.0, 1.0, 1.0]
    assert points[:, 2:].tolist() == np.eye(4)[[2, 2, 3]].tolist()


def test_a_column_that_never_varied_or_never_came_is_no_division_by_nothing() -> None:
    still = pl.DataFrame({"x": [1.0] * 5, "n": [None] * 5})
    points = fit_encoding(still, ["x", "n"]).points(still)
    assert points.tolist() == [[0.0, 0.0, 0.0, 1.0]] * 5


@pytest.mark.parametrize("names", [[], ["y"], ["l"]])
def test_what_cannot_be_encoded_is_refused(names: list[str]) -> None:
    with pytest.raises(InvariantError):
        fit_encoding(ROWS.with_columns(l=pl.Series([["a"]] * 6)), names)
    with pytest.raises(InvariantError, match="lack"):
        fit_encoding(ROWS, ["x"]).points(ROWS.drop("x"))
