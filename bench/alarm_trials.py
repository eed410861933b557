"""Hard cases for the bench of alarms: broken feeds and outliers, each with what it must lead to."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pyarrow as pa
from alarm_streams import row_window

from anew.monitor import Traits, Yardstick
from anew.monitor.drift import Drift
from anew.stats.calendar_column import calendar_columns
from anew.stats.distance import js, kl, psi, psi_deciles
from anew.stats.profile import Column, Reference

__all__ = ["trials"]

ROWS = 20_000
SIZES = (500, 5_000, 50_000)
_DISTANCES = {"PSI": psi_deciles, "PSI on 256 bins": psi, "JS": js, "KL": kl}

Trial = tuple[str, str, bool]
"""What is asked for, what was found, and whether it is met."""


def trials() -> Iterator[Trial]:
    """Try each case on windows of every size, by the default detector at one false alarm a year."""
    yield from _one_huge_value()
    rng = np.random.default_rng(6)
    levels = np.array(["a", "b", "c", "d"])
    base = {"x": rng.normal(size=ROWS), "c": levels[rng.integers(0, 4, ROWS)]}
    yardstick = Yardstick(features=Reference.fit(base))
    for size in SIZES:
        plain: dict[str, Column] = {"x": rng.normal(size=size), "c": levels[rng.integers(0, 4, size)]}
        nulls = rng.random(size) < 0.4
        yield _flagged("nulls from 0 to 40 %", yardstick, plain | {"x": pa.array(plain["x"], mask=nulls)}, "x")
        new = np.where(np.arange(size) < 0.05 * size, "new", plain["c"])
        yield _flagged("a new category of 5 %", yardstick, plain | {"c": new}, "c")
        yield _flagged(
            "NaN in 5 %", yardstick, plain | {"x": np.where(rng.random(size) < 0.05, np.nan, plain["x"])}, "x"
        )
    nothing = row_window(yardstick, {"x": np.zeros(0), "c": np.zeros(0, dtype=str)})
    evidence = Drift().measure_seen(nothing)
    calm = any(each.measured for each in evidence)
    yield "an empty window: no alarm, and no calm either", "" if calm else "nothing measured", not calm
    yield _calendar()


def _one_huge_value() -> Iterator[Trial]:
    rng = np.random.default_rng(7)
    against = Reference.fit({"x": rng.normal(size=ROWS)})
    rows = rng.normal(0.5, 1, ROWS)
    own, plain = against.own.columns["x"], against.profile({"x": rows}).columns["x"]
    rows[0] = 1e6
    huge = against.profile({"x": rows}).columns["x"]
    for name, distance in _DISTANCES.items():
        moved = abs(distance(own, huge) / distance(own, plain) - 1)
        yield f"one value of 1e6 among {ROWS:,} moves {name} by less than 1 %", f"{moved:.3%}", moved < 0.01


def _flagged(what: str, yardstick: Yardstick, rows: dict[str, Column], column: str) -> Trial:
    detector = Drift(alpha=1 / 365)
    window = row_window(yardstick, rows)
    finding = detector.judge(detector.measure_seen(window))
    found = [] if finding is None else [each for each in finding.evidence if each.p_value is not None]
    named = ", ".join(f"{each.subject} (PSI {each.value:.2f}, p {each.p_value:.0e})" for each in found) or "nothing"
    return (
        f"{what}, {window.n:,} rows: found in one window, and nothing else",
        named,
        [each.subject for each in found] == [column],
    )


def _calendar() -> Trial:
    start = datetime(2026, 1, 1)  # noqa: DTZ001  polars reads it as UTC
    at = pl.Series([start + timedelta(minutes=20 * i) for i in range(ROWS)])
    rng = np.random.default_rng(8)
    columns = {
        "hour": at.dt.hour().cast(pl.Float64).to_numpy(),
        "weekday": at.dt.weekday().cast(pl.Float64).to_numpy(),
        "month": at.dt.month().cast(pl.Float64).to_numpy(),
        "x": rng.normal(size=ROWS),
    }
    follows = calendar_columns(columns, at.to_numpy())
    yardstick = Yardstick(features=Reference.fit(columns), traits=Traits(reliance={}, calendar=follows, rows=0))
    detector = Drift(alpha=1 / 365)
    alarms = 0
    for day in range(100):
        rows = {name: values[72 * day : 72 * (day + 1)] for name, values in columns.items()}
        alarms += detector.judge(detector.measure_seen(row_window(yardstick, rows))) is not None
    met = sorted(follows) == ["hour", "month", "weekday"] and alarms <= 2
    found = f"{', '.join(sorted(follows))} left out, {alarms} alarms"
    return "hour, weekday and month in 100 daily windows: recognised, at most 2 alarms", found, met
