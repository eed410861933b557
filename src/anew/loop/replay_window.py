"""A window of a stream as detectors read it: what a version was asked and answered, and how good that was."""

from bisect import bisect_left

import numpy as np
import polars as pl

from anew.domain.evidence import Evidence
from anew.loop.measure import measure_scored, seen_rows
from anew.loop.replay_stream import ReplayStream
from anew.monitor import Detector, Detectors, ScoredRows, SeenRows

__all__ = ["scored_evidence", "seen_window"]


def seen_window(stream: ReplayStream, version: str, low: int, high: int) -> SeenRows:
    """Return rows `low` up to `high` beside the yardstick of `version`."""
    yardstick = stream.versions[version].yardstick
    return seen_rows(stream.seen(low, high), stream.columns, yardstick, stream.interval(low, high))


def scored_evidence(
    stream: ReplayStream, detectors: Detectors, start: int, end: int, *, began: int
) -> tuple[Evidence, ...]:
    """Measure the served answers of the window of rows `start` up to `end`, whose labels are mature.

    Parameters
    ----------
    began
        First row that was served: detectors that look further back than the window read none before it.
    """
    lows = {key: _since(stream, each, start, end, began) for key, each in detectors.items() if each.labels}
    of_period = {low: _scored(stream, low, start, end) for low in set(lows.values())}
    return measure_scored(detectors, {key: of_period[low] for key, low in lows.items()})


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
