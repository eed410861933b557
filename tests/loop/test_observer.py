"""What the observer makes of rows: each window once, each label once, whatever comes late or dies in between."""

from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import ClassVar

import pytest

from anew.adapters.profile_folder import ProfileFolder
from anew.domain.facts import (
    AlertRaised,
    EffectFailed,
    RolloutObserved,
    Stage,
    Ticked,
    TrafficShifted,
    WindowClosed,
    WindowScored,
)
from anew.domain.interval import Interval
from anew.domain.observation import Answer
from anew.monitor.adwin import ADWIN
from anew.monitor.drift import Drift
from anew.monitor.page_hinkley import PageHinkley
from anew.monitor.sequential import Sequential
from anew.monitor.slo import SLO
from anew.rollout import Outcome
from anew.stats.profile import Profile
from tests.loop.observed import START, Bed, hour

RIGHT, WRONG = 1, 0


def started(**settings: object) -> Bed:
    bed = Bed(**settings)  # type: ignore[arg-type]  # names and types are those of the call
    bed.approve("v1", START)
    return bed


def shadowed(bed: Bed, name: str, at: float, said: int | None, **more: object) -> None:
    """Serve by the champion, with what the challenger said beside it."""
    shadow = None if said is None else Answer(output=said)
    bed.serve(name, hour(at), shadow_version="v2", shadow=shadow, **more)


def test_windows_close_by_the_passing_of_time_with_or_without_traffic() -> None:
    bed = started()
    bed.serve("a", hour(0.5))
    bed.serve("b", hour(3.2))
    bed.turn(hour(0.9))
    assert bed.facts(WindowClosed) == []
    bed.turn(hour(5.1))
    closed = bed.facts(WindowClosed)
    assert [(each.window.start, each.n) for each in closed] == [(hour(i), n) for i, n in enumerate((1, 0, 0, 1, 0))]
    assert [each.evidence for each in closed if not each.n] == [()] * 3
    bed.turn(hour(5.2))
    assert len(bed.facts(WindowClosed)) == 5


@pytest.mark.parametrize("restarts", [False, True])
def test_drift_is_alerted_with_its_beginning(restarts: bool) -> None:
    bed = started(detectors=(Drift(),), restarts=restarts)
    for i in range(150):
        bed.serve(str(i), hour(i / 60))  # all of them alike, which the reference is not
    bed.turn(hour(1.1))
    bed.turn(hour(3.1))
    found = bed.facts(AlertRaised)
    assert [(each.window.start, each.since) for each in found] == [(hour(0), hour(0)), (hour(1), hour(0))]
    assert [each.n for each in bed.facts(WindowClosed)] == [60, 60, 30]  # the last one has too few rows to say anything


def test_nothing_is_observed_before_a_champion_or_before_traffic() -> None:
    bed = Bed()
    bed.turn(hour(9))
    assert list(bed.log.read()) == []
    bed.approve("v1", START)
    bed.turn(hour(9))
    assert bed.facts(WindowClosed) == []
    assert len(bed.facts(Ticked)) == 1


def test_a_row_that_bears_an_old_time_opens_no_windows_of_the_past() -> None:
    bed = started()
    bed.serve("old", hour(-24 * 365 * 20))
    bed.serve("new", hour(0.5))
    bed.turn(hour(1.1))
    assert [(each.window.start, each.n) for each in bed.facts(WindowClosed)] == [(START, 1)]


def test_a_window_waits_for_late_rows_and_what_comes_later_counts_for_its_score_alone() -> None:
    bed = started(lateness=timedelta(minutes=30), label_delay=timedelta(hours=2))
    bed.serve("a", hour(0.1))
    bed.turn(hour(1.4))
    assert bed.facts(WindowClosed) == []
    bed.serve("b", hour(0.2))
    bed.turn(hour(1.6))
    bed.serve("c", hour(0.3))
    bed.turn(hour(3.1))
    assert bed.facts(WindowClosed)[0].n == 2
    assert bed.facts(WindowScored)[0].n == 3


