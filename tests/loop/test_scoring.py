"""Scores are revised when what came late changes them, and cost what is new."""

from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

import pytest

from anew.adapters.delta_lake import DeltaLake
from anew.domain.evidence import Evidence
from anew.domain.facts import AlertRaised, IncidentRaised, Ticked, WindowClosed, WindowScored
from anew.domain.interval import Interval
from anew.monitor import Finding, ScoredRows, SeenRows
from anew.monitor.ab_outcome import ABOutcome
from anew.monitor.adwin import ADWIN
from anew.monitor.label_quality import LabelQuality
from anew.monitor.slo import SLO
from anew.monitor.thumbs import Thumbs
from tests.loop.observed import COLUMNS, START, Bed, hour

RIGHT, WRONG = 1, 0


def started(**settings: object) -> Bed:
    bed = Bed(**settings)  # type: ignore[arg-type]  # names and types are those of the call
    bed.approve("v1", START)
    return bed


def revisions(bed: Bed, number: int = 0) -> list[tuple[int, int, int, float | None]]:
    """Return revision, rows, labelled rows and error of each score of the window that begins at hour `number`."""
    return [
        (each.revision, each.n, each.labelled, each.evidence[0].value)
        for each in bed.facts(WindowScored)
        if each.window.start == hour(number)
    ]


def four(bed: Bed, labelled: int = 4) -> None:
    for i in range(4):
        bed.serve(f"r{i}", hour(0.1 * i))
        if i < labelled:
            bed.label(f"r{i}", RIGHT, hour(0.5))
    bed.turn(hour(1))


@pytest.mark.fault("L5")
def test_labels_that_come_late_revise_the_score_with_its_mark() -> None:
    bed = started()
    four(bed, labelled=2)
    bed.label("r2", WRONG, hour(30 * 24))
    bed.turn(hour(30 * 24))
    bed.label("r3", WRONG, hour(30 * 24 + 1))
    bed.turn(hour(30 * 24 + 1))
    assert revisions(bed) == [(0, 4, 2, 0.0), (1, 4, 3, pytest.approx(1 / 3)), (2, 4, 4, 0.5)]
    assert [each.gained for each in bed.facts(WindowScored) if each.labelled] == [2, 1, 1]


def test_an_erased_subject_ends_neither_ticks_nor_revisions(tmp_path: Path) -> None:
    with closing(DeltaLake(tmp_path / "lake", COLUMNS, "m", tmp_path / "lake.db")) as lake:
        bed = started(lake=lake)
        four(bed, labelled=2)
        bed.label("r2", WRONG, hour(2))
        bed.label("r3", WRONG, hour(2))
        lake.purge("r2")
        bed.turn(hour(3))
        assert bed.facts(Ticked)[-1].at == hour(3)
        assert revisions(bed) == [(0, 4, 2, 0.0), (1, 3, 3, pytest.approx(1 / 3))]


@pytest.mark.fault("L5")
def test_thirty_days_of_short_windows_are_revised_and_what_is_older_stands_for_good() -> None:
    """However many scores there are, no day is forgotten early."""
    bed, now = started(window=timedelta(minutes=6)), hour(37 * 24)
    bed.turn(START)
    for day in range(37):
        bed.serve(f"r{day}", hour(24 * day))
    for i in range(37 * 240):  # as if all but what came later had been scored in its time
        window = Interval(start=hour(i / 10), end=hour((i + 1) / 10))
        about = {"model": "m", "version": "v1", "at": window.end, "window": window, "n": 0, "evidence": ()}
        bed.engine.submit(WindowClosed(rows="", **about))  # type: ignore[arg-type]  # as the facts have them
        bed.engine.submit(WindowScored(labelled=0, revision=0, **about))  # type: ignore[arg-type]  # likewise
    bed.turn(now)
    for day in range(37):
        bed.label(f"r{day}", WRONG, now)
    bed.turn(now + timedelta(minutes=6))
    found = {(each.window.start, each.revision) for each in bed.facts(WindowScored) if each.revision}
    assert found == {(hour(24 * day), 1) for day in range(2, 37)} | {(hour(24 * day), 2) for day in range(3, 37)}


@pytest.mark.fault("L5")
@pytest.mark.parametrize("restarts", [False, True])
def test_a_turn_scores_a_few_windows_again_and_the_next_goes_on_also_after_a_restart(*, restarts: bool) -> None:
    bed = started(most=2)
    for i in range(7):
        bed.serve(f"r{i}", hour(i + 0.5))
    for _ in range(4):
        bed.turn(hour(8))
    assert len(bed.facts(WindowScored)) == 8
    for i in range(7):
        bed.label(f"r{i}", WRONG, hour(8.5))
    counts, read = [], []
    for part in range(6):
        if part == 1 and restarts:
            bed.boot()
        if part == 2:
            bed.label("r0", RIGHT, hour(8.6))  # comes in between, for a window that is done
        bed.turn(hour((10 if restarts and part else 9) + part * 0.01))
        counts.append(len([each for each in bed.facts(WindowScored) if each.revision]))
        read.append(bed.engine.state("feedback").read["labels"])
    # What was done before is looked at again after a restart, and recorded no second time.
    assert counts == ([2, 2, 4, 6, 7, 7] if restarts else [2, 4, 6, 7, 7, 7])
    assert read[0] == read[2] < read[4]  # what is not done is still to be looked through
    bed.turn(hour(11.5))
    found = {each.window.start: (each.labelled, each.evidence[0].value) for each in bed.facts(WindowScored)}
    assert [found[hour(i)] for i in range(7)] == [(1, 0.0), *[(1, 1.0)] * 6]


