"""A replay whose labels come at times of their own knows each from then on, and revises what it scored."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from unittest.mock import patch

import numpy as np
import pytest

from anew.domain.errors import NotFoundError
from anew.domain.facts import RolloutObserved, SnapshotTaken, WindowScored
from anew.loop.replay import ReplayReport
from anew.loop.replay_labels import LabelTimes
from tests.loop.replayed import START, Case, stream_of

CHANCE = Random(11)
STEADY = [int(CHANCE.random() < 0.1) for _ in range(1500)]
CHANGED = [*STEADY[:700], *(1 - label for label in STEADY[700:])]
HOUR = timedelta(hours=1)
DELAYS = [CHANCE.choice((0, 3, 20, 200)) for _ in CHANGED]


def late(delays: Sequence[float | None]) -> list[datetime | None]:
    return [None if each is None else START + (i + each) * HOUR for i, each in enumerate(delays)]


def scores(report: ReplayReport) -> list[WindowScored]:
    return [each for each in report.facts if isinstance(each, WindowScored)]


def plain(report: ReplayReport) -> dict[str, object]:
    return {name: value for name, value in report.data.items() if name != "timings"}


@pytest.mark.parametrize("delay", [0, 3])
def test_labels_that_come_at_once_change_nothing(delay: int) -> None:
    """The same windows, trainings, promotions and losses as without times; the delay is on record besides."""
    told = Case(stream_of(CHANGED), label_delay=delay, came=late([0.0] * 1500)).run()
    without = Case(stream_of(CHANGED), label_delay=delay).run()
    assert plain(told) == plain(without)
    assert [each.evidence for each in scores(told)] == [each.evidence for each in scores(without)]
    assert {each.delay_p90_s for each in scores(told)} == {0.0}


def test_the_same_file_gives_the_same_facts_bit_for_bit() -> None:
    one, other = (Case(stream_of(CHANGED), came=late(DELAYS), steps=(0.5,)).run() for _ in range(2))
    assert one.facts == other.facts
    assert plain(one) == plain(other)
    assert one.data["revisions"] > 10


@pytest.mark.fault("L5")
def test_a_window_is_scored_by_what_had_come_and_again_as_more_comes() -> None:
    """Ten labels of each window come at once, ten five windows later, and the rest never."""
    part = [i % 50 // 10 for i in range(1500)]
    case = Case(stream_of([0] * 1500), came=late([{0: 0.0, 1: 250.0}.get(each) for each in part]))
    report = case.run()
    first = [each for each in scores(report) if each.window.start == START + 300 * HOUR]
    assert [(each.n, each.labelled, each.revision, each.fresh) for each in first] == [(50, 10, 0, 10), (50, 20, 1, 10)]
    assert [each.evidence[0].n for each in first] == [10, 20]
    assert [each.delay_p50_s for each in first] == [0.0, 450_000.0]
    assert first[1].at == START + 599 * HOUR  # at the end of the window in which they came
    assert report.data["labelled"] == sum(each.labelled for each in scores(report) if not each.revision) + sum(
        each.gained for each in scores(report) if each.revision
    )


@pytest.mark.fault("L5")
def test_what_comes_later_than_a_score_may_be_revised_changes_nothing() -> None:
    came = late([0.0 if i % 2 else 250.0 for i in range(1500)])
    assert Case(stream_of(STEADY), came=came, revise=timedelta(hours=240)).run().data["revisions"] == 0
    assert Case(stream_of(STEADY), came=came, revise=timedelta(hours=260)).run().data["revisions"] > 0


def ahead(case: Case) -> list[str]:
    """Return a sentence for each training on a label that had not come, and each look at more rows than had labels."""
    report = case.run()
    came = case.came or []
    taken = [each for each in report.facts if isinstance(each, SnapshotTaken)]
    found = [
        f"trained at {snapshot.at} on row {x:.0f}"
        for snapshot, rows in zip(taken, case.trained_on, strict=True)
        for x in rows
        if not by(came[int(x)], snapshot.at)
    ]
    for fact in report.facts:
        if isinstance(fact, RolloutObserved):
            low, high = ((each - START) // HOUR for each in (fact.span.start, fact.span.end))
            known = sum(by(each, fact.at) for each in came[low:high])
            if fact.paired_down.n > known:
                found.append(f"looked at {fact.paired_down.n} of {known}")
    return found


def by(came: datetime | None, now: datetime) -> bool:
    return came is not None and came <= now


@pytest.mark.parametrize("delay", [0, 2])
def test_no_label_is_used_before_it_has_come(delay: int) -> None:
    case = Case(stream_of(CHANGED), came=late([*DELAYS[:1400], *[None] * 100]), label_delay=delay)
    assert ahead(case) == []
    assert len(case.trained_on) >= 2


def test_a_replay_that_knew_labels_early_would_be_caught() -> None:
    def everything(self: LabelTimes, now: datetime) -> np.ndarray:
        self.known[:] = True
        return np.empty(0, dtype=np.intp)

    with patch.object(LabelTimes, "hear", everything):
        assert ahead(Case(stream_of(CHANGED), came=late(DELAYS)))


def test_a_snapshot_is_addressed_by_which_labels_were_known() -> None:
    def digests(came: Sequence[datetime | None]) -> list[str]:
        facts = Case(stream_of(CHANGED), came=came).run().facts
        return [each.digest for each in facts if isinstance(each, SnapshotTaken)]

    one, other = late([0.0] * 1500), late([0.0] * 3 + [None] + [0.0] * 1496)
    assert digests(one)[0] != digests(other)[0]


def test_without_any_label_there_is_no_champion_and_it_says_why() -> None:
    with pytest.raises(NotFoundError, match="0 labelled rows"):
        Case(stream_of(STEADY), came=late([None] * 1500)).run()


@pytest.mark.fault("L1")
def test_a_label_that_is_there_before_its_row_waits_for_it() -> None:
    at = [START + i * HOUR for i in range(3)]
    times = LabelTimes(at, [START - HOUR, START - HOUR, None])
    assert times.hear(START - HOUR).tolist() == []
    assert times.hear(START).tolist() == [0]
    assert times.hear(datetime(9999, 1, 1, tzinfo=UTC)).tolist() == [1]
    assert times.among(0, 3).tolist() == [0, 1]
    assert times.delays_s(0, 3).tolist() == [0.0, 0.0]


def test_the_cost_of_hearing_is_that_of_what_is_new() -> None:
    at = [START + i * HOUR for i in range(1000)]
    times = LabelTimes(at, list(at))
    heard: Callable[[int], int] = lambda hour: len(times.hear(START + hour * HOUR))  # noqa: E731  said once
    assert [heard(hour) for hour in (0, 10, 10, 500, 400)] == [1, 10, 0, 490, 0]
