"""Profiles: every container reads the same, any split and order adds up, bytes come back."""

import datetime as dt
import decimal
import itertools
import json
import math
import random
from typing import TypeAlias

import numpy as np
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anew.domain.errors import InvariantError, SchemaError
from anew.stats.edge import NumericBinning
from anew.stats.profile import Column, Profile, Reference

NEW_YEAR = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
Row: TypeAlias = tuple[float, str | None]

ROWS = st.lists(
    st.tuples(
        st.floats(allow_nan=True, allow_infinity=True, width=32) | st.sampled_from([0.0, 1.0]),
        st.none() | st.sampled_from(["a", "b", "c", "zz", ""]),
    ),
    max_size=80,
)


def columns(rows: list[Row]) -> dict[str, Column]:
    return {
        "x": np.array([row[0] for row in rows], dtype=np.float64),
        "c": np.array([row[1] for row in rows], dtype=object),
    }


def reference() -> Reference:
    rng = np.random.default_rng(3)
    return Reference.fit({"x": rng.normal(size=500), "c": np.array(list("aaabbc"))[rng.integers(0, 6, 500)]})


def close(one: Profile, other: Profile) -> bool:
    same = one.n == other.n and one.columns.keys() == other.columns.keys()
    for name, mine in one.columns.items():
        theirs = other.columns[name]
        scale = float(np.abs(mine.sums).max(initial=1.0))
        same &= mine.counts.tolist() == theirs.counts.tolist()
        same &= (mine.minimum, mine.maximum) == (theirs.minimum, theirs.maximum)
        same &= np.allclose(mine.sums, theirs.sums, rtol=1e-5, atol=1e-6 * scale)
        same &= math.isclose(mine.squares, theirs.squares, rel_tol=1e-5)
    return bool(same)


@settings(deadline=None, max_examples=120)
@given(rows=ROWS, cuts=st.lists(st.integers(0, 80), max_size=6), order=st.randoms(use_true_random=False))
def test_any_split_in_any_order_adds_up_to_one_pass(rows: list[Row], cuts: list[int], order: random.Random) -> None:
    against = reference()
    whole = against.profile(columns(rows))
    ends = sorted({0, len(rows), *(min(cut, len(rows)) for cut in cuts)})
    parts = [against.profile(columns(rows[a:b])) for a, b in itertools.pairwise(ends)]
    order.shuffle(parts)
    total = against.profile(columns([]))
    for part in parts:
        total = total + part
    assert close(total, whole)


@settings(deadline=None, max_examples=80)
@given(a=ROWS, b=ROWS, c=ROWS)
def test_merging_is_commutative_and_associative(a: list[Row], b: list[Row], c: list[Row]) -> None:
    against = reference()
    first, second, third = (against.profile(columns(rows)) for rows in (a, b, c))
    assert first + second == second + first
    assert close((first + second) + third, first + (second + third))
    assert first + against.profile(columns([])) == first


@settings(deadline=None, max_examples=80)
@given(rows=ROWS)
def test_counts_sum_to_the_rows_and_moments_are_those_of_numpy(rows: list[Row]) -> None:
    profile = reference().profile(columns(rows))
    assert {column.n for column in profile.columns.values()} == {len(rows)}
    values = np.array([x for x, _ in rows if math.isfinite(x)])
    held = profile.columns["x"]
    assert held.finite == len(values)
    if len(values) and np.abs(values).max() < 1e6:
        assert held.mean == pytest.approx(values.mean(), abs=1e-5 * (1 + np.abs(values).max()))
        assert held.variance == pytest.approx(values.var(), rel=1e-5, abs=1e-5 * (1 + np.square(values).max()))
        assert (held.minimum, held.maximum) == (values.min(), values.max())


@settings(deadline=None, max_examples=80)
@given(rows=ROWS)
def test_dicts_and_bytes_come_back_to_the_last_bit(rows: list[Row]) -> None:
    profile = reference().profile(columns(rows))
    assert Profile.from_dict(json.loads(json.dumps(profile.to_dict(), allow_nan=False))) == profile
    assert Profile.from_bytes(profile.to_bytes()) == profile


