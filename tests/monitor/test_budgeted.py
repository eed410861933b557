"""Detectors of whole rows keep the budget of false alarms, also where rows resemble each other; a limit does not."""

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.signal import lfilter
from scipy.stats import binom

from anew.domain.errors import InvariantError
from anew.monitor import Traits, Yardstick
from anew.monitor.domain_classifier import DomainClassifier
from anew.monitor.mmd import MMD
from anew.stats.inertia import number_inertia
from anew.stats.profile import Reference
from tests.monitor.windows import seen

KINDS: tuple[type[Any], ...] = (MMD, DomainClassifier)
ALPHA = 0.05
WINDOWS = 16


def stream(seed: int, n: int, memory: float = 0.0) -> pl.DataFrame:
    """Return two columns, each row `memory` of the one before it, and the rest new."""
    new = np.random.default_rng(seed).normal(size=(n, 2))
    new[1:] *= np.sqrt(1 - memory**2)
    values = lfilter([1.0], [1.0, -memory], new, axis=0)
    return pl.DataFrame({"x": values[:, 0], "z": values[:, 1]})


def yardstick_of(rows: pl.DataFrame, **more: Any) -> Yardstick:
    features = Reference.fit({name: rows.get_column(name).to_arrow() for name in rows.columns})
    return Yardstick(features=features, sample=rows.gather_every(max(1, rows.height // 2000)), **more)


def traits_of(rows: pl.DataFrame, **calendar: str) -> Traits:
    inertia = {name: number_inertia(rows.get_column(name).to_numpy()) for name in rows.columns}
    return Traits(reliance={}, calendar=calendar, rows=0, inertia=inertia)


def alarms(detector: Any, memory: float, size: int, *, blind: bool = False) -> int:
    """Return in how many windows without drift the detector finds any, each beside a reference of its own.

    Windows that share a reference share its error, so that their alarms would come in a row or not at all.
    """
    traits = None if blind else traits_of(stream(0, 20_000, memory))
    found = 0
    for seed in range(WINDOWS):
        yardstick = yardstick_of(stream(100 + seed, 8000, memory), traits=traits)
        evidence = detector.measure_seen(seen(stream(1000 + seed, size, memory), yardstick))
        assert evidence[0].measured, evidence[0].problem
        found += detector.judge(evidence) is not None
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("memory", [0.0, 0.9])
def test_the_share_of_the_budget_is_kept(kind: type[Any], memory: float) -> None:
    """Also where each row is nine tenths of the one before: nineteen of them count as one."""
    detector = kind(rows=100, alpha=ALPHA)
    assert alarms(detector, memory, 4000) <= binom.ppf(0.999, WINDOWS, ALPHA)


@pytest.mark.parametrize("kind", KINDS)
def test_without_the_traits_a_stream_of_rows_that_resemble_each_other_would_break_it(kind: type[Any]) -> None:
    """The control: what the promise would be worth without looking at how the rows resemble each other."""
    assert alarms(kind(rows=200, alpha=ALPHA), 0.9, 200, blind=True) > binom.ppf(0.999, WINDOWS, ALPHA)


def test_a_limit_does_what_it_says_whatever_the_rows_are_like() -> None:
    assert alarms(MMD(rows=200, p_below=ALPHA), 0.9, 200) > binom.ppf(0.999, WINDOWS, ALPHA)


@pytest.mark.parametrize("kind", KINDS)
def test_what_changed_is_seen_at_the_rate_of_a_year_of_days_and_the_alert_says_the_promise(kind: type[Any]) -> None:
    rows = stream(1, 5000)
    yardstick = yardstick_of(rows, traits=traits_of(rows))
    detector = kind(alpha=1 / 730, declared="1 per 365d declared, shared by 2 detectors")
    together = stream(2, 2000).with_columns(z=pl.col("x") * 0.9 + pl.col("z") * 0.44)
    finding = detector.judge(detector.measure_seen(seen(together, yardstick)))
    assert finding is not None
    assert "false alarms at most 0.0014 per window (1 per 365d declared, shared by 2 detectors)" in finding.message
    assert detector.judge(detector.measure_seen(seen(stream(3, 2000), yardstick))) is None


@pytest.mark.parametrize("kind", KINDS)
def test_columns_of_the_calendar_are_left_out_unless_they_are_named(kind: type[Any]) -> None:
    rows = stream(1, 5000)
    yardstick = yardstick_of(rows, traits=traits_of(rows, z="the day of the week"))
    moved = stream(2, 1000).with_columns(z=pl.col("z") + 5)
    assert kind().judge(kind().measure_seen(seen(moved, yardstick))) is None
    named = kind(columns=("x", "z"))
    assert named.judge(named.measure_seen(seen(moved, yardstick))) is not None
    every = replace(yardstick, traits=traits_of(rows, x="the hour", z="the day of the week"), kept={})
    (evidence,) = kind().measure_seen(seen(moved, every))
    assert "every column follows the calendar: x, z" in evidence.problem


@pytest.mark.parametrize("kind", KINDS)
def test_a_window_of_too_few_independent_rows_is_not_measured(kind: type[Any]) -> None:
    rows = stream(1, 40_000, 0.99)
    yardstick = yardstick_of(rows, traits=traits_of(rows))
    (evidence,) = kind().measure_seen(seen(stream(2, 1000, 0.99), yardstick))
    assert not evidence.measured
    assert "cannot be compared" in evidence.problem


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        (MMD, {"alpha": 1e-5}, "from 0.0001"),
        (MMD, {"alpha": 0.01, "p_below": 0.01}, "give one of them"),
        (DomainClassifier, {"alpha": 0.01, "above": 0.6}, "give one of them"),
        (DomainClassifier, {"alpha": 0.7}, "up to 0.5"),
    ],
)
def test_a_promise_that_cannot_be_is_refused(kind: type[Any], options: dict[str, float], said: str) -> None:
    with pytest.raises(InvariantError, match=said):
        kind(**options)
