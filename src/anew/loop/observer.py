"""The observer: turns new rows of the lake into facts about windows and about the challenger."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.domain.facts import RowsChecked, Ticked, WindowClosed
from anew.domain.interval import Interval
from anew.feedback import FeedbackState
from anew.feedback.address import rows_address
from anew.feedback.window import WindowState
from anew.loop.implicit import ImplicitLabels
from anew.loop.measure import measure_seen, seen_rows, spread
from anew.loop.observer_plan import ObserverPlan
from anew.loop.recorder import Recorder
from anew.loop.reviewing import Reviewing
from anew.loop.rollout_observer import RolloutObserver
from anew.loop.scoring import Scoring
from anew.monitor import SeenRows
from anew.ports.lake import Lake
from anew.rollout import RolloutState
from anew.stats.profile import Profile

__all__ = ["Observer", "rows_seen"]

_MICRO = timedelta(microseconds=1)
_LOOK_EVERY = timedelta(seconds=1)
_RETRY_EVERY = timedelta(seconds=5)
_BLIND_SHARE = 10
"""Looks that find nothing go on after this part of a window."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ALWAYS = Interval(start=_EPOCH, end=datetime(9999, 1, 1, tzinfo=UTC))


def rows_seen(lake: Lake, state: FeedbackState) -> tuple[datetime | None, datetime | None]:
    """Return the first and the newest event time of what was served before this process began; None for nothing.

    Reads only what came after the last tick, once a window has been closed: what is earlier is not needed any more.
    """
    span = _ALWAYS if state.closed is None or state.ticked is None else Interval(start=state.ticked, end=_ALWAYS.end)
    at = lake.predictions(span).get_column("_at")
    if at.is_empty():
        return None, state.ticked
    first, newest = at[0], at[-1]
    return first, newest if state.ticked is None else max(newest, state.ticked)


