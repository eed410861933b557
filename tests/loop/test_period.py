"""An objective over a period reads each window once, and finds what reading all rows of the period finds."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import ClassVar

import polars as pl
import pytest

from anew.domain.evidence import Evidence
from anew.domain.facts import WindowScored
from anew.domain.interval import Interval
from anew.loop.period import KeptSums, _Piece
from anew.monitor import Detector, Finding, ScoredRows, SeenRows
from anew.monitor.sequential import Sequential
from anew.monitor.slo import SLO
from tests.loop.observed import START, Bed, hour
from tests.loop.replayed import START as REPLAYED
from tests.loop.replayed import Case, stream_of

RIGHT, WRONG = 1, 0
DAY = SLO(metric="error", at_most=0.9, period=timedelta(hours=24), at_least_rows=1)


@dataclass(frozen=True)
class ByRows:
    """The same detector for a loop that can only give it rows."""

    inner: SLO | Sequential
    labels: ClassVar[bool] = True
    key: str = field(init=False, default="")
    over: timedelta | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", self.inner.key)
        object.__setattr__(self, "over", self.inner.over)

    def measure_seen(self, seen: SeenRows) -> tuple[Evidence, ...]:
        """Measure nothing."""
        return self.inner.measure_seen(seen)

    def measure_scored(self, rows: ScoredRows) -> tuple[Evidence, ...]:
        """Read the rows."""
        return self.inner.measure_scored(rows)

    def judge(self, evidence: tuple[Evidence, ...]) -> Finding | None:
        """Judge."""
        return self.inner.judge(evidence)


def started(*detectors: Detector, **settings: object) -> Bed:
    bed = Bed(detectors=detectors, **settings)  # type: ignore[arg-type]  # names and types are those of the call
    bed.approve("v1", START)
    return bed


def hourly(bed: Bed, hours: int, rows: int = 1) -> None:
    """Serve and label so many rows in each hour, and let each hour end."""
    for i in range(hours):
        for row in range(rows):
            bed.serve(f"r{i}.{row}", hour(i + 0.5 + row / 100))
            bed.label(f"r{i}.{row}", RIGHT, hour(i + 0.6))
        bed.turn(hour(i + 1))


def read_by(bed: Bed, change: object, now: datetime) -> int:
    """Return how many rows of any table are read by the turn at `now`, after a change."""
    bed.lake.rows = 0
    change()  # type: ignore[operator]  # it is a function
    bed.turn(now)
    return bed.lake.rows


@pytest.mark.parametrize("hours", [30, 60])
@pytest.mark.parametrize("detector", [DAY, ByRows(DAY)])
def test_rows_read_for_a_window_and_for_a_late_label_do_not_grow_with_the_period(
    detector: Detector, hours: int
) -> None:
    bed = started(detector)
    hourly(bed, hours, rows=5)

    def more() -> None:
        for row in range(5):
            bed.serve(f"n{row}", hour(hours + 0.1 + row / 100))
            bed.label(f"n{row}", RIGHT, hours_in)

    hours_in = hour(hours + 0.9)
    fresh = read_by(bed, more, hour(hours + 1))
    late = read_by(bed, lambda: bed.label("r7.2", WRONG, hour(hours + 1.5)), hour(hours + 2))
    closed, scored, looked_through = 5, 5 + 5, 5 + 5  # predictions; they and their labels; what is new in the lake
    touched, found = 5 + 6, 2 * 1  # the window of the late label, whole; the label, by the sums and by the scores
    if detector is DAY:
        assert fresh == closed + scored + looked_through
        assert late == touched + found
    else:  # what reading rows costs, so that the test is seen to fail without sums
        assert fresh == closed + scored + looked_through + 24 * 2 * 5
        assert late > 24 * 2 * 5


def test_what_users_do_with_answers_changes_no_sum_and_has_nothing_read_again() -> None:
    bed = started(DAY, feedback=True, events=("clicked",))
    hourly(bed, 30)
    bed.lake.asked.clear()
    bed.happened("r20.0", "clicked", hour(30.2))
    bed.turn(hour(31))
    again = [span for span in bed.lake.asked if span.start == hour(20)]
    assert len(again) == 2  # the answers and what became of them, for the score of that window alone


@pytest.mark.fault("L3")
@pytest.mark.fault("L5")
@pytest.mark.parametrize(
    ("window", "count", "period", "restarts"),
    [(timedelta(hours=1), None, 5.0, False), (timedelta(hours=1), None, 4.3, True), (None, 4, 5.0, True)],
)
def test_sums_find_what_rows_do_with_labels_late_corrected_withdrawn_and_predictions_late(
    *, window: timedelta | None, count: int | None, period: float, restarts: bool
) -> None:
    slo = SLO(metric="f1", at_least=0.5, period=timedelta(hours=period), at_least_rows=2, by=("x",))
    summed, read = (story(each, window, count, restarts=restarts) for each in (slo, ByRows(slo)))
    assert len(summed) > 15
    assert max(revision for _, revision, _ in summed) > 1
    assert [each[:2] for each in summed] == [each[:2] for each in read]
    for (*_, ours), (*_, theirs) in zip(summed, read, strict=True):
        assert [(each.subject, each.n, each.problem) for each in ours] == [
            (each.subject, each.n, each.problem) for each in theirs
        ]
        for name in ("value", "low", "high", "confidence"):
            assert [getattr(each, name) for each in ours] == pytest.approx([getattr(each, name) for each in theirs])


@pytest.mark.fault("L3")
@pytest.mark.fault("L5")
def test_bets_on_sums_are_those_on_rows_and_read_no_more_of_a_long_period() -> None:
    sample = pl.DataFrame({"_held": [True] * 60, "_label": ["1"] * 60, "_output": ["1"] * 55 + ["0"] * 5})
    bets = Sequential(period=timedelta(hours=40), at_least_rows=5)
    summed, read = (
        story(each, timedelta(hours=1), None, restarts=True, sample=sample) for each in (bets, ByRows(bets))
    )
    assert [each[:2] for each in summed] == [each[:2] for each in read]
    measured = 0
    for (*_, ours), (*_, theirs) in zip(summed, read, strict=True):
        assert [(each.subject, each.n, each.problem) for each in ours] == [
            (each.subject, each.n, each.problem) for each in theirs
        ]
        for name in ("value", "low", "high", "reference", "p_value"):
            assert [getattr(each, name) for each in ours] == pytest.approx([getattr(each, name) for each in theirs])
        measured += all(each.p_value is not None for each in ours)
    assert measured > 10


@pytest.mark.fault("L5")
def test_planted_sums_that_nothing_makes_forget_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    slo = SLO(metric="error", at_most=0.9, period=timedelta(hours=5), at_least_rows=2)
    read = story(ByRows(slo), timedelta(hours=1), None, restarts=False)
    monkeypatch.setattr(KeptSums, "forget", lambda *_: None)
    monkeypatch.setattr(KeptSums, "put", keep_first)
    stale = story(slo, timedelta(hours=1), None, restarts=False)
    assert [each[2][0].n for each in stale] != [each[2][0].n for each in read]


def keep_first(kept: KeptSums, window: Interval, rows: ScoredRows) -> None:
    """Keep what is read first of a window, whatever comes of it later."""
    if not any(True for _ in kept._meeting(window)):
        kept._hold(_Piece(window, kept._summed(rows)))


Told = tuple[datetime, int, tuple[Evidence, ...]]


def story(
    detector: Detector, window: timedelta | None, count: int | None, *, restarts: bool, **settings: object
) -> list[Told]:
    """Return the start, the revision and the evidence of each score of some hours of trouble."""
    bed, chance = started(detector, window=window, count=count, **settings), Random(7)
    names: list[str] = []
    for i in range(18):
        for row in range(chance.randrange(6)):
            name = f"r{i}.{row}"
            late = 3 if chance.random() < 0.1 and i > 3 else 0
            bed.serve(name, hour(i + chance.random() - late), row={"x": float(chance.randrange(3))})
            names.append(name)
        for name in chance.sample(names, min(len(names), 5)):
            bed.label(name, chance.choice((RIGHT, WRONG, None)), hour(i + 0.9), revision=i)
        if restarts and i % 7 == 5:
            bed.boot()
        bed.turn(hour(i + 1))
    return [(each.window.start, each.revision, each.evidence) for each in bed.facts(WindowScored)]


def test_too_many_values_of_a_column_have_the_rows_read() -> None:
    slo = SLO(metric="error", at_most=0.9, period=timedelta(hours=3), at_least_rows=1, by=("x",))
    bed = started(slo)
    for i in range(3):
        for row in range(1001 if i == 1 else 2):
            bed.serve(f"r{i}.{row}", hour(i + 0.5), row={"x": float(row)})
            bed.label(f"r{i}.{row}", RIGHT, hour(i + 0.6))
        bed.turn(hour(i + 1))
    *_, last = bed.facts(WindowScored)
    assert (last.evidence[0].n, len(last.evidence)) == (1005, 51)  # the fifty largest slices


def test_what_is_older_than_any_period_and_revision_is_forgotten() -> None:
    bed = started(
        SLO(metric="error", at_most=0.9, period=timedelta(hours=3), at_least_rows=1), revise=timedelta(hours=5)
    )
    hourly(bed, 30)
    assert len(bed.observer._scoring._sums) <= 10


@pytest.mark.parametrize("own_labels", [False, True])
def test_a_replay_finds_the_same_from_sums(*, own_labels: bool) -> None:
    chance = Random(1)
    labels = [int(chance.random() < (0.2 if i < 500 else 0.7)) for i in range(1000)]
    came = None
    if own_labels:
        came = [REPLAYED + timedelta(hours=i + chance.choice((0, 0, 120))) for i in range(1000)]
    slo = SLO(metric="error", at_most=0.4, period=timedelta(hours=130), at_least_rows=10)
    found = []
    for detector in (slo, ByRows(slo)):
        report = Case(stream_of(labels), came=came, detector=detector).run()  # type: ignore[arg-type]  # any objective
        found.append([each for each in report.facts if isinstance(each, WindowScored)])
    summed, read = found
    assert len(summed) >= 18
    assert [(each.window, each.revision) for each in summed] == [(each.window, each.revision) for each in read]
    for ours, theirs in zip(summed, read, strict=True):
        assert ours.evidence[0].value == pytest.approx(theirs.evidence[0].value)
        assert ours.evidence[0].n == theirs.evidence[0].n
