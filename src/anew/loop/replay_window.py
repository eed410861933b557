"""A window of a stream as detectors read it: what a version was asked and answered, and how good that was."""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import polars as pl

from anew.domain.evidence import Evidence
from anew.loop.measure import measure_scored, seen_rows, sums_of_window
from anew.loop.period import summing
from anew.loop.replay_stream import ReplayStream
from anew.monitor import Detector, Detectors, ScoredRows, SeenRows

__all__ = ["ReplayScores", "seen_window"]


def seen_window(stream: ReplayStream, version: str, low: int, high: int) -> SeenRows:
    """Return rows `low` up to `high` beside the yardstick of `version`."""
    yardstick = stream.versions[version].yardstick
    return seen_rows(stream.seen(low, high), stream.columns, yardstick, stream.interval(low, high))


class ReplayScores:
    """Measures windows of a stream; what the windows of a longer period come to is summed up once.

    Parameters
    ----------
    bounds
        Row numbers at which windows begin, ascending, and the number of rows at last.
    """

    def __init__(self, stream: ReplayStream, detectors: Detectors, bounds: Sequence[int]) -> None:
        self._stream = stream
        self._detectors = {key: each for key, each in detectors.items() if each.labels}
        self._summing = summing(self._detectors, len(stream.columns.classes))
        self._bounds = bounds
        self._kept: dict[tuple[int, int], tuple[int, Mapping[str, object | None]]] = {}

    def evidence(self, start: int, end: int, *, began: int) -> tuple[Evidence, ...]:
        """Measure the served answers of the window of rows `start` up to `end`, whose labels are mature.

        Parameters
        ----------
        began
            First row that was served: detectors that look further back than the window read none before it.
        """
        lows = {key: _since(self._stream, each, start, end, began) for key, each in self._detectors.items()}
        sums = {key: parts for key in self._summing if lows[key] < start and (parts := self._sums(key, lows[key], end))}
        lows |= dict.fromkeys(sums, start)
        of_period = {low: _scored(self._stream, low, start, end) for low in set(lows.values())}
        return measure_scored(self._detectors, {key: of_period[low] for key, low in lows.items()}, sums)

    def _sums(self, key: str, low: int, end: int) -> Sequence[object] | None:
        """Return the sums of the windows from row `low` up to `end`; None where the rows have to be read."""
        cuts = [low, *self._bounds[bisect_right(self._bounds, low) : bisect_left(self._bounds, end)], end]
        found = [self._part(one, other)[key] for one, other in pairwise(cuts)]
        return [each for each in found if each is not None] if None not in found else None

    def _part(self, low: int, high: int) -> Mapping[str, object | None]:
        known = int(self._stream.labels.known[low:high].sum()) if self._stream.labels.own else high - low
        labelled, sums = self._kept.get((low, high), (-1, {}))
        if labelled != known:
            rows = _scored(self._stream, low, low, high)
            sums = {key: sums_of_window(each, rows) for key, each in self._summing.items()}
            if self._bounds[bisect_left(self._bounds, low)] == low:
                self._kept[low, high] = known, sums
        return sums


def _since(stream: ReplayStream, detector: Detector, start: int, end: int, began: int) -> int:
    """Return the first row that `detector` reads for the window from `start` to `end`."""
    if detector.over is None:
        return start
    since = stream.interval(start, end).end - detector.over
    return min(start, max(began, bisect_left(stream.at, since)))


def _scored(stream: ReplayStream, low: int, start: int, end: int) -> ScoredRows:
    name = stream.champion_of(start, end)
    version = stream.versions[name]
    columns, output = stream.columns, stream.output[low:end]
    if columns.task.classifies:
        output = output.astype(np.str_)
    answers = stream.scored(low, end)
    known = stream.labels.known[low:end]
    return ScoredRows(
        task=columns.task,
        label=stream.label[low:end][known],
        output=output[known],
        loss=stream.loss(output, low, end, version.loss_scale)[known],
        rows=end - low,
        positive=str(columns.classes[-1]) if columns.classes else "",
        classes=tuple(map(str, columns.classes)),
        table=answers.filter(pl.Series(known)) if stream.labels.own else answers,
        answers=answers,
        yardstick=version.yardstick,
        version=name,
        window=stream.interval(start, end),
        loss_scale=version.loss_scale,
    )