def test_a_closed_window_is_measured_against_the_reference() -> None:
    bed = started()
    for i in range(4):
        bed.serve(f"r{i}", hour(i / 10))
    bed.turn(hour(1))
    (evidence,) = bed.facts(WindowClosed)[0].evidence
    assert (evidence.name, evidence.subject, evidence.n) == ("psi>0.25", "x", 4)
    assert evidence.value is not None
    assert evidence.value > 0.25


def test_a_window_is_profiled_once_and_the_profile_kept(tmp_path: Path) -> None:
    class Counting(ProfileFolder):
        """Remembers what was stored, and forgets the fact once, as a crash between the two would."""

        puts: ClassVar[list[Interval]] = []

        def put(self, digest: str, window: Interval, rows: str, packed: bytes) -> None:
            """Store it."""
            self.puts.append(window)
            super().put(digest, window, rows, packed)

    kept = Counting(tmp_path)
    for _ in range(2):  # the second observer stands for a process that came after a crash: same rows, no fact
        bed = started(detectors=(Drift(),), profiles=kept)
        for minute in range(30):
            bed.serve(f"r{minute}", hour(0.1 + minute / 100))
        bed.turn(hour(1))
        (closed,) = bed.facts(WindowClosed)
        assert closed.evidence
    assert kept.puts == [closed.window]
    ((window, packed),) = kept.within(bed.engine.state("rollout").champion[1], Interval(start=hour(0), end=hour(2)))
    assert (window, Profile.from_bytes(packed).n) == (closed.window, 30)
    (spoilt,) = tmp_path.glob("*/*.profile")
    spoilt.write_bytes(packed[:-9])
    again = started(detectors=(Drift(),), profiles=kept)
    for minute in range(30):
        again.serve(f"r{minute}", hour(0.1 + minute / 100))
    again.turn(hour(1))
    assert again.facts(WindowClosed)[0].evidence == closed.evidence  # counted again, and stored again
    assert spoilt.read_bytes() == packed


def test_a_window_is_scored_once_when_its_labels_are_mature() -> None:
    bed = started(label_delay=timedelta(hours=2))
    for i, value in enumerate((RIGHT, RIGHT, WRONG)):
        bed.serve(f"r{i}", hour(0.1 * i))
        bed.label(f"r{i}", value, hour(0.2))
    bed.serve("unlabelled", hour(0.9))
    bed.turn(hour(2.9))
    assert bed.facts(WindowScored) == []
    bed.turn(hour(3))
    bed.turn(hour(3.5))
    (scored,) = bed.facts(WindowScored)
    assert (scored.n, scored.labelled, scored.version) == (4, 3, "v1")
    (error,) = scored.evidence
    assert (error.subject, error.n) == ("error", 3)
    assert error.value == pytest.approx(1 / 3)


def test_an_objective_over_a_period_reads_that_period() -> None:
    bed = started(detectors=(SLO(metric="error", at_most=0.5, period=timedelta(hours=3), at_least_rows=1),))
    for i in range(6):
        bed.serve(f"r{i}", hour(i + 0.5))
        bed.label(f"r{i}", WRONG if i == 2 else RIGHT, hour(i + 0.5))
        bed.turn(hour(i + 1))
    found = [(each.evidence[0].n, each.evidence[0].value) for each in bed.facts(WindowScored)]
    assert [n for n, _ in found] == [1, 2, 3, 3, 3, 3]
    assert [value for _, value in found] == pytest.approx([0, 0, 1 / 3, 1 / 3, 1 / 3, 0])


