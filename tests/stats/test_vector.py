"""Vectors are counted by what a few numbers say of them: the same in any batch, and moved when the vectors move."""

import json
from itertools import pairwise

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anew.domain.errors import InvariantError, SchemaError
from anew.stats.change import measure_change
from anew.stats.profile import Reference
from anew.stats.vector import fit_view, is_ragged, is_vector

WIDTH = 12


def vectors(n: int, seed: int = 0, width: int = WIDTH) -> np.ndarray:
    chance = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(width, width))
    return chance.normal(size=(n, width)) @ mixing + 5.0


def lists(values: np.ndarray, missing: tuple[int, ...] = ()) -> pa.Array:
    return pa.array([None if i in missing else row.tolist() for i, row in enumerate(values)])


REFERENCE = Reference.fit({"e": vectors(4000)})


def p_values(rows: np.ndarray) -> dict[str, float]:
    now = REFERENCE.profile({"e": rows}).columns
    found = {name: measure_change(REFERENCE.own.columns[name], now[name]) for name in now}
    return {name: each.p_value for name, each in found.items() if each is not None}


def test_directions_are_the_principal_ones_of_scaled_columns() -> None:
    rows = vectors(800)
    view = fit_view(rows)
    scaled = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    _, along = np.linalg.eigh(np.corrcoef(rows, rowvar=False))
    cosines = np.abs(np.sum(view.directions * along[:, ::-1].T[: len(view.directions)], axis=1))
    assert cosines == pytest.approx(1.0, abs=1e-4)
    assert view.directions @ view.directions.T == pytest.approx(np.eye(7), abs=1e-5)
    numbers = view.numbers(rows)
    assert numbers[:, 0] == pytest.approx(np.sqrt((scaled**2).mean(axis=1)), rel=1e-5)
    assert numbers[:, 1:] == pytest.approx(scaled @ view.directions.T, abs=1e-4)


def test_every_kind_of_list_is_the_same_column() -> None:
    rows = vectors(50, 3)
    fixed = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), WIDTH)
    kinds = (rows, lists(rows), fixed, pa.chunked_array([lists(rows[:20]), lists(rows[20:])]), fixed.slice(0))
    profiles = [REFERENCE.profile({"e": each}) for each in kinds]
    assert all(each == profiles[0] for each in profiles)
    half = fixed.slice(10, 30)
    assert REFERENCE.profile({"e": half}) == REFERENCE.profile({"e": rows[10:40]})
    assert all(map(is_vector, kinds))
    assert not is_vector(pa.array([["a"]]))
    assert is_ragged(pa.array([[1.0], [1.0, 2.0]]))


def test_missing_vectors_are_null_and_others_than_these_are_nan() -> None:
    rows = vectors(10, 4)
    rows[3, 5] = np.inf
    column = pa.array([*lists(rows, (0, 7)).to_pylist(), [1.0, 2.0], [None, *[1.0] * (WIDTH - 1)]])
    for counted in REFERENCE.profile({"e": column}).columns.values():
        assert (counted.n, counted.nulls, int(counted.counts[-2])) == (12, 2, 3)


@given(cuts=st.lists(st.integers(0, 300), max_size=6))
@settings(max_examples=40, deadline=None)
def test_any_split_of_the_rows_counts_the_same(cuts: list[int]) -> None:
    rows = vectors(4000)[:300]  # the reference's own, which lie on its edges
    ends = [0, *sorted(cuts), 300]
    whole = REFERENCE.profile({"e": rows})
    parts = REFERENCE.profile_batches([{"e": rows[a:b]} for a, b in pairwise(ends) if a < b])
    for name, counted in whole.columns.items():
        assert np.array_equal(parts.columns[name].counts, counted.counts)


def test_drift_is_seen_and_its_absence_too() -> None:
    none = p_values(vectors(2000, 5))
    assert len(none) == 8
    assert min(none.values()) > 0.001
    moved = vectors(2000, 6) + 0.5 * vectors(4000).std(axis=0)
    assert min(p_values(moved).values()) < 1e-12
    apart = vectors(2000, 7)
    apart[:100] += 8 * vectors(4000).std(axis=0)
    assert p_values(apart)["e"] < 1e-12
    mirrored = 10.0 - vectors(2000, 8)  # the same mean and spread: nothing has moved
    assert min(p_values(mirrored).values()) > 0.001


def test_a_profile_does_not_grow_with_the_width() -> None:
    sizes = {}
    for width in (8, 1024):
        rows = np.random.default_rng(1).normal(size=(3000, width))
        reference = Reference.fit({"e": rows})
        assert len(reference.own.columns) == 8
        sizes[width] = len(reference.profile({"e": rows[:1000]}).to_bytes())
    assert sizes[1024] < 1.2 * sizes[8] < 20_000


def test_a_reference_comes_back_whole() -> None:
    again = Reference.from_bytes(REFERENCE.to_bytes())
    rows = vectors(500, 9)
    assert again.profile({"e": rows}) == REFERENCE.profile({"e": rows})
    assert again.names == ("e",)
    assert again.parts("e") == ("e", *(f"e direction {i}" for i in range(1, 8)))
    held = REFERENCE.to_dict()
    assert held["schema"] == 2
    with pytest.raises(InvariantError, match="update anew"):
        Reference.from_dict(json.loads(json.dumps(held)) | {"schema": 3})


def test_columns_stand_beside_each_other() -> None:
    rows = vectors(300, 1)
    both = Reference.fit({"x": rows[:, 0], "e": rows, "c": np.array(["a", "b"] * 150)})
    assert both.names == ("x", "e", "c")
    assert both.only(["c", "e"]).names == ("c", "e")
    apart = Reference.together([Reference.fit({"x": rows[:, 0]}), Reference.fit({"e": rows})])
    assert apart.own == both.only(["x", "e"]).own
    with pytest.raises(SchemaError, match="names of other columns: e direction 1"):
        Reference.fit({"e": rows, "e direction 1": rows[:, 0]})


def test_what_is_no_vector_is_refused_by_name() -> None:
    with pytest.raises(SchemaError, match="column 'e': a column of vectors holds lists of numbers"):
        REFERENCE.profile({"e": np.arange(3.0)} | {"e": pa.array([1.0, 2.0])})
    with pytest.raises(SchemaError, match=r"column 'e': vectors of one column are equally long, .* \[1, 2\]"):
        Reference.fit({"e": pa.array([[1.0], [1.0, 2.0]])})


def test_vectors_that_never_vary_or_never_came_have_no_direction() -> None:
    still = Reference.fit({"e": np.ones((40, 3))})
    assert still.parts("e") == ("e",)
    assert still.own.columns["e"].mean == 0.0
    never = Reference.fit({"e": pa.array([None, None], pa.list_(pa.float64(), 3))})
    assert never.own.columns["e"].nulls == 2
