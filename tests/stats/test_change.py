"""Has a column changed: what is found, what is not, and how sure one can be of it."""

import math

import numpy as np
import polars as pl
import pytest

from anew.domain.errors import InvariantError
from anew.stats.change import Change, measure_change
from anew.stats.distance import js, kl, psi, psi_deciles
from anew.stats.profile import Column, Reference
from anew.stats.significance import psi_evidence


def change(before: Column, now: Column, margin: float = 0.0) -> Change:
    against = Reference.fit({"x": before})
    found = measure_change(against.own.columns["x"], against.profile({"x": now}).columns["x"], margin=margin)
    assert found is not None
    return found


def normal(seed: int, n: int, shift: float = 0.0, spread: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, spread, n)


def levels(seed: int, n: int, kinds: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, kinds, n).astype(str)


NULLS = (
    pl.Series(normal(4, 500))
    .to_frame("x")
    .with_columns(x=pl.when(pl.int_range(pl.len()) % 5 < 2).then(None).otherwise("x"))
)


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (normal(1, 50_000), normal(2, 500, shift=0.4)),
        (normal(1, 50_000), normal(2, 500, spread=1.6)),
        (normal(1, 50_000), np.where(np.arange(500) < 25, np.inf, normal(2, 500))),
        (normal(1, 50_000), np.where(np.arange(500) < 25, np.nan, normal(2, 500))),
        (normal(1, 50_000), np.full(500, np.nan)),
        (normal(1, 50_000), NULLS.get_column("x").to_arrow()),
        (levels(1, 50_000), np.where(np.arange(500) < 25, "new", levels(2, 500))),
        (levels(1, 50_000), np.where(levels(2, 500) == "0", "1", levels(2, 500))),
        (levels(1, 50_000), pl.Series([None] * 25 + levels(2, 475).tolist()).to_arrow()),
        (np.where(np.arange(50_000) % 100, 0.0, 1.0), np.where(np.arange(500) % 20, 0.0, 1.0)),
    ],
)
def test_what_changed_is_found_with_finite_numbers(before: Column, now: Column) -> None:
    found = change(before, now, margin=0.005)
    assert found.p_value <= found.p_beyond < 1e-4
    assert found.interval is not None
    assert 0 < found.interval.low < found.interval.high < math.inf
    assert 0.005 < found.size < math.inf


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (normal(1, 50_000), normal(2, 500)),
        (normal(1, 500), normal(2, 50_000)),
        (normal(1, 50_000), normal(2, 1)),
        (np.full(1000, 3.0), np.full(100, 3.0)),
        (np.full(1000, np.nan), np.full(100, np.nan)),
        (levels(1, 50_000), levels(2, 500)),
        (levels(1, 50_000, 900), levels(2, 500, 900)),
        (levels(1, 1000, 1), levels(2, 50, 1)),
    ],
)
def test_what_did_not_change_is_not(before: Column, now: Column) -> None:
    assert change(before, now).p_value > 0.01


@pytest.mark.parametrize(("rows", "kinds", "n"), [(10_000, 5000, 5000), (100_000, 5000, 50_000), (8000, 1000, 4000)])
def test_many_levels_that_were_frequent_by_chance_do_not_seem_to_fade(rows: int, kinds: int, n: int) -> None:
    """Pools chosen by the reference's own counts would: the control rejects what did not change."""
    naive, ours = [], []
    for seed in range(5):
        against = Reference.fit({"x": levels(seed, rows, kinds)})
        base, now = against.own.columns["x"], against.profile({"x": levels(99 + seed, n, kinds)}).columns["x"]
        found = measure_change(base, now)
        assert found is not None
        ours.append(found.p_value)
        naive.append(psi_evidence(base, now).p_value)
    assert min(ours) > 0.01
    if rows == 100_000:
        assert max(naive) < 0.01


def test_a_margin_forgives_what_is_small_and_certain() -> None:
    before, now = normal(1, 200_000), normal(2, 100_000, shift=0.05)
    assert change(before, now).p_beyond < 1e-9
    assert change(before, now, margin=0.005).p_beyond > 0.5
    assert change(before, now, margin=0.005).p_value < 1e-9
    assert change(before, normal(2, 100_000, shift=0.3), margin=0.005).p_beyond < 1e-9


def test_the_size_is_the_index_less_its_bias() -> None:
    found = [change(normal(seed, 50_000), normal(50 + seed, 500)).size for seed in range(20)]
    assert np.mean(found) < 0.005
    true = 0.25  # a shift of half a deviation, on ten groups a little less
    assert np.mean([change(normal(seed, 50_000), normal(50 + seed, 500, 0.5)).size for seed in range(20)]) == (
        pytest.approx(true, rel=0.15)
    )


def test_a_side_without_rows_is_nothing_measured() -> None:
    against = Reference.fit({"x": normal(1, 100)})
    assert measure_change(against.own.columns["x"], against.profile({"x": normal(1, 0)}).columns["x"]) is None


def test_what_cannot_be_compared_is_refused() -> None:
    one, two = (Reference.fit({"x": normal(seed, 100)}).own.columns["x"] for seed in (1, 2))
    with pytest.raises(InvariantError, match="same bins"):
        measure_change(one, two)
    with pytest.raises(InvariantError, match="margin"):
        measure_change(one, one, margin=-0.1)
    for inertia in (0.5, math.nan, math.inf):
        with pytest.raises(InvariantError, match="inertia"):
            measure_change(one, one, inertia=inertia)


def test_one_huge_value_among_twenty_thousand_changes_nothing() -> None:
    rows = normal(2, 20_000, shift=0.5)
    against = Reference.fit({"x": normal(1, 20_000)})
    base, plain = against.own.columns["x"], against.profile({"x": rows}).columns["x"]
    rows[7] = 1e6
    huge = against.profile({"x": rows}).columns["x"]
    for distance in (psi, psi_deciles, js, kl):
        assert distance(base, huge) == pytest.approx(distance(base, plain), rel=0.01)