def test_a_score_is_of_the_version_that_served_though_another_is_champion_by_now() -> None:
    bed = started(label_delay=timedelta(hours=1))
    for i in range(3):
        bed.serve(f"a{i}", hour(0.1 * i))
    bed.serve("b", hour(0.9), version="v2")
    for i in range(3):
        bed.serve(f"c{i}", hour(1 + 0.1 * i), version="v2")
    bed.judge.outcome = Outcome.ADVANCE
    promote(bed, "v2", at=0.8)
    bed.turn(hour(3))
    assert bed.engine.state("rollout").champion[0] == "v2"
    assert [each.version for each in bed.facts(WindowScored)] == ["v1", "v2"]


def promote(bed: Bed, version: str, *, at: float) -> None:
    """Take a challenger through its rollout by looks that hold one row each."""
    bed.approve(version, hour(at))
    for step in (0.01, 0.02):
        name = f"{version}{step}"
        shadow = {"shadow_version": version, "shadow": Answer(output=1)}
        bed.serve(name, hour(at + step), **shadow)
        bed.label(name, RIGHT, hour(at + step))
        bed.turn(hour(at + step + 0.005) + bed.label_delay)
        bed.apply()


def test_looks_never_overlap_and_count_each_mature_label_once() -> None:
    bed = started(label_delay=timedelta(minutes=6))
    bed.approve("v2", hour(1))
    chance = Random(3)
    for i in range(60):
        shadowed(bed, f"r{i}", 1 + i / 60, chance.choice((0, 1)))
        bed.label(f"r{i}", chance.choice((0, 1)), hour(1 + i / 60))
        if chance.random() < 0.4:
            bed.turn(hour(1 + i / 60))
    bed.turn(hour(3))
    looks = bed.facts(RolloutObserved)
    assert len(looks) > 5
    assert [each.look for each in looks] == list(range(1, len(looks) + 1))
    assert looks[0].span.start == hour(1)
    assert all(one.span.end == other.span.start for one, other in pairwise(looks))
    assert sum(each.paired_down.n for each in looks) == 60
    assert sum(each.paired_up.n for each in looks) == 60
    assert sum(each.challenger_loss.n for each in looks) == 0


def test_the_paired_gain_is_the_champions_loss_less_the_challengers() -> None:
    bed = started()
    bed.approve("v2", START)
    for name, said, label in (("a", 1, 1), ("b", 0, 0), ("c", 0, 1), ("d", 0, 1)):
        shadowed(bed, name, 0.1, said)
        bed.label(name, label, hour(0.1))
    bed.turn(hour(0.2))
    (look,) = bed.facts(RolloutObserved)
    assert look.paired_down.mean == pytest.approx((0 + 1 - 1 - 1) / 4)
    assert look.stage is Stage.SHADOW


def test_what_the_challenger_did_not_answer_is_no_pair() -> None:
    bed = started()
    bed.approve("v2", START)
    shadowed(bed, "crash", 0.1, None, shadow_problem="crashed")
    shadowed(bed, "open", 0.1, None)
    shadowed(bed, "good", 0.1, 1)
    bed.serve("before", hour(0.1))
    shadowed(bed, "unlabelled", 0.1, 1)
    for name in ("crash", "open", "good", "before"):
        bed.label(name, RIGHT, hour(0.1))
    bed.turn(hour(0.2))
    (look,) = bed.facts(RolloutObserved)
    assert (look.paired_down.n, look.champion_loss.n, look.challenger_loss.n) == (1, 4, 0)


def test_in_a_canary_an_answer_in_the_challengers_place_is_in_neither_arm() -> None:
    bed = canary()
    theirs = {"version": "v2", "arm": "challenger", "shadow_version": "v1", "shadow": Answer(output=1)}
    bed.serve("ours", hour(2.1), **theirs | {"answer": Answer(output=0)})
    bed.serve("fell", hour(2.1), arm="fallback", shadow_version="v2", shadow_problem="deadline")
    bed.serve("plain", hour(2.1))
    for name in ("ours", "fell", "plain"):
        bed.label(name, RIGHT, hour(2.1))
    bed.turn(hour(2.2))
    look = bed.facts(RolloutObserved)[-1]
    assert look.stage is Stage.CANARY
    assert (look.champion_loss.n, look.champion_loss.mean) == (1, 0.0)
    assert (look.challenger_loss.n, look.challenger_loss.mean) == (1, 1.0)
    assert (look.paired_down.n, look.paired_down.mean) == (1, -1.0)


