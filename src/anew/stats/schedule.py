"""The schedule of retrains that hindsight would have chosen: by dynamic programming, and honestly scored."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from anew.domain.errors import InvariantError

__all__ = ["Fit", "Hindsight", "best_schedules", "cross_fitted", "schedule_losses"]

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A retrain before window `window`, on the span with the number `span`."""

    window: int
    span: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hindsight:
    """What hindsight reaches with 0, 1, … fits: `loss[k]` in all, `by_window[k]` of shape `(windows,)`."""

    loss: _Floats
    by_window: _Floats


def best_schedules(losses: _Floats, *, start: int, delay: int, most: int) -> list[tuple[Fit, ...]]:
    """Return, for 0, 1, … `most` fits, the schedule that loses least on windows from `start` on.

    Parameters
    ----------
    losses
        Shape `(spans, windows, windows)`: of the model of a span that was trained on what came before window `end`, in
        window `j`, at ``[span, end, j]``; infinite where there is no such model. The first model is ``[0, start]``.
    delay
        Windows after which labels are mature: a retrain before window `t` knows those before ``t - delay``.

    Raises
    ------
    InvariantError
        The shape is another, or there is no window to serve.
    """
    _, windows, width = losses.shape
    if width != windows or not 0 < start < windows or delay < 0 or most < 0:
        raise InvariantError(f"losses of shape {losses.shape} have no schedule from window {start} on")
    total = np.cumsum(np.nan_to_num(losses, nan=0.0, posinf=0.0), axis=2)
    usable = np.isfinite(losses[:, np.arange(windows), np.arange(windows)])
    cost = np.full((windows, windows + 1), np.inf)  # of serving windows t … u - 1 by the best fit before t
    chosen = np.zeros((windows, windows + 1), dtype=np.int64)
    for t in range(start + delay + 1, windows):
        end = t - delay
        of_span = total[:, end, t:] - total[:, end, t - 1 : t]
        of_span[~usable[:, end]] = np.inf
        chosen[t, t + 1 :] = of_span.argmin(axis=0)
        cost[t, t + 1 :] = of_span.min(axis=0)
    # value[k, u]: least loss of windows before u with k fits; began[k, u]: the last fit's window.
    value = np.full((most + 1, windows + 1), np.inf)
    began = np.zeros((most + 1, windows + 1), dtype=np.int64)
    value[0, start] = 0.0
    value[0, start + 1 :] = total[0, start, start:] - (total[0, start, start - 1])
    for k in range(1, most + 1):
        through = value[k - 1, :-1, None] + cost
        began[k], value[k] = through.argmin(axis=0), through.min(axis=0)
    return [_walked(began, chosen, value, k, windows) for k in range(most + 1)]


def _walked(
    began: npt.NDArray[np.int64], chosen: npt.NDArray[np.int64], value: _Floats, k: int, windows: int
) -> tuple[Fit, ...]:
    """Walk the last fit, the one before it, … back; with fewer fits where so many cannot be."""
    while k and not np.isfinite(value[k, windows]):
        k -= 1
    fits: list[Fit] = []
    until = windows
    for left in range(k, 0, -1):
        t = int(began[left, until])
        fits.append(Fit(window=t, span=int(chosen[t, until])))
        until = t
    return tuple(reversed(fits))


def schedule_losses(losses: _Floats, schedule: tuple[Fit, ...], *, start: int, delay: int) -> _Floats:
    """Return what a schedule loses in each window from `start` on, shape `(windows - start,)`."""
    windows = losses.shape[1]
    span, end, due = 0, start, list(schedule)
    found = np.empty(windows - start)
    for j in range(start, windows):
        if due and due[0].window == j:
            span, end = due[0].span, j - delay
            due.pop(0)
        found[j - start] = losses[span, end, j]
    return found


def cross_fitted(halves: tuple[_Floats, _Floats], *, start: int, delay: int, most: int) -> Hindsight:
    """Choose schedules on one half of the rows, score them on the other, and the other way round.

    The best of many schedules on the very rows that it is scored on is best by chance too, the more so the more fits it
    has. Of schedules chosen on other rows of the same windows only what would hold for any rows is left.

    Parameters
    ----------
    halves
        Losses as in `best_schedules`, of the even and of the odd rows; their sums are those of all rows.
    """
    by_window = sum(
        np.array(
            [
                schedule_losses(scored, schedule, start=start, delay=delay)
                for schedule in best_schedules(chosen, start=start, delay=delay, most=most)
            ]
        )
        for chosen, scored in (halves, halves[::-1])
    )
    assert isinstance(by_window, np.ndarray)  # noqa: S101  for the type checker: there are two halves
    return Hindsight(loss=by_window.sum(axis=1), by_window=by_window)