@pytest.mark.fault("L5")
def test_no_window_is_revised_whose_rows_may_have_gone() -> None:
    bed = started(keep=timedelta(hours=10))
    four(bed)
    for number in (0, 5):
        bed.serve(f"s{number}", hour(number + 0.5))
        bed.label(f"s{number}", RIGHT, hour(number + 0.5))
    bed.turn(hour(12))
    for number in (0, 5):
        bed.label(f"s{number}", WRONG, hour(12))
    bed.turn(hour(13))
    assert [each.window.start for each in bed.facts(WindowScored) if each.revision] == [hour(5)]


@pytest.mark.fault("L5")
def test_a_prediction_that_comes_late_revises_the_score_too() -> None:
    bed = started()
    four(bed)
    bed.serve("late", hour(0.7))
    bed.label("late", WRONG, hour(3))
    bed.turn(hour(3))
    assert revisions(bed) == [(0, 4, 4, 0.0), (1, 5, 5, 0.2)]


@pytest.mark.fault("L3")
def test_a_corrected_and_then_withdrawn_label_revise_the_score() -> None:
    bed = started()
    four(bed)
    bed.label("r0", WRONG, hour(2))
    bed.turn(hour(2))
    bed.label("r0", None, hour(3))
    bed.turn(hour(3))
    assert revisions(bed) == [(0, 4, 4, 0.0), (1, 4, 4, 0.25), (2, 4, 3, 0.0)]


@pytest.mark.fault("L3")
def test_what_a_less_trusted_source_says_later_revises_nothing() -> None:
    bed = started()
    four(bed)
    bed.label("r0", WRONG, hour(2), source="user")
    bed.turn(hour(2))
    assert revisions(bed) == [(0, 4, 4, 0.0)]


def test_the_same_said_again_revises_nothing() -> None:
    bed = started()
    four(bed)
    bed.label("r0", RIGHT, hour(0.5))
    bed.turn(hour(2))
    assert revisions(bed) == [(0, 4, 4, 0.0)]


def test_a_window_without_labels_is_inconclusive_until_they_come_and_then_breaks_its_objective() -> None:
    bed = started(detectors=(SLO(metric="error", at_most=0.5, at_least_rows=3),))
    four(bed, labelled=0)
    assert bed.facts(WindowScored)[0].evidence[0].problem == "0 labelled rows, 3 are needed"
    for i in range(4):
        bed.label(f"r{i}", WRONG, hour(4))
    bed.turn(hour(5))
    assert [(each.window.start, each.detector) for each in bed.facts(AlertRaised)] == [(START, "slo(error<=0.5)")]


def test_what_is_read_for_a_revision_is_what_is_new_and_the_window_it_touches() -> None:
    bed = started()
    for i in range(200):
        bed.serve(f"r{i}", hour(i + 0.5))
        bed.label(f"r{i}", RIGHT, hour(i + 0.5))
    bed.turn(hour(200))
    bed.lake.asked.clear()
    bed.label("r7", WRONG, hour(200.5))
    bed.label("r90", WRONG, hour(200.5))
    bed.turn(hour(201))
    touched = [span for span in bed.lake.asked if span.start != hour(200)]
    assert [(span.start, span.end) for span in touched] == [(hour(7), hour(8)), (hour(90), hour(91))]


@pytest.mark.fault("L2")
@pytest.mark.fault("L1")
def test_labels_of_ids_that_nobody_was_answered_under_are_counted_and_change_no_number() -> None:
    bed = started()
    four(bed)
    bed.serve("later", hour(0.9))
    bed.turn(hour(2))
    unknown = bed.id("r0")[:12] + "f" * 20
    bed.label(unknown, WRONG, hour(2.5))
    bed.turn(hour(3))
    first, *_, last = [each for each in bed.facts(WindowScored) if each.window.start == START]
    assert (first.unmatched, last.unmatched) == (0, 1)
    assert last.evidence[0].value == 0.0


