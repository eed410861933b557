"""One column's counts: sums that merge without rounding, and no way to hold nonsense."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anew.domain.errors import InvariantError
from anew.stats.column import ColumnProfile, settle
from anew.stats.edge import fit_binning


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=20))
def test_settled_sums_are_finite_and_right_to_24_bits(values: list[float]) -> None:
    sums = np.array(values, dtype=np.float64)
    settled = settle(sums)
    assert np.isfinite(settled).all()
    ordinary = np.isfinite(sums) & (np.abs(sums) < 1e300) & (np.abs(sums) > 1e-290)
    assert np.abs(settled[ordinary] / sums[ordinary] - 1.0).max(initial=0.0) <= 2.0**-24


def test_settled_sums_add_up_the_same_in_any_order() -> None:
    sums = settle(np.random.default_rng(0).normal(100.0, 20.0, size=2000))
    assert sum(sums.tolist()) == sum(sums[::-1].tolist()) == float(np.sort(sums).sum())


def test_overflowing_sums_stay_numbers_through_merges() -> None:
    column = fit_binning(np.arange(10.0)).count(np.array([1e308, 1e308, -1e308, -1e308]))
    twice = column + column
    assert np.isfinite(twice.sums).all()
    assert np.isfinite(twice.squares)
    assert twice.counts[[1, -4]].tolist() == [4, 4]


def test_a_column_without_numbers_has_no_mean() -> None:
    column = fit_binning(np.arange(10.0)).count(np.array([np.nan, np.inf]))
    assert (column.n, column.finite, column.nulls) == (2, 0, 0)
    assert column.mean is None
    assert column.variance is None


def test_columns_are_equal_by_what_they_hold() -> None:
    binning = fit_binning(np.arange(10.0))
    assert binning.count(np.array([1.0, 2.0])) == binning.count(np.array([2.0, 1.0]))
    assert hash(binning.count(np.array([1.0]))) == hash(binning.count(np.array([1.0])))
    assert binning.count(np.array([1.0])) != binning.count(np.array([2.0]))
    assert binning.count(np.array([1.0])) != "a column"


@pytest.mark.parametrize(("counts", "sums"), [([1, 2], []), ([1, 2, 3, 4, 5, -1], []), ([1, 2, 3, 4, 5, 6], [1.0])])
def test_counts_that_cannot_be_are_refused(counts: list[int], sums: list[float]) -> None:
    with pytest.raises(InvariantError):
        ColumnProfile(kind="numeric", edges="e", counts=np.array(counts), sums=np.array(sums))
