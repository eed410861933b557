"""Columns judged together: what each verdict means, and how often it is wrong when nothing changed."""

import math

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pytest

from anew.domain.errors import InvariantError
from anew.stats.comparison import DriftVerdict, judge, measure
from anew.stats.distance import js, ks, psi_deciles, total_variation, wasserstein
from anew.stats.profile import Column, Reference
from anew.stats.significance import psi_interval


def verdict_of(reference: Column, current: Column, margin: float = 0.005) -> DriftVerdict:
    against = Reference.fit({"x": reference})
    seen = against.profile({"x": current}).columns["x"]
    return judge({"x": measure(against.own.columns["x"], seen, margin)}, 0.01)["x"].verdict


def normal(shift: float, n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, size=n)


def test_a_large_change_is_drift_a_small_certain_one_a_shift_and_none_is_none_seen() -> None:
    reference = normal(0.0, 100_000, 1)
    assert verdict_of(reference, normal(0.2, 50_000, 2)) is DriftVerdict.DRIFT
    assert verdict_of(reference, normal(0.04, 50_000, 2)) is DriftVerdict.SHIFT
    assert verdict_of(reference, normal(0.0, 50_000, 2)) is DriftVerdict.NONE_SEEN
    assert verdict_of(reference, normal(0.04, 50_000, 2), margin=0.0) is DriftVerdict.DRIFT
    assert verdict_of(reference, normal(0.2, 50, 2)) is DriftVerdict.NONE_SEEN
    assert verdict_of(reference, normal(0.0, 0, 2)) is DriftVerdict.INCONCLUSIVE


def test_nulls_new_levels_and_values_out_of_range_are_drift() -> None:
    reference = normal(0.0, 20_000, 3)
    with_nulls = pa.array(normal(0.0, 2000, 4), mask=np.arange(2000) % 5 < 2)
    assert verdict_of(reference, with_nulls) is DriftVerdict.DRIFT
    assert verdict_of(reference, np.where(np.arange(2000) % 20 < 1, 1e6, normal(0.0, 2000, 4))) is DriftVerdict.DRIFT
    levels = np.array(["a", "b", "c"])[np.random.default_rng(5).integers(0, 3, 20_000)]
    assert verdict_of(levels, np.where(np.arange(2000) % 20 < 1, "new", levels[:2000])) is DriftVerdict.DRIFT


def test_a_column_of_nothing_but_nulls_is_measured_by_them() -> None:
    assert verdict_of(normal(0.0, 500, 6), np.array([None] * 500, dtype=object)) is DriftVerdict.DRIFT


def test_the_distances_are_those_of_the_profiles() -> None:
    against = Reference.fit({"x": normal(0.0, 5000, 7)})
    own, seen = against.own.columns["x"], against.profile({"x": normal(0.3, 500, 8)}).columns["x"]
    found = measure(own, seen)
    assert found is not None
    assert (found.psi, found.js, found.ks) == (psi_deciles(own, seen), js(own, seen), ks(own, seen))
    assert (found.total_variation, found.wasserstein) == (total_variation(own, seen), wasserstein(own, seen))
    assert found.psi_interval.low < found.psi < found.psi_interval.high


def test_the_interval_is_that_of_the_index_beside_it_also_where_a_group_is_empty() -> None:
    levels = np.repeat(["cellular", "telephone", "unknown"], [20_000, 2_000, 9_000])
    against = Reference.fit({"x": levels})
    found = measure(against.own.columns["x"], against.profile({"x": np.repeat(["unknown"], 4_000)}).columns["x"])
    assert found is not None
    shares = np.array([20, 2, 9]) / 31
    truth = float(((np.array([1e-4, 1e-4, 1.0]) - shares) * np.log(np.array([1e-4, 1e-4, 1.0]) / shares)).sum())
    assert found.psi == pytest.approx(truth)
    assert found.psi_interval == pytest.approx(psi_interval(found.psi, 31_000, 4_000, 3))
    assert found.psi_interval.low < found.psi < found.psi_interval.high


def test_no_index_lies_outside_its_interval() -> None:
    rng = np.random.default_rng(10)
    rows = {f"x{i}": rng.normal(size=5_000) for i in range(200)}
    against = Reference.fit(rows)
    seen = against.profile({name: rng.normal(size=500) for name in rows}).columns
    for name, own in against.own.columns.items():
        found = measure(own, seen[name])
        assert found is not None
        assert found.psi_interval.low <= found.psi <= found.psi_interval.high


def test_among_thirty_columns_that_did_not_change_a_false_finding_is_as_rare_as_asked_for() -> None:
    rng = np.random.default_rng(9)
    rows = {f"x{i}": rng.normal(size=20_000) for i in range(30)}
    against = Reference.fit(rows)
    alarmed, runs, alpha = 0, 120, 0.05
    for _ in range(runs):
        seen = against.profile({name: rng.normal(size=500) for name in rows}).columns
        judged = judge({name: measure(against.own.columns[name], seen[name]) for name in rows}, alpha)
        alarmed += any(each.verdict is not DriftVerdict.NONE_SEEN for each in judged.values())
    assert alarmed / runs < alpha + 4 * math.sqrt(alpha * (1 - alpha) / runs)


def test_judging_needs_a_chance() -> None:
    with pytest.raises(InvariantError, match="between 0 and 1"):
        judge({}, 0.0)
