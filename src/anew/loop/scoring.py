"""Scores windows once their labels are mature, and again when what came late changed the numbers."""

from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from anew.domain.facts import WindowScored
from anew.domain.interval import Interval
from anew.domain.observation import instant_of
from anew.feedback import FeedbackState, Scored
from anew.feedback.join import coverage, join
from anew.feedback.outcome import standing_words, with_outcomes
from anew.loop.measure import as_values, losses, measure_scored, spread
from anew.loop.observer_plan import Known, ObserverPlan
from anew.loop.period import KeptSums, summing
from anew.loop.recorder import Recorder
from anew.monitor import ScoredRows
from anew.ports.lake import Lake
from anew.rollout import RolloutState

__all__ = ["Scoring"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)
_MILLI_US = 1_000
_LATE = ("labels", "feedback", "predictions")
"""Tables in which something may come late for a window that was scored."""
_SUMMED = ("labels", "predictions")
"""Those that sums of labelled rows are taken from."""


class _Late(NamedTuple):
    """Windows that are still to be scored again, and the versions of the lake that they were found in."""

    versions: Mapping[str, int]
    windows: deque[Interval]


class Scoring:
    """Measures the answers of windows against their labels and submits the scores.

    A score reads the rows of its window, and of the periods that detectors ask for; where sums of windows will do, as
    for an objective over a period, they are kept, and only what is new is read. What comes late is found among the
    rows that are new in the lake, by the event time in the ids of predictions, so that a turn costs the new rows and
    the windows that they touch, never history. Windows scored later see it in any case: an objective over seven days
    is not scored again for each of them.
    """

    def __init__(self, plan: ObserverPlan, recorder: Recorder, lake: Lake) -> None:
        self._plan = plan
        self._recorder = recorder
        self._lake = lake
        self._late: _Late | None = None
        self._summing = summing(plan.detectors, len(plan.columns.classes))
        longest = max((over for key in self._summing if (over := plan.detectors[key].over)), default=timedelta(0))
        self._sums = KeptSums(self._summing, plan.window, longest, plan.revise)
        self._summed: Mapping[str, int] = {}

    @property
    def behind(self) -> bool:
        """Is there more to score again than a turn could?"""
        return self._late is not None

    def score(self, now: datetime) -> Collection[datetime]:
        """Score the closed windows whose labels are mature at `now`, as many as a turn may; return their starts."""
        scored: list[datetime] = []
        while len(scored) < self._plan.most:
            ripe = self._windows.unscored.first
            if ripe is None or ripe.end + self._plan.label_delay > now:
                break
            if not scored:
                self._refresh()
            self._recorder.submit(self._scored_window(ripe, now))
            scored.append(ripe.start)
        return scored

    def revise(self, now: datetime, but: Collection[datetime]) -> Mapping[str, int]:
        """Score windows that anything new in the lake touches again, as many as a turn may.

        Not those that begin at `but`: they were scored with all of it. Returns the versions of the lake up to which
        this is done; nothing while there is more to do, which after a restart is found again.
        """
        if self._late is None:
            versions = self._lake.versions()
            self._late = _Late(versions, deque(self._touched(now, versions)))
        late = self._late
        if late.windows:
            self._refresh()
        for _ in range(min(self._plan.most, len(late.windows))):
            window = late.windows.popleft()
            before = self._windows.scored.get(window)
            if before is None or window.start in but:
                continue
            again = self._scored_window(window, now, before)
            if Scored.of(again).digest != before.digest:
                self._recorder.submit(again)
        if late.windows:
            return {}
        self._late = None
        return late.versions

    def joined(self, span: Interval) -> pl.DataFrame:
        """Return the predictions of `span` with the labels that count."""
        return self._read(span)[0]

    def _read(self, span: Interval) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the same, and all that was said about predictions of that time."""
        predictions = self._lake.predictions(span)
        said = self._lake.deliveries(span, predictions.get_column("_id"))
        return join(predictions, said, self._plan.rules), said

    @property
    def _windows(self) -> FeedbackState:
        state: FeedbackState = self._recorder.state("feedback")
        return state

    @property
    def _rollout(self) -> RolloutState:
        state: RolloutState = self._recorder.state("rollout")
        return state

    def _touched(self, now: datetime, versions: Mapping[str, int]) -> Sequence[Interval]:
        """Return the scored windows that new rows are about, oldest first; before anything was read there are none."""
        state = self._windows
        newest = state.scored.last
        if newest is None or not state.read:
            return ()
        found: set[Interval] = set()
        for instants in self._fresh(state.read, versions, newest.end):
            found.update(state.scored.touched(instants, _MILLI_US))
        return [each for each in sorted(found) if self._plan.revisable(each, now)]

    def _fresh(
        self, read: Mapping[str, int], versions: Mapping[str, int], until: datetime, tables: Collection[str] = _LATE
    ) -> Iterator[npt.NDArray[np.int64]]:
        """Yield the times that rows are about which came since versions of the tables were read, before `until`."""
        for table in tables:
            after, upto = read.get(table, 0), versions.get(table, 0)
            if upto > after:
                yield _instants(self._lake.fresh(table, after=after, upto=upto, until=until), table)

    def _refresh(self) -> None:
        """Forget the sums of windows that anything came about since they were read."""
        if not self._summing:
            return
        versions = self._lake.versions()
        if self._sums.end is not None:
            for instants in self._fresh(self._summed, versions, self._sums.end, _SUMMED):
                self._sums.forget(instants, _MILLI_US)
        self._summed = versions

    def _scored_window(self, window: Interval, now: datetime, before: Scored | None = None) -> WindowScored:
        joined, said = self._read(window)
        version = _served_most(joined) or self._rollout.champion[0]
        covered = coverage(joined)
        known = set(joined.get_column("_id"))
        asked = set(said.filter(pl.col("_value").is_not_null()).get_column("_prediction"))
        return WindowScored(
            model=self._plan.model,
            at=now,
            version=version,
            window=window,
            n=covered.n,
            labelled=covered.labelled,
            revision=0 if before is None else before.revision + 1,
            evidence=measure_scored(self._plan.detectors, *self._rows(window, joined, said, version)),
            fresh=max(0, covered.labelled - (0 if before is None else before.labelled)),
            delay_p50_s=covered.delay_p50_s,
            delay_p90_s=covered.delay_p90_s,
            unmatched=len(asked - known),
        )

    def _rows(
        self, window: Interval, joined: pl.DataFrame, said: pl.DataFrame, version: str
    ) -> tuple[Mapping[str, ScoredRows], Mapping[str, Sequence[object]]]:
        """Return by key the rows that each detector asks for, each period's once; or the window's, and sums beside."""
        if not any(each.labels for each in self._plan.detectors.values()):
            return {}, {}
        known = self._plan.known(self._rollout.digest(version) or self._rollout.champion[1])
        own = replace(self._scored(joined, said, window, known), version=version, window=window)
        kept: dict[tuple[timedelta, int], ScoredRows] = {(window.length, 0): own}
        rows: dict[str, ScoredRows] = {}
        sums: dict[str, Sequence[object]] = {}
        if self._summing:
            self._sums.put(window, own)
        for key, detector in self._plan.detectors.items():
            if not detector.labels:
                continue
            over = max(detector.over or window.length, window.length)
            wider = Interval(start=window.end - over, end=window.end)
            if key in self._summing and over > window.length:
                parts = self._sums.over(key, wider, partial(self._labelled, known=known))
                if parts is not None:
                    rows[key], sums[key] = own, parts
                    continue
            most = getattr(detector, "most_rows", 0) if over > window.length else 0
            if (over, most) not in kept:
                read = self._newest(wider, most, own, known) if most else self._scored(*self._read(wider), wider, known)
                kept[over, most] = replace(read, version=version, window=window)
            rows[key] = kept[over, most]
        return rows, sums

    def _newest(self, period: Interval, most: int, own: ScoredRows, known: Known) -> ScoredRows:
        """Return the newest rows of `period` in which the version of a window, `own`, has `most` with labels.

        It reads back from the end, at first as far as such rows lie by their number in the window, and no more than
        twice as far as it has to; all of the period where there are fewer.
        """
        mine = (pl.col("_version") == own.version) & pl.col("_label").is_not_null()
        near = own.table.filter(mine).height
        length = period.length if own.window is None or not near else own.window.length * -(-most // near)
        found: list[pl.DataFrame] = []
        end, met = period.end, 0
        while end > period.start and met < most:
            start = max(period.start, end - length)
            found.insert(0, self.joined(Interval(start=start, end=end)))
            met += found[0].filter(mine).height
            end, length = start, 2 * length
        return self._of(spread(pl.concat(found)), known)

    def _labelled(self, span: Interval, known: Known) -> ScoredRows:
        """Return the labelled rows of `span`, as sums are taken of."""
        return self._of(spread(self.joined(span)), known)

    def _scored(self, joined: pl.DataFrame, said: pl.DataFrame, span: Interval, known: Known) -> ScoredRows:
        rows = spread(joined)
        if not self._plan.feedback:
            return self._of(rows, known)
        rows = with_outcomes(rows, self._lake.feedback(span), self._plan.events)
        return replace(self._of(rows, known), words=standing_words(said))

    def _of(self, rows: pl.DataFrame, known: Known) -> ScoredRows:
        columns = self._plan.columns
        labelled = rows.filter(pl.col("_label").is_not_null())
        label = as_values(labelled.get_column("_label"), columns.task)
        output = as_values(labelled.get_column("_output"), columns.task)
        return ScoredRows(
            task=columns.task,
            label=label,
            output=output,
            loss=losses(columns.task, label, output, known.loss_scale),
            rows=rows.height,
            positive=str(columns.classes[-1]) if columns.classes else "",
            classes=tuple(map(str, columns.classes)),
            table=labelled,
            answers=rows,
            yardstick=known.yardstick,
            loss_scale=known.loss_scale,
        )


def _instants(rows: pl.DataFrame, table: str) -> npt.NDArray[np.int64]:
    """Return the event times, in microseconds cut to milliseconds, of the predictions that `rows` are about."""
    if table == "predictions":
        times: npt.NDArray[np.int64] = rows.get_column("_at").dt.epoch("us").unique().to_numpy()
        return times // _MILLI_US * _MILLI_US
    found = map(instant_of, rows.get_column("_prediction").unique().to_list())
    return np.array([(at - _EPOCH) // _MICRO for at in found if at is not None], dtype=np.int64)


def _served_most(joined: pl.DataFrame) -> str:
    """Return the champion that answered most of the rows, the latest of equals; empty for no row."""
    counts = joined.filter(pl.col("_arm") != "challenger").group_by("_version").agg(pl.len(), pl.col("_at").max())
    return str(counts.sort("len", "_at").get_column("_version")[-1]) if counts.height else ""