def test_a_reference_comes_back_and_counts_as_before() -> None:
    before = reference()
    for after in (
        Reference.from_bytes(before.to_bytes()),
        Reference.from_dict(json.loads(json.dumps(before.to_dict(), allow_nan=False))),
    ):
        assert after == before
        window = {"x": np.array([0.5, 9.0]), "c": np.array(["a", "new"])}
        assert after.profile(window) + before.profile(window) == before.profile(window) + before.profile(window)


def test_a_large_offset_costs_no_digits() -> None:
    values = 1.7e9 + np.random.default_rng(4).normal(size=10_000)
    held = Reference.fit({"x": values}).own.columns["x"]
    assert held.mean == pytest.approx(values.mean(), abs=1e-6)
    assert held.variance == pytest.approx((values - 1.7e9).var(), rel=1e-5)


@pytest.mark.parametrize(
    ("held", "same"),
    [
        (pa.array([1.0, None, 3.0]), pa.chunked_array([[1.0], [None, 3.0]])),
        (pa.array([1, None, 3]), np.array([1, None, 3], dtype=object)),
        (pl.Series([1.0, None, 3.0]).to_arrow(), pa.array([1.0, None, 3.0])),
        (np.array([1, 2, 3], dtype=np.int8), np.array([1, 2, 3], dtype=np.float32)),
        (np.array([True, False]), pa.array([1, 0])),
        (pa.array([decimal.Decimal("1.5"), None]), pa.array([1.5, None])),
        (
            np.array(["2026-01-01", "NaT"], dtype="M8[ms]"),
            pa.array([NEW_YEAR, None], pa.timestamp("ns", "UTC")),
        ),
        (pa.array([dt.date(2026, 1, 1)]), pa.array([NEW_YEAR])),
        (pa.array([dt.timedelta(hours=1)]), np.array([3600], dtype="m8[s]")),
        (pa.array(["a", None, "b"]), np.array(["a", None, "b"], dtype=object)),
        (pa.array(["a", None, "b"]).dictionary_encode(), pa.array(["a", None, "b"], pa.large_string())),
        (pl.Series(["a", None, "b"], dtype=pl.Categorical).to_arrow(), pa.array(["a", None, "b"], pa.string_view())),
        (np.array(["a", "b"]), np.array(["a", "b"], dtype=object)),
        (np.array(["a", np.nan], dtype=object), pa.array(["a", None])),
        (pa.array([b"a", b"\xff"]), np.array(["a", "\\xff"])),
        (pa.DictionaryArray.from_arrays(pa.array([0, 1, None]), pa.array(["a", None])), pa.array(["a", None, None])),
        (pa.array([dt.time(1)]), pa.array([3_600_000_000], pa.int64()).cast(pa.time64("us"))),
    ],
)
def test_every_container_of_the_same_values_gives_the_same_profile(held: Column, same: Column) -> None:
    against = Reference.fit({"x": held})
    assert against.profile({"x": same}) == against.own
    assert Reference.fit({"x": same}).own == against.own


def test_null_and_nan_are_told_apart() -> None:
    against = Reference.fit({"x": np.arange(10.0)})
    counts = against.profile({"x": pa.array([1.0, None, math.nan, None])}).columns["x"].counts
    assert counts[-2:].tolist() == [1, 2]
    objects = against.profile({"x": np.array([1.0, None, math.nan, None], dtype=object)}).columns["x"].counts
    assert objects.tolist() == counts.tolist()


@pytest.mark.parametrize("size", [0, 1, 2, 400])
@pytest.mark.parametrize("fill", [None, math.nan, math.inf, -math.inf, 0.0, 7.0, 1e308, "a", ""])
def test_empty_constant_and_strange_columns_are_counted(size: int, fill: float | str | None) -> None:
    column = np.array([fill] * size, dtype=object)
    against = Reference.fit({"x": column})
    window = against.profile({"x": column})
    assert window == against.own
    assert window.columns["x"].n == size
    assert Profile.from_bytes((window + window).to_bytes()) == window + window


def test_instants_are_seconds_whatever_their_unit() -> None:
    against = Reference.fit({"at": np.array(["2026-01-01T00:00:00", "2026-01-01T00:00:10"], dtype="M8[s]")})
    assert against.own.columns["at"].maximum - against.own.columns["at"].minimum == 10.0


