"""Measurements that effects make on rows and profiles, for the deciders to judge; pure functions."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from anew.domain.column import Columns, Task
from anew.domain.evidence import BROKEN, Evidence, failure
from anew.domain.interval import Interval
from anew.loop.columns import profile_columns
from anew.monitor import Detectors, ScoredRows, SeenRows, Summing, Yardstick
from anew.stats.outcome import losses
from anew.stats.profile import Profile
from anew.validate import Gates, HeldOut

__all__ = [
    "Floats",
    "Values",
    "as_values",
    "losses",
    "measure_gates",
    "measure_scored",
    "measure_seen",
    "seen_rows",
    "spread",
    "sums_of_window",
]

Floats = npt.NDArray[np.float64]
Values = npt.NDArray[Any]
_Rows = TypeVar("_Rows")


def as_values(series: pl.Series, task: Task) -> Values:
    """Return labels or answers, shape `(n,)`: class labels as text, numbers as float; missing as "" or NaN."""
    if task.classifies:
        if series.dtype == pl.String or series.dtype.is_integer():  # as below, without a plan for each step
            return np.array(["" if each is None else str(each) for each in series.to_list()], dtype=np.str_)
        return np.asarray(series.cast(pl.String).fill_null("").to_list(), dtype=np.str_)
    if series.dtype != pl.Float64 or series.null_count():
        series = series.cast(pl.Float64).fill_null(float("nan"))
    numbers: Values = series.to_numpy()
    return numbers


def seen_rows(frame: pl.DataFrame, columns: Columns, yardstick: Yardstick, window: Interval) -> SeenRows:
    """Return rows as detectors read them; they are profiled when the first detector asks for it, once.

    `frame` has what SeenRows lists, and may have more.
    """

    @cache
    def profile() -> Profile:
        return yardstick.features.profile(profile_columns(frame, columns))

    return SeenRows(
        task=columns.task,
        window=window,
        yardstick=yardstick,
        profile=profile,
        rows=frame,
        classes=tuple(map(str, columns.classes)),
        numbered=columns.numbered,
    )


def spread(rows: pl.DataFrame) -> pl.DataFrame:
    """Give class probabilities a column each, ``_p0 … _pk``, where any row has them, in the place of ``_proba``."""
    widths = rows.get_column("_proba").drop_nulls().list.len()
    names = [f"_p{k}" for k in range(int(widths.to_numpy().max()) if widths.len() else 0)]
    found = [pl.col("_proba").list.get(k, null_on_oob=True).alias(name) for k, name in enumerate(names)]
    return rows.with_columns(found).drop("_proba")


def measure_seen(detectors: Detectors, seen: SeenRows) -> tuple[Evidence, ...]:
    """Ask every detector that needs no labels."""
    return tuple(
        evidence
        for key, detector in detectors.items()
        if not detector.labels
        for evidence in _measured(key, detector.measure_seen, seen)
    )


def measure_scored(
    detectors: Detectors,
    rows: Mapping[str, ScoredRows],
    sums: Mapping[str, Sequence[object]] = MappingProxyType({}),
) -> tuple[Evidence, ...]:
    """Ask every detector that reads labels about its period: its rows, by key, or those of the window and its sums."""
    found: list[Evidence] = []
    for key, detector in detectors.items():
        if key in sums and isinstance(detector, Summing):
            found += _measured(key, partial(detector.measure_sums, rows[key]), sums[key])
        elif detector.labels and key in rows:
            found += _measured(key, detector.measure_scored, rows[key])
    return tuple(found)


def sums_of_window(detector: Summing, rows: ScoredRows) -> object | None:
    """Return a detector's sums of a window; None where they are too many or fail: its period's rows are read then."""
    try:
        return detector.sums(rows)
    except (Exception, SystemExit):  # noqa: BLE001 - components may be anybody's; what fails here fails again on the rows, on record
        return None


def measure_gates(gates: Gates, rows: HeldOut) -> tuple[Evidence, ...]:
    """Ask every gate; those that need a champion are left out for a first one."""
    return tuple(
        evidence
        for key, (gate, _) in gates.items()
        if not (gate.needs_champion and rows.champion is None)
        for evidence in _measured(key, partial(_of_gate, key, gate.measure), rows)
    )


def _of_gate(key: str, measure: Callable[[HeldOut], tuple[Evidence, ...]], rows: HeldOut) -> tuple[Evidence, ...]:
    """Measure, and refuse evidence in the name of another gate."""
    found = _evidence(measure(rows))
    strange = [each.name for each in found if each.name != key]
    if strange:
        raise ValueError(
            f"it measured evidence that is called {strange[0]!r:.80}; that has to be the gate's key, {key!r}"
        )
    return found


def _measured(key: str, measure: Callable[[_Rows], tuple[Evidence, ...]], rows: _Rows) -> tuple[Evidence, ...]:
    """Return what a component measures; its failure is evidence too, of nothing, and keeps no other from measuring."""
    try:
        return _evidence(measure(rows))
    except (Exception, SystemExit) as exc:  # noqa: BLE001 - components may be anybody's
        return (Evidence.of(key, None, 0, subject=BROKEN, problem=failure(exc)),)


def _evidence(found: object) -> tuple[Evidence, ...]:
    pieces = tuple(found) if isinstance(found, Iterable) else (found,)
    strange = [each for each in pieces if not isinstance(each, Evidence)]
    if strange:
        raise TypeError(f"it measured {strange[0]!r:.80}; it has to return a tuple of anew.domain.evidence.Evidence")
    return pieces