def test_the_arms_of_a_step_hold_only_what_was_answered_in_it() -> None:
    bed = canary()
    bed.serve("before", hour(2.1), epoch=bed.epoch - 1)
    bed.serve("in", hour(2.1))
    for name in ("before", "in"):
        bed.label(name, RIGHT, hour(2.1))
    bed.turn(hour(2.2))
    assert bed.facts(RolloutObserved)[-1].champion_loss.n == 1


def canary() -> Bed:
    bed = started()
    bed.approve("v2", hour(1))
    shadowed(bed, "first", 1.1, 1)
    bed.label("first", RIGHT, hour(1.1))
    bed.judge.outcome = Outcome.ADVANCE
    bed.turn(hour(1.2))
    bed.apply()
    bed.judge.outcome = Outcome.HOLD
    assert bed.engine.state("rollout").probation.stage is Stage.CANARY
    return bed


def test_a_label_that_comes_after_its_look_is_left_out() -> None:
    bed = started()
    bed.approve("v2", START)
    for name in ("early", "late"):
        shadowed(bed, name, 0.1, 1)
    bed.label("early", RIGHT, hour(0.1))
    bed.turn(hour(0.2))
    bed.label("late", RIGHT, hour(0.3))
    shadowed(bed, "next", 0.3, 1)
    bed.label("next", RIGHT, hour(0.3))
    bed.turn(hour(0.4))
    assert [each.paired_down.n for each in bed.facts(RolloutObserved)] == [1, 1]


def test_it_looks_at_most_once_a_second() -> None:
    bed = started()
    bed.approve("v2", START)
    for i in range(20):
        shadowed(bed, f"r{i}", 0.01 * i, 1)
        bed.label(f"r{i}", RIGHT, hour(0.01 * i))
        bed.turn(hour(0.01 * (i + 1)), wall_s=0.25)
    looks = bed.facts(RolloutObserved)
    assert 5 <= len(looks) <= 6
    bed.turn(hour(0.5))
    assert sum(each.paired_down.n for each in bed.facts(RolloutObserved)) == 20


def test_without_labels_looks_go_on_and_decide_nothing() -> None:
    bed = started(label_delay=timedelta(minutes=30))
    bed.approve("v2", START)
    for i in range(100):
        shadowed(bed, f"r{i}", i / 10, 1)
        bed.turn(hour(i / 10))
    looks = bed.facts(RolloutObserved)
    assert 50 < len(looks) < 100
    assert all(not each.paired_down.n and not each.champion_loss.n for each in looks)
    assert bed.engine.state("rollout").probation.progress == START
    widest = max(span.length for span in bed.lake.asked)
    assert widest <= timedelta(hours=1)


def life(bed: Bed) -> list[tuple[str, str]]:
    """Live ten hours with traffic, late labels, a rollout and silence; return kind and id of every fact."""
    chance = Random(7)
    bed.approve("v1", START)
    for i in range(120):
        at = i / 12
        if i == 36:
            bed.approve("v2", hour(at))
        if not 72 < i < 96:
            said = {"shadow_version": "v2", "shadow": Answer(output=chance.choice((0, 1)))} if i > 36 else {}
            bed.serve(f"r{i:03}", hour(at), **said)
        if i >= 10 and chance.random() < 0.8 and not 72 < i - 10 < 96:
            bed.label(f"r{i - 10:03}", chance.choice((0, 1)), hour(at))
        if i >= 60 and chance.random() < 0.2 and not 72 < i - 50 < 96:
            bed.label(f"r{i - 50:03}", chance.choice((0, 1, None)), hour(at))  # after its window was scored
        bed.turn(hour(at))
    return [(each.fact.kind, each.fact.id) for each in bed.log.read()]


