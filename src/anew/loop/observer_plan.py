"""What is observed of a model, and when it is ripe."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from anew.domain.column import Columns
from anew.domain.errors import InvariantError
from anew.domain.interval import Interval
from anew.feedback.choice import ReviewRule
from anew.feedback.join import LabelRules
from anew.feedback.outcome import Implicit
from anew.feedback.vote import Gold
from anew.feedback.window import WindowClock
from anew.loop.breach import RuleLimit
from anew.monitor import Detectors, Yardstick
from anew.ports.profile import ProfileStore
from anew.ports.review import ReviewStore
from anew.rollout import KPI

__all__ = ["Known", "ObserverPlan", "Review"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the observer needs of a version: its yardstick, and the range that absolute errors are divided by."""

    yardstick: Yardstick
    loss_scale: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What people review, whom to believe, when two numbers are the same, how long items wait; and where they are.

    `person` says who votes in a name: somebody who comes in several ways has one vote. `hidden` are columns that nobody
    is shown, and that the queue does not hold.
    """

    rule: ReviewRule
    store: ReviewStore
    gold: Gold = Gold()
    within: float = 0.0
    keep: timedelta = timedelta(days=30)
    person: Callable[[str], str] = str
    hidden: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ObserverPlan:
    """What is observed, and when it is ripe; durations in event time.

    Attributes
    ----------
    known
        Returns what is needed of a version by its digest.
    window, count
        Length of a window, or the number of predictions in one; exactly one is given.
    at_once
        Those detectors that do not wait for the end of a window.
    feedback
        Does anything read what was fed back, besides labels?
    events
        The events that the project declares, thumbs apart.
    rules
        Which of several labels counts; the lake's own.
    implicit
        Labels that follow from an event; None without.
    paired_by, arms_by
        What a rollout's pairs and arms are judged by; None is the error.
    rule_limit
        How many of a challenger's answers may break a rule; None for no limit.
    rollout_cpu_s
        CPU seconds that the processes of a challenger have taken so far, by version.
    profiles
        Where the profiles of windows are kept; None keeps none.
    review
        What people are asked about; None asks nobody.
    revise
        How long after its labels are mature what comes late revises the score of a window.
    keep
        How long observations are kept: a window whose rows may have gone is measured no more. None for ever.
    most
        Windows that are closed, scored and scored again in one turn, at most, of each: the next turn goes on, and the
        loop has looked at all else in between.
    """

    model: str
    columns: Columns
    detectors: Detectors
    known: Callable[[str], Known]
    lateness: timedelta
    label_delay: timedelta
    window: timedelta | None = None
    count: int | None = None
    at_once: Detectors = field(default_factory=dict)
    feedback: bool = False
    events: tuple[str, ...] = ()
    rules: LabelRules = LabelRules()
    implicit: Implicit | None = None
    paired_by: KPI | None = None
    arms_by: KPI | None = None
    rule_limit: RuleLimit | None = None
    rollout_cpu_s: Callable[[str], float] = lambda _: 0.0
    profiles: ProfileStore | None = None
    review: Review | None = None
    revise: timedelta = timedelta(days=35)
    keep: timedelta | None = None
    most: int = 1000

    def __post_init__(self) -> None:
        if (self.window is None) == (self.count is None):
            raise InvariantError("a window has either a length or a count of rows; give exactly one of them")

    @property
    def pace(self) -> timedelta:
        """Event time between two ticks when nothing else happens: a window's length, an hour for windows of rows."""
        return timedelta(hours=1) if self.window is None else self.window

    def revisable(self, window: Interval, now: datetime) -> bool:
        """Does what comes at `now` revise the score of `window`?"""
        gone = self.keep is not None and window.start < now - self.keep
        return window.end > self.final(now) and not gone

    def final(self, now: datetime) -> datetime:
        """Return the instant up to which, at `now`, scores stand for good: no window that ended by it is revised."""
        return now - self.label_delay - self.revise

    @property
    def clock(self) -> WindowClock:
        """What says which windows close."""
        return WindowClock(length=self.window, count=self.count, lateness=self.lateness, most=self.most)

    def outcome(self, kpi: KPI | None) -> str:
        """Say what is counted, as facts do."""
        what = "error" if kpi is None else f"kpi {kpi.name}"
        return f"{what} by user" if self.columns.key else what
