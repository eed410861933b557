"""Bins: chosen at the reference's quantiles, every value in exactly one slot."""

import math
import sys

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from anew.domain.errors import InvariantError, SchemaError
from anew.stats.edge import CategoricalBinning, NumericBinning, binning_from_dict, fit_binning

ANY_FLOAT = st.floats(allow_nan=True, allow_infinity=True, width=64)
FEW_VALUES = st.sampled_from([-math.inf, -1e308, -1.0, -0.0, 0.0, 5e-324, 1.0, 2.0, 1e308, math.inf, math.nan])


def slot_of(value: float, edges: tuple[float, ...]) -> int:
    """Find a value's slot the slow and obvious way."""
    bins = len(edges) - 1
    if math.isnan(value):
        return bins + 4
    if math.isinf(value):
        return 0 if value < 0 else bins + 3
    if value < edges[0]:
        return 1
    for i in range(bins):
        if edges[i] <= value < edges[i + 1]:
            return i + 2
    return bins + 2


@settings(deadline=None, max_examples=150)
@given(
    reference=st.lists(ANY_FLOAT | FEW_VALUES, max_size=60),
    window=st.lists(ANY_FLOAT | FEW_VALUES, max_size=60),
)
@example(reference=[], window=[1.0, math.nan])
@example(reference=[sys.float_info.max], window=[sys.float_info.max])
@example(reference=[sys.float_info.max] * 2 + [-sys.float_info.max] * 2, window=[sys.float_info.max])
@example(reference=[1e308, -1e308], window=[1e308, 1e308, -1e308])
def test_every_value_is_counted_once_in_its_own_slot(reference: list[float], window: list[float]) -> None:
    binning = fit_binning(np.array(reference, dtype=np.float64))
    assert isinstance(binning, NumericBinning)
    counted = binning.count(np.array(window, dtype=np.float64))
    expected = np.zeros(len(binning.edges) + 5, dtype=int)
    for value in window:
        expected[slot_of(value, binning.edges)] += 1
    assert counted.counts.tolist() == expected.tolist()


@settings(deadline=None, max_examples=100)
@given(reference=st.lists(st.floats(-1e6, 1e6) | FEW_VALUES, min_size=1, max_size=400), bins=st.integers(16, 300))
def test_edges_increase_are_few_and_hold_the_whole_reference(reference: list[float], bins: int) -> None:
    binning = fit_binning(np.array(reference), bins=bins)
    assert isinstance(binning, NumericBinning)
    assert list(binning.edges) == sorted(set(binning.edges))
    assert len(binning.edges) - 1 <= bins
    counts = binning.count(np.array(reference)).counts
    finite = sum(map(math.isfinite, reference))
    inside = int(counts[2:-4].sum())
    assert inside == finite


def test_bins_of_a_smooth_column_are_equally_heavy_and_finer_in_the_tails() -> None:
    values = np.random.default_rng(1).lognormal(sigma=3.0, size=50_000)
    binning = fit_binning(values)
    assert isinstance(binning, NumericBinning)
    assert len(binning.edges) == 257
    counts = binning.count(values).counts[2:-4]
    assert counts[8:-8].min() > 190
    assert counts.max() < 220
    assert counts[0] < 30
    assert counts[-1] < 30


def test_a_heavy_value_has_a_bin_of_its_own() -> None:
    rng = np.random.default_rng(2)
    values = np.where(rng.random(10_000) < 0.3, 0.0, rng.normal(size=10_000))
    binning = fit_binning(values)
    assert isinstance(binning, NumericBinning)
    counts = binning.count(values).counts
    assert counts[slot_of(0.0, binning.edges)] == (values == 0.0).sum()
    assert slot_of(1e-300, binning.edges) != slot_of(0.0, binning.edges) != slot_of(-1e-300, binning.edges)


def test_each_value_of_a_discrete_column_is_counted_apart() -> None:
    values = np.repeat(np.arange(12), 500)
    counts = fit_binning(values).count(values).counts
    assert sorted(counts[counts > 0].tolist()) == [500] * 12
    # A value between them belongs to none of them.
    assert fit_binning(values).count(np.array([2.5])).counts[counts == 0].sum() == 1


def test_unknown_levels_are_new_when_the_vocabulary_is_complete_and_other_when_it_was_cut() -> None:
    reference = np.array(["a", "a", "a", "b", "b", "c"])
    window = np.array(["a", "c", "d", None], dtype=object)
    assert fit_binning(reference).count(window).counts.tolist() == [1, 0, 1, 0, 1, 1]
    cut = fit_binning(reference, vocabulary=2)
    assert cut == CategoricalBinning(("a", "b"), complete=False)
    assert cut.count(window).counts.tolist() == [1, 0, 2, 0, 1]


def test_the_vocabulary_does_not_depend_on_the_order_of_rows() -> None:
    assert fit_binning(np.array(["b", "a", "c", "c"])) == fit_binning(np.array(["c", "a", "c", "b"]))


@pytest.mark.parametrize("values", [np.arange(10.0), np.array(["a", "b"]), np.empty(0), np.array([], dtype=object)])
def test_bins_come_back_from_a_dict_with_the_same_address(values: np.ndarray) -> None:
    binning = fit_binning(values)
    assert binning_from_dict(binning.to_dict()) == binning
    assert binning_from_dict(binning.to_dict()).hash == binning.hash


def test_the_address_changes_with_any_edge_level_or_kind() -> None:
    hashes = {
        NumericBinning((0.0, 1.0), 0.5).hash,
        NumericBinning((0.0, math.nextafter(1.0, 2.0)), 0.5).hash,
        NumericBinning((0.0, 1.0), 0.25).hash,
        CategoricalBinning(("a", "b"), complete=True).hash,
        CategoricalBinning(("b", "a"), complete=True).hash,
        CategoricalBinning(("a", "b"), complete=False).hash,
    }
    assert len(hashes) == 6


def test_a_kind_may_be_told_against_the_type() -> None:
    coded = fit_binning(np.array([1, 2, 2]), kind="categorical")
    assert coded.count(np.array([2, 3])).counts.tolist() == [1, 0, 0, 1, 0]


def test_what_cannot_be_binned_is_refused() -> None:
    with pytest.raises(InvariantError, match="16 or more bins"):
        fit_binning(np.arange(5), bins=2)
    with pytest.raises(InvariantError, match="not 'ordinal'"):
        binning_from_dict({"kind": "ordinal"})
    with pytest.raises(SchemaError, match="one dimension"):
        fit_binning(np.zeros((2, 2)))
    with pytest.raises(SchemaError, match="numeric column holds numbers"):
        fit_binning(np.arange(5.0)).count(np.array(["a", "b"]))
