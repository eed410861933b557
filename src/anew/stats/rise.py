"""Rises of a loss as river's detectors see them: ADWIN and Page-Hinkley.

Importing it needs the extra ``streaming``.
"""

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from anew.domain.errors import InvariantError, MissingExtraError
from anew.stats.column import Floats

__all__ = ["Rise", "adwin_rise", "page_hinkley_rise"]


def _river(file: str, name: str) -> Any:
    """Return a class of river.drift out of its own file: the package would load data sets, SQL and scipy.stats too.

    That takes a second of CPU, more than all else that a window's monitoring costs in an hour.
    """
    package = find_spec("river")
    if package is None or not package.submodule_search_locations:
        raise MissingExtraError("river", "streaming")
    place = f"{package.submodule_search_locations[0]}/drift/{file}.py"
    spec = spec_from_file_location(f"_anew_river_{file}", place)
    try:
        assert spec is not None, "a file ending in .py has a spec"  # noqa: S101  for the type checker
        assert spec.loader is not None, "and a loader"  # noqa: S101  for the type checker
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return getattr(module, name)
    except (AttributeError, ImportError, OSError):  # another release keeps it elsewhere
        return getattr(import_module("river.drift"), name)


_EDGE = 4
_ADWIN = _river("adwin", "ADWIN")
_PAGE_HINKLEY = _river("page_hinkley", "PageHinkley")


class Rise(NamedTuple):
    """A rise of the mean loss that has not gone back.

    Parameters
    ----------
    at
        Number of the first row after it.
    before, after
        Mean loss before the (first) rise, and since the last.
    """

    at: int
    before: float
    after: float


def adwin_rise(losses: Floats, *, delta: float = 0.002) -> Rise | None:
    """Return the rise that ADWIN sees in losses, shape (n,) in [0, 1], in time order; None when there is none.

    Parameters
    ----------
    delta
        Chance of a false cut at one look at the window, between 0 and 1; river's default.

    Raises
    ------
    InvariantError
        A loss is not finite, or `delta` not between 0 and 1.

    Notes
    -----
    river looks at every 32nd row, cuts in coarse steps and starts afresh; the row of the change is where two
    levels fit the losses since the alarm before best, and whether it rose is told by the means on both sides.

    References
    ----------
    Bifet and Gavaldà (2007), "Learning from time-changing data with adaptive windowing", SDM.

    Examples
    --------
    >>> adwin_rise(np.repeat([0.1, 0.6], 500)) is not None
    True
    """
    if not 0 < delta < 1:
        raise InvariantError(f"delta is {delta}; it lies between 0 and 1")

    return _rise(losses, _ADWIN(delta=delta))


def page_hinkley_rise(
    losses: Floats, *, delta: float = 0.005, threshold: float = 50.0, at_least_rows: int = 30, forgetting: float = 1e-4
) -> Rise | None:
    """Return the rise that Page-Hinkley sees in losses, as `adwin_rise` does.

    Parameters
    ----------
    delta
        Distance from the running mean that counts for nothing.
    threshold
        Sum of distances beyond, in units of loss, that is an alarm: 50 are 50 more errors than usual.
    at_least_rows
        Rows before the first alarm.
    forgetting
        Share of the sum that each row takes from it.

    Raises
    ------
    InvariantError
        A loss is not finite, or a setting cannot be.

    Notes
    -----
    On 100,000 normal rows without change (mean 0, deviation 1) it raises 63 alarms; losses in [0, 1] vary less, and it
    raises fewer.

    References
    ----------
    Page (1954), "Continuous inspection schemes", Biometrika 41.
    """
    if not (delta >= 0 and threshold > 0 and at_least_rows >= 1 and 0 <= forgetting < 1):
        raise InvariantError(
            f"page-hinkley: delta {delta} is 0 or more, threshold {threshold} above 0, at_least_rows {at_least_rows} 1 "
            f"or more, forgetting {forgetting} in [0, 1)"
        )

    detector = _PAGE_HINKLEY(
        min_instances=at_least_rows, delta=delta, threshold=threshold, alpha=1 - forgetting, mode="both"
    )
    return _rise(losses, detector)


def _rise(losses: Floats, detector: Any) -> Rise | None:
    """Follow the levels between the changes that `detector` alarms of, to a rise that still stands."""
    if losses.ndim != 1 or not np.isfinite(losses).all():
        raise InvariantError(f"losses are finite and have the shape (n,), not {losses.shape}")
    edges = [0, *_changes(losses, detector), len(losses)]
    levels = [(low, float(losses[low:high].mean())) for low, high in pairwise(edges) if low < high]
    found: Rise | None = None
    for (_, before), (at, after) in pairwise(levels):
        if after > before:
            found = Rise(at, found.before if found else before, after)
        elif found is not None and after - found.before > found.after - after:
            found = found._replace(after=after)  # it fell, yet not half of the way back
        else:
            found = None
    return found


def _changes(losses: Floats, detector: Any) -> Iterator[int]:
    """Yield the first row after each change; river's detectors begin anew by themselves after an alarm."""
    begin = 0
    for i, loss in enumerate(losses.tolist()):
        detector.update(loss)
        if detector.drift_detected:
            yield begin + _split(losses[begin : i + 1])
            begin = i + 1


def _split(losses: Floats) -> int:
    """Return where two levels fit losses best (least squares), an edge of a few rows left out."""
    n = len(losses)
    first = np.arange(1, n)
    gain = np.square(np.cumsum(losses - losses.mean())[:-1]) / (first * (n - first))
    inner = slice(_EDGE, max(n - 1 - _EDGE, _EDGE + 1))
    return 1 + _EDGE + int(gain[inner].argmax()) if n > 1 + _EDGE else n - 1