def test_coverage_and_delay_of_labels_are_on_record() -> None:
    bed = started(label_delay=timedelta(hours=1))
    for i in range(4):
        bed.serve(f"r{i}", hour(0.5))
    for i, delay in enumerate((0.1, 0.2, 0.3)):
        bed.label(f"r{i}", RIGHT, hour(0.5 + delay))
    bed.turn(hour(2))
    (scored,) = bed.facts(WindowScored)
    assert (scored.n, scored.labelled) == (4, 3)
    assert [scored.delay_p50_s, scored.delay_p90_s] == pytest.approx([720, 1008])


def fed(**settings: object) -> Bed:
    return started(feedback=True, events=("clicked",), **settings)


def test_thumbs_and_events_reach_the_detectors_of_the_live_loop() -> None:
    business = SLO(metric="business.ctr", at_least=0.1, definition="avg(clicked)", events=("clicked",), at_least_rows=4)
    bed = fed(detectors=(Thumbs(down_above=0.6, at_least=3), business))
    for i in range(4):
        bed.serve(f"r{i}", hour(0.1 * i))
    for i in range(3):
        bed.happened(f"r{i}", "thumb", hour(0.5), value=float(i == 0))
    bed.happened("r3", "clicked", hour(0.6))
    bed.happened("unknown", "clicked", hour(0.6))
    bed.turn(hour(1))
    (scored,) = bed.facts(WindowScored)
    assert [(each.subject, each.value, each.n) for each in scored.evidence] == [
        ("thumbs down", pytest.approx(2 / 3), 3),
        ("business.ctr", 0.25, 4),  # nothing is labelled; what was not clicked counts as 0
    ]
    assert [each.detector for each in bed.facts(AlertRaised)] == ["thumbs(down>0.6)"]


def test_feedback_that_comes_late_revises_the_score() -> None:
    bed = fed(detectors=(Thumbs(down_above=0.9, at_least=1),))
    four(bed)
    bed.happened("r0", "thumb", hour(2), value=0.0)
    bed.turn(hour(2))
    bed.happened("r0", "thumb", hour(2.5), value=1.0)  # changed their mind
    bed.turn(hour(3))
    assert [each[3] for each in revisions(bed)] == [None, 1.0, 0.0]


def test_corrections_that_contradict_the_labels_are_an_incident_of_the_live_loop() -> None:
    bed = fed(detectors=(LabelQuality(at_least=4, disagree_above=0.3),))
    four(bed)
    for i in range(4):
        bed.label(f"r{i}", WRONG, hour(1.5), source="user")
    bed.turn(hour(2))
    (incident,) = bed.facts(IncidentRaised)
    assert "sources disagree in 100% of 4" in incident.message


def test_two_arms_are_compared_by_the_live_loop() -> None:
    bed = fed(detectors=(ABOutcome(outcome="clicked", at_least=20),))
    for i in range(60):
        bed.serve(f"r{i}", hour(0.01 * i), **({"version": "v2", "arm": "challenger"} if i % 2 else {}))
        if i % 2:
            bed.happened(f"r{i}", "clicked", hour(0.7))
    bed.turn(hour(1))
    assert [each.detector for each in bed.facts(AlertRaised)] == ["ab_outcome(clicked worse by 0)"]


@dataclass(frozen=True)
class Whole:
    """What follows losses, for a loop that does not know how many of them it reads."""

    inner: ADWIN
    labels: ClassVar[bool] = True
    key: str = "whole"

    @property
    def over(self) -> timedelta | None:
        """The period."""
        return self.inner.over

    def measure_seen(self, seen: SeenRows) -> tuple[Evidence, ...]:
        """Measure nothing."""
        return self.inner.measure_seen(seen)

    def measure_scored(self, rows: ScoredRows) -> tuple[Evidence, ...]:
        """Follow them."""
        return self.inner.measure_scored(rows)

    def judge(self, evidence: tuple[Evidence, ...]) -> Finding | None:
        """Judge."""
        return self.inner.judge(evidence)


@pytest.mark.parametrize("others", [1, 5])
def test_what_follows_the_newest_losses_reads_no_more_of_a_long_period(others: int) -> None:
    """v1 answers one of each hour's two rows, both in each `others`-th hour; what another answers does not count."""
    adwin = ADWIN(at_least_rows=5, most_rows=20)
    told, read = [], []
    for detector in (adwin, Whole(adwin)):
        bed = started(detectors=(detector,), keep=None)
        for i in range(120):
            for j in range(2):
                version = "v1" if j or i % others == 0 else "v0"
                bed.serve(f"r{i}.{j}", hour(i + 0.2 + j / 10), version=version)
                bed.label(f"r{i}.{j}", int(i % 3 > 0), hour(i + 0.5))
        bed.turn(hour(119))
        bed.lake.rows = 0
        bed.turn(hour(120))
        told.append([(each.n, each.value, each.subject) for each in bed.facts(WindowScored)[-1].evidence])
        read.append(bed.lake.rows)
    assert told[0] == told[1]
    assert told[0][0][0] == 20 or "loss since" in told[0][0][2]
    assert read[0] < 120 < 240 < read[1]
