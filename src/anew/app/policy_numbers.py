"""The numbers of a new policy: those that no data tells, fitted to what a stream brings."""

from dataclasses import dataclass, replace
from datetime import timedelta
from math import ceil

from anew.adapters.schema_inference import Inferred
from anew.app.training_stage import LEAST_WINDOWS

__all__ = ["PolicyNumbers", "attainable", "nearest_window"]

_ENOUGH_ROWS = 75
"""Rows held out for the gates at the least: half again what they ask for when nobody says otherwise."""
_USUAL_SPAN = 20
_HELD_TO_ASKED = 1.5
"""Rows held out for the gates, to those that they ask for."""
_STEP_WINDOWS = 4
"""Windows in which a step of a rollout has its rows, where the stream is too small for more: a challenger that takes
longer than five gives way to the next candidate, and none would ever be promoted."""
_PATIENT = 1.5
"""Time that is given for rows to come, to what they take at the pace of the stream."""
_PSI_ROWS = 100
"""Rows that a distance of columns asks for: of fewer, the index of a column that did not change is too high."""
_LEAST_ROWS = 50
"""Paired labels without which no step of a rollout is decided."""
_WINDOWS = tuple(
    timedelta(minutes=minutes)
    for minutes in (1, 5, 15, 30, 60, 180, 360, 720, 1440, 2 * 1440, 7 * 1440, 14 * 1440, 28 * 1440)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyNumbers:
    """The numbers of a new policy that no data tells; durations in windows where the name says so.

    Without `span_windows` the loop chooses the span, where a window has rows enough for its gates.
    """

    span_windows: int | None = None
    holdout: float = 0.15
    holdout_most: int = 0
    lateness: str = "0s"
    label_delay: str = "0s"
    slo_slack: float = 1.5
    slo_windows: int = 1
    slo_over_windows: int | None = None
    psi: float = 0.25
    psi_windows: int = 3
    psi_over_windows: int | None = None
    cooldown_windows: int = 2
    budget_retrains: int = 20
    budget_windows: int = 50
    gate_margin: float = 0.005
    gate_rows: int = 100
    shadow_margin: float = 0.01
    shadow_rows: int = 200
    canary: tuple[float, ...] = (0.1, 0.5)
    harm: float = 0.05
    canary_rows: int = 100
    patience_windows: int | None = None


def attainable(numbers: PolicyNumbers, inferred: Inferred, window: timedelta) -> PolicyNumbers:
    """Return numbers that a stream of this size can meet.

    A gate that always lacks rows would refuse every retrain, and a trigger that does would never ask for one. The rows
    held out are those that teach most, so a window of them has to be enough. And a canary step risks as many answers
    whatever its share is: one that is small for its stream only takes longer, while an old model serves. Nor may a
    rollout wait for more rows than come while it is let.
    """
    per_window = inferred.rows * (window / max(inferred.length, window))
    least = ceil(_ENOUGH_ROWS / numbers.holdout / per_window)
    span = numbers.span_windows
    if span is not None or least > LEAST_WINDOWS:
        span = max(span or _USUAL_SPAN, least)
    gate_rows = min(numbers.gate_rows, int(0.8 * numbers.holdout * (span or LEAST_WINDOWS) * per_window))
    shadow_rows = _soon(numbers.shadow_rows, per_window)
    canary_rows = _soon(numbers.canary_rows, per_window * numbers.canary[-1])
    pace = _hundredths(canary_rows / per_window)
    longest = max(shadow_rows, canary_rows / numbers.canary[-1]) / per_window
    return replace(
        numbers,
        patience_windows=ceil(_PATIENT * longest) if longest > _STEP_WINDOWS else None,
        slo_over_windows=_over(_LEAST_ROWS, per_window),
        psi_over_windows=_over(_PSI_ROWS, per_window),
        shadow_rows=shadow_rows,
        canary_rows=canary_rows,
        span_windows=span,
        gate_rows=gate_rows,
        holdout_most=round(max(per_window, _HELD_TO_ASKED * gate_rows)),
        canary=tuple(sorted({min(max(share, pace), numbers.canary[-1]) for share in numbers.canary})),
    )


def _over(rows: int, per_window: float) -> int | None:
    """Return the windows in which `rows` come, and half as many again; None where one has as many."""
    return None if per_window >= rows else ceil(_PATIENT * rows / per_window)


def _soon(rows: int, per_window: float) -> int:
    """Return `rows`, or those of the windows that a step may take, where that is less."""
    return min(rows, max(_LEAST_ROWS, round(_STEP_WINDOWS * per_window)))


def _hundredths(share: float) -> float:
    """Return a share that is not less, as people write it."""
    return ceil(100 * share) / 100


def nearest_window(length: timedelta) -> timedelta:
    """Return the friendly duration that is nearest, by ratio, to a hundredth of `length`."""
    aim = max(length / 100, timedelta(seconds=1))
    return min(_WINDOWS, key=lambda each: max(each / aim, aim / each))
