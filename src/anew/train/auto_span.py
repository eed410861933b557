"""Auto span: learn from two fits at each retrain which length of history serves best."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from anew.domain.errors import InvariantError
from anew.domain.interval import Interval
from anew.stats.hedge import SpanComparison, SpanHedge, span_ladder
from anew.train.span import BEGINNING

__all__ = ["AutoSpan", "SpanPlan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanPlan:
    """The interval to train on and why, and the length to fit beside it; None for no other.

    `weight` is the share that the model on `span` has where the two answer together.
    """

    span: Interval
    why: str
    beside: timedelta | None = None
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoSpan:
    """Hedges over lengths of `shortest`, twice, four times … that, and all history; see `anew.stats.hedge.SpanHedge`.

    Beside each candidate a model of another length is fitted. Where the models' format can blend, the two answer
    together, each weighed by the probability that it is the better one; else the second is only compared. At the next
    retrain both are compared on the labelled rows that came since, and what was learned so far says which length is
    next. A fit that fails, or rows that are missing, only mean that less is learned.

    When not to use it: labels later than the next retrain (take ``all``, or a length); fits so dear that twice as many
    are not worth a few percent of loss.

    Parameters
    ----------
    window
        Length of a window: evidence is counted in windows, and fades with them.
    delay
        Age at which labels count: spans reach back from the newest labelled rows.
    shortest
        The shortest length, in windows.

    Examples
    --------
    >>> from datetime import UTC
    >>> auto = AutoSpan(window=timedelta(days=1))
    >>> start = datetime(2026, 1, 1, tzinfo=UTC)
    >>> auto.plan(start, (), start + timedelta(days=30)).beside
    datetime.timedelta(days=5)
    """

    window: timedelta
    delay: timedelta = timedelta(0)
    shortest: float = 5.0
    hedge: SpanHedge = field(default_factory=SpanHedge)

    def __post_init__(self) -> None:
        if self.window <= timedelta(0) or self.shortest <= 0:
            raise InvariantError(f"windows of {self.window}, the shortest span {self.shortest} of them: both positive")

    def plan(self, oldest: datetime | None, seen: Sequence[SpanComparison], end: datetime) -> SpanPlan:
        """Return the span that ends with `end`; all rows as long as it is not known where they begin."""
        whole = Interval(start=BEGINNING, end=end)
        newest = max(BEGINNING, end - self.delay)
        if oldest is None or oldest >= newest:
            return SpanPlan(span=whole, why="all there is: nothing is known of shorter spans yet")
        lengths = span_ladder((newest - oldest) / self.window, shortest=self.shortest)
        choice = self.hedge.choose(lengths, seen, at=self.windows(end))
        beside = None if choice.beside is None else choice.beside * self.window
        expected = dict(zip(lengths, choice.expected, strict=True))
        apart = "" if choice.beside is None else _apart(expected[choice.beside] - expected[choice.chosen])
        why = f"{choice.chosen:.3g} windows{apart}, from {len(seen)} comparisons"
        if choice.chosen == lengths[-1]:
            return SpanPlan(span=whole, why=f"all {why}", beside=beside, weight=choice.weight)
        span = Interval(start=max(BEGINNING, newest - choice.chosen * self.window), end=end)
        return SpanPlan(span=span, why=why, beside=beside, weight=choice.weight)

    def windows(self, at: datetime) -> float:
        """Return an instant in windows."""
        return (at - BEGINNING) / self.window


def _apart(more: float) -> str:
    return f", expected to lose {more:.1%} less than what is fitted beside it" if abs(more) >= 5e-4 else ""