class Observer:
    """Measures what became ripe since the last turn and submits it; cost grows with new rows, not with history.

    Nothing is remembered that is not in the engine's folded state, so that a restart goes on where the record ends.
    """

    def __init__(self, plan: ObserverPlan, recorder: Recorder, lake: Lake) -> None:
        self._plan = plan
        self._recorder = recorder
        self._lake = lake
        self._clock = plan.clock
        self._scoring = Scoring(plan, recorder, lake)
        self._trial = RolloutObserver(plan, recorder, lake, self._scoring.joined)
        self._implicit = (
            None
            if plan.implicit is None
            else ImplicitLabels(plan.model, plan.implicit, lake, lateness=plan.lateness, pace=plan.pace / _BLIND_SHARE)
        )
        self._reviewing = None if plan.review is None else Reviewing(plan, plan.review, recorder, lake)
        self._counted: tuple[int, WindowState] | None = None
        self._first: datetime | None = None
        self._looked: datetime | None = None
        self._checked: datetime | None = None
        self._checked_at: datetime | None = None
        self._ticked: datetime | None = None

    def turn(self, now: datetime, wall: datetime, first: datetime | None) -> None:
        """Observe up to event time `now`; `first` is the earliest event time that was served, None before any."""
        self._first = first
        if not self._rollout.champion[0]:
            return
        if self._implicit is not None:
            self._implicit.turn(now, wall, first)
        self._check(now, wall)
        closed = self._close(now)
        scored = self._scoring.score(now)
        if _passed(self._looked, wall, _LOOK_EVERY):
            self._looked = wall
            self._trial.guard(now)
            self._trial.look(now)
        due = bool(closed or scored) or self._overdue(now, wall)
        if due or self._scoring.behind:
            read = self._scoring.revise(now, scored)
            if due or read:
                self._ticked = wall
                self._recorder.submit(
                    Ticked(
                        model=self._plan.model,
                        at=now,
                        wall=wall,
                        tables=tuple(sorted(read.items())),
                        final=self._plan.final(now),
                    )
                )
        if self._reviewing is not None:
            self._reviewing.turn(now, wall)

    @property
    def _rollout(self) -> RolloutState:
        state: RolloutState = self._recorder.state("rollout")
        return state

    @property
    def _windows(self) -> FeedbackState:
        state: FeedbackState = self._recorder.state("feedback")
        return state

    def _overdue(self, now: datetime, wall: datetime) -> bool:
        ticked = self._windows.ticked
        if self._rollout.failed and _passed(self._ticked, wall, _RETRY_EVERY):
            return True  # routing that could not be published is published again at a tick
        return ticked is None or now - ticked >= self._plan.pace

    def _check(self, now: datetime, wall: datetime) -> None:
        """Report new rows in which a detector that does not wait measured anything but 0.

        A row that comes late is seen when its window closes.
        """
        if not self._plan.at_once or not _passed(self._checked_at, wall, _LOOK_EVERY):
            return
        self._checked_at = wall
        since, self._checked = self._checked or self._windows.closed or self._first, now
        if since is None or since >= now:
            return
        version, digest = self._rollout.champion
        window = Interval(start=since, end=now)
        rows = spread(self._lake.predictions(window))
        if not rows.height:
            return
        yardstick = self._plan.known(digest).yardstick
        evidence = measure_seen(self._plan.at_once, seen_rows(rows, self._plan.columns, yardstick, window))
        if any(each.value for each in evidence):
            self._recorder.submit(
                RowsChecked(
                    model=self._plan.model, at=now, version=version, window=window, n=rows.height, evidence=evidence
                )
            )

    def _close(self, now: datetime) -> int:
        """Close the windows that the watermark has passed; return how many."""
        state = self._windows
        begin = state.closed or self._first
        if begin is None:
            return 0
        if state.closed is None and state.served is not None:
            begin = max(begin, state.served)  # a row may bear any old time; what it says is late, not a beginning
        closed = self._tick(_micros(begin), now, begun=state.closed is not None)
        for window in closed:
            self._submit_window(window, now)
        return len(closed)

    def _tick(self, start: int, now: datetime, *, begun: bool) -> Sequence[Interval]:
        """Return the windows that close, of those that begin at `start`."""
        if self._plan.window is not None:
            if not begun:
                start -= start % (self._plan.window // _MICRO)
            return self._clock.tick(WindowState(start=start, now=start, closed=1), now)[1]
        version = self._lake.versions()["predictions"]
        if self._counted is None:
            since = _EPOCH + start * _MICRO
            state = WindowState(start=start, now=start, closed=1)
            rows = self._lake.predictions(Interval(start=since, end=_ALWAYS.end))
        else:
            read, state = self._counted
            rows = self._lake.fresh("predictions", after=read, upto=version)
        state, by_rows = self._clock.observe(state, rows.get_column("_at").dt.epoch("us").to_numpy())
        state, by_time = self._clock.tick(state, now)
        self._counted = version, state
        return (*by_rows, *by_time)

    def _submit_window(self, window: Interval, now: datetime) -> None:
        version, digest = self._rollout.champion
        rows = self._lake.predictions(window)
        address = rows_address(rows.select("_id", *self._plan.columns.names))
        evidence: tuple[Evidence, ...] = ()
        if rows.height:
            seen = seen_rows(spread(rows), self._plan.columns, self._plan.known(digest).yardstick, window)
            evidence = measure_seen(self._plan.detectors, self._kept(seen, digest, address))
        self._recorder.submit(
            WindowClosed(
                model=self._plan.model,
                at=now,
                version=version,
                window=window,
                n=rows.height,
                rows=address,
                evidence=evidence,
            )
        )

    def _kept(self, seen: SeenRows, digest: str, rows: str) -> SeenRows:
        """Return `seen` with the profile that is stored of it; it is counted and stored when there is none."""
        profiles = self._plan.profiles
        if profiles is None:
            return seen
        packed = profiles.get(digest, seen.window, rows)
        with suppress(InvariantError):  # what is spoilt is counted again
            if packed is not None:
                kept = Profile.from_bytes(packed)
                return replace(seen, profile=lambda: kept)
        counted = seen.profile()
        profiles.put(digest, seen.window, rows, counted.to_bytes())
        return replace(seen, profile=lambda: counted)


def _passed(since: datetime | None, now: datetime, length: timedelta) -> bool:
    """Has `length` passed since then, or was the clock set back?"""
    return since is None or not since <= now < since + length


def _micros(at: datetime) -> int:
    return int((at - datetime(1970, 1, 1, tzinfo=at.tzinfo)) // _MICRO)