def test_a_batch_larger_than_the_kernel_takes_at_once_is_counted_whole() -> None:
    values = np.random.default_rng(5).normal(size=200_001)
    against = Reference.fit({"x": values[:1000]})
    held = against.profile({"x": values}).columns["x"]
    binning = against.binnings["x"]
    assert isinstance(binning, NumericBinning)
    edges = [-np.inf, *binning.edges, np.inf]
    assert held.counts[1:-3].tolist() == np.histogram(values, edges)[0].tolist()
    assert held.sums.sum() == pytest.approx((values - held.centre).sum(), rel=1e-5)


def test_thirty_columns_fit_in_fifty_kilobytes_also_after_a_year_of_merges() -> None:
    rng = np.random.default_rng(6)
    rows = {f"x{i}": rng.lognormal(size=20_000) for i in range(20)}
    for i, size in enumerate([5, 10, 20, 50, 100, 100, 200, 500, 1000, 1000]):
        rows[f"c{i}"] = np.array([f"level {j}" for j in range(size)])[rng.integers(0, size, 20_000)]
    day = Reference.fit(rows).own
    assert len(day.to_bytes()) < 50_000
    year = day
    for _ in range(9):
        year = year + year
    assert len(year.to_bytes()) < 50_000


def test_profiles_of_other_bins_or_columns_do_not_add_up() -> None:
    one, other = Reference.fit({"x": np.arange(10.0)}), Reference.fit({"x": np.arange(11.0)})
    with pytest.raises(InvariantError, match="same bins"):
        one.own + other.own
    with pytest.raises(InvariantError, match="same columns"):
        one.own + Reference.fit({"y": np.arange(10.0)}).own
    with pytest.raises(InvariantError, match="own bins"):
        Reference(one.binnings, other.own)


def test_rows_that_do_not_fit_the_reference_are_refused_by_name() -> None:
    against = reference()
    with pytest.raises(SchemaError, match=r"has the columns \['c'\]"):
        against.profile({"x": np.arange(3.0)})
    with pytest.raises(SchemaError, match="one length"):
        against.profile({"x": np.arange(3.0), "c": np.array(["a"])})
    with pytest.raises(SchemaError, match="column 'x'") as caught:
        against.profile({"x": np.array(["1", "2"]), "c": np.array(["a", "b"])})
    assert caught.value.path == "x"
    with pytest.raises(SchemaError, match=r"column 'x'.*mixture"):
        Reference.fit({"x": np.array([1, "a"], dtype=object)})
    with pytest.raises(SchemaError, match=r"column 'x'.*list"):
        Reference.fit({"x": pa.array([["a"]])})


def test_damaged_or_newer_bytes_are_refused() -> None:
    with pytest.raises(InvariantError, match="not a profile"):
        Profile.from_bytes(b"nonsense")
    with pytest.raises(InvariantError, match="reads schema 1"):
        Profile.from_dict({"schema": 2, "n": 0, "columns": {}})


def test_a_profile_cannot_be_changed() -> None:
    own = reference().own
    with pytest.raises(ValueError, match="read-only"):
        own.columns["x"].counts[0] = 1
    with pytest.raises(TypeError):
        own.columns["x"] = own.columns["c"]  # type: ignore[index]  # the mistake under test


@pytest.mark.parametrize("sizes", [[], [0], [1, 0, 2], [70_000, 10, 140_000]])
def test_batches_are_counted_as_their_sum_is(sizes: list[int]) -> None:
    against = reference()
    rng = np.random.default_rng(7)
    batches: list[dict[str, Column]] = [
        {"x": rng.normal(size=size), "c": np.array(["a", "b", "new"])[rng.integers(0, 3, size)]} for size in sizes
    ]
    found = against.profile_batches(iter(batches))
    none: dict[str, Column] = {"x": np.empty(0), "c": np.empty(0, dtype=str)}
    whole = against.profile({name: np.concatenate([none[name], *(each[name] for each in batches)]) for name in none})
    assert found.n == sum(sizes)
    assert close(found, whole)