def test_a_process_that_begins_anew_at_every_turn_records_the_same_facts() -> None:
    settings = {"label_delay": timedelta(hours=1), "lateness": timedelta(minutes=10)}
    beds = [Bed(restarts=each, **settings) for each in (False, True)]  # type: ignore[arg-type]  # names and types are those of the call
    steady, restless = map(life, beds)
    assert steady == restless
    assert len(set(steady)) == len(steady)
    kinds = {kind for kind, _ in steady}
    assert any(each.revision > 1 for each in beds[0].facts(WindowScored))
    assert {"WindowClosed", "WindowScored", "RolloutObserved", "Ticked"} <= kinds


def test_what_is_read_does_not_grow_with_history() -> None:
    bed = started(label_delay=timedelta(hours=1))
    for i in range(60):
        bed.serve(f"r{i}", hour(i + 0.5))
        bed.label(f"r{i}", RIGHT, hour(i + 0.5))
        bed.lake.asked.clear()
        bed.turn(hour(i + 1))
        assert all(span.start >= hour(i - 2) for span in bed.lake.asked)
        assert len(bed.lake.asked) <= 4


def test_time_ticks_once_a_window_when_nothing_else_happens() -> None:
    bed = started()
    for i in range(40):
        bed.turn(hour(i / 10))
    assert [each.at for each in bed.facts(Ticked)] == [hour(i) for i in range(4)]


def test_routing_that_could_not_be_published_is_tried_again_within_seconds() -> None:
    bed = Bed()
    bed.approve("v1", START)
    bed.turn(START)
    bed.approve("v2", START)
    shift = bed.facts(TrafficShifted)[-1]
    bed.serve("a", START, shadow_version="v2", shadow=Answer(output=1))
    bed.label("a", RIGHT, START)
    bed.judge.outcome = Outcome.HARM
    bed.turn(hour(0.001))
    shift = bed.facts(TrafficShifted)[-1]
    bed.engine.submit(
        EffectFailed(model="m", at=START, cause=shift.id, effect="shift", version="", reason="timeout", detail="")
    )
    shifts = len(bed.facts(TrafficShifted))
    bed.turn(hour(0.002), wall_s=0.1)
    assert len(bed.facts(TrafficShifted)) == shifts
    bed.turn(hour(0.002), wall_s=6)
    assert len(bed.facts(TrafficShifted)) == shifts + 1
    bed.apply()
    ticks = len(bed.facts(Ticked))
    bed.turn(hour(0.003), wall_s=60)
    assert len(bed.facts(Ticked)) == ticks


def test_a_loss_is_followed_through_a_period_by_who_answered() -> None:
    period = timedelta(hours=4)
    watching = (
        ADWIN(period=period, at_least_rows=2),
        PageHinkley(period=period, at_least_rows=2),
        Sequential(period=timedelta(hours=8)),
    )
    bed = started(detectors=watching)
    for i in range(4):
        for k in range(3):
            bed.serve(f"r{i}{k}", hour(i + 0.2 * k), version="v1" if k else "v2")
            bed.label(f"r{i}{k}", WRONG if i == 3 else RIGHT, hour(i + 0.2 * k))
        bed.turn(hour(i + 1))
    found = [each.evidence for each in bed.facts(WindowScored)]
    assert [(one.n, two.n) for one, two, _ in found] == [(2, 2), (4, 4), (6, 6), (8, 8)]
    assert [one.value for one, _, _ in found] == pytest.approx([0, 0, 0, 0.25])
    assert [each.problem for _, _, each in found] == [
        f"{n} labelled rows of this version, 50 are needed" for n in (2, 4, 6, 8)
    ]
    # Read are each window when it closes, it and the period of the first two, once for both, when it is scored; and of
    # the longer period, which is summed up, once what lies before the first window.
    assert len(bed.lake.asked) == 4 * (1 + 2) + 1
