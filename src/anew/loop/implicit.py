"""Labels that follow from events: written into the lake, as labels of the source ``implicit``, once they are known."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import polars as pl

from anew.domain.interval import Interval
from anew.domain.observation import IMPLIED, Label, instant_of
from anew.feedback.outcome import Implicit, implied_labels
from anew.ports.lake import Lake

__all__ = ["ImplicitLabels"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)
_DONE = "implicit"
"""The lake's name for what was derived in time; its position is the event time, in microseconds, that it reaches."""
_LATE = "implicit-late"
"""The same for what came too late for that; its position is a version of the table ``feedback``."""
_MOST = 24
"""Paces that one turn makes up for."""


class ImplicitLabels:
    """Derives labels from feedback. Nothing is remembered but what the lake has, exactly once.

    Parameters
    ----------
    pace
        Event time that is derived at once, at least.
    """

    def __init__(self, model: str, rule: Implicit, lake: Lake, *, lateness: timedelta, pace: timedelta) -> None:
        self._model = model
        self._rule = rule
        self._lake = lake
        self._lateness = lateness
        self._pace = pace
        self._seen = 0

    def turn(self, now: datetime, wall: datetime, first: datetime | None) -> int:
        """Derive what is known at event time `now`; `first` is when the first answer was given. Return how many."""
        done = self._lake.drained(_DONE)
        begin = _EPOCH + done * _MICRO if done else first
        if begin is None:
            return 0
        until = min(now - self._rule.within - self._lateness, begin + _MOST * self._pace)
        count = self._make_up(begin, wall) if done else 0
        if until - begin < self._pace:
            return count
        span = Interval(start=begin, end=until)
        labels = list(self._labels(self._lake.predictions(span), self._lake.feedback(span), wall))
        version = self._lake.versions()["feedback"]
        self._lake.append(_DONE, (until - _EPOCH) // _MICRO, labels)
        self._note(version if not done else self._seen)
        return count + len(labels)

    def _note(self, version: int) -> None:
        """Remember, over restarts too, that feedback up to this version has been looked through."""
        self._seen = version
        if version > self._lake.drained(_LATE):
            self._lake.append(_LATE, version, [])

    def _make_up(self, begin: datetime, wall: datetime) -> int:
        """Correct labels of predictions before `begin` whose event came late, though it happened in time."""
        version, seen = self._lake.versions()["feedback"], max(self._seen, self._lake.drained(_LATE))
        if version <= seen:
            return 0
        rows = self._lake.fresh("feedback", after=seen, upto=version, until=begin)
        about = rows.filter(pl.col("_event") == self._rule.event).get_column("_prediction").unique().sort()
        times = [instant_of(each) for each in about.to_list()]
        late = pl.DataFrame({"_id": about, "_at": pl.Series(times, dtype=pl.Datetime("us", "UTC"))}).filter(
            pl.col("_at") < begin
        )
        labels = [each for each in self._labels(late, rows, wall) if each.value != self._rule.otherwise]
        self._seen = version
        if labels:
            self._lake.append(_LATE, version, labels)
        return len(labels)

    def _labels(self, predictions: pl.DataFrame, feedback: pl.DataFrame, wall: datetime) -> Iterator[Label]:
        found = implied_labels(predictions, feedback, self._rule)
        for prediction, at, value in found.select("_prediction", "_at", "_event_value").iter_rows():
            happened = value if self._rule.then is None else self._rule.then
            yield Label(
                id=f"{prediction}/{self._rule.event}/{wall.isoformat()}",
                model=self._model,
                prediction=prediction,
                at=at,
                received_at=wall,
                value=self._rule.otherwise if value is None else happened,
                source=IMPLIED,
            )
