"""Looks at a rollout: by users who come again, by labels at a fixed age, relative to a champion that moves."""

from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest

from anew.domain.facts import RolloutObserved, VersionPromoted
from anew.domain.observation import Answer
from anew.rollout.shadow import Shadow
from tests.loop.observed import COLUMNS, START, Bed, hour

KEYED = replace(COLUMNS, key="who")


def shadowed(bed: Bed, name: str, at: float, said: int, **more: object) -> None:
    bed.serve(name, hour(at), shadow_version="v2", shadow=Answer(output=said), **more)


def started(**settings: object) -> Bed:
    bed = Bed(**settings)  # type: ignore[arg-type]  # names and types are those of the call
    bed.approve("v1", START)
    bed.approve("v2", hour(1))
    return bed


@pytest.mark.parametrize("restarts", [False, True])
def test_a_user_counts_once_in_a_rollout_whoever_looks(restarts: bool) -> None:
    bed = started(columns=KEYED, restarts=restarts)
    for i in range(8):
        shadowed(bed, f"a{i}", 1.01 + i / 100, 0, key="ada")
        bed.label(f"a{i}", 1, hour(1.1))
    bed.turn(hour(1.05))
    assert bed.facts(RolloutObserved) == [], "a user's mean waits for a part of a window"
    bed.turn(hour(1.2))
    shadowed(bed, "a9", 1.25, 0, key="ada")
    shadowed(bed, "b", 1.25, 1, key="bob")
    for name in ("a9", "b"):
        bed.label(name, 1, hour(1.3))
    bed.turn(hour(1.4))
    looks = bed.facts(RolloutObserved)
    assert [each.paired_down.n for each in looks] == [1, 1]
    assert [each.paired_down.mean for each in looks] == [-1.0, 0.0]
    assert looks[0].paired_of == "error by user"


def test_without_a_key_each_request_counts() -> None:
    bed = started()
    for i in range(3):
        shadowed(bed, f"a{i}", 1.01, 0, key="ada")
        bed.label(f"a{i}", 1, hour(1.1))
    bed.turn(hour(1.2))
    (look,) = bed.facts(RolloutObserved)
    assert (look.paired_down.n, look.paired_of) == (3, "error")


@pytest.mark.parametrize("restarts", [False, True])
def test_a_look_says_what_the_challengers_processes_took_since_the_last_one(restarts: bool) -> None:
    bed = started(restarts=restarts)
    for i, total in enumerate((1.5, 2.0, 2.0, 5.0)):
        bed.taken_s = {"v2": total, "v1": 99.0}
        shadowed(bed, f"a{i}", 1.0 + i / 5, 1)
        bed.label(f"a{i}", 1, hour(1.1 + i / 5))
        bed.turn(hour(1.2 + i / 5))
    assert [each.compute_s for each in bed.facts(RolloutObserved)] == [1.5, 0.5, 0.0, 3.0]


def test_what_was_taken_before_the_workers_began_anew_is_counted_once() -> None:
    bed = started()
    for i, total in enumerate((4.0, 1.0, 1.5)):
        bed.taken_s = {"v2": total}
        bed.turn(hour(1.2 + i / 5))
    assert [each.compute_s for each in bed.facts(RolloutObserved)] == [4.0, 1.0, 0.5]


def late_labels(delay: float) -> Bed:
    """Tell of a challenger that errs where labels come late, and nowhere else; labels count at the age `delay` hours.

    Good outcomes are known within minutes, bad ones after a day, as with payments that are disputed.
    """
    bed = started(label_delay=timedelta(hours=delay))
    bed.judge = Shadow(margin=0.05, at_least_rows=50)  # type: ignore[assignment]  # a judge for another
    bed.boot()
    chance, coming = Random(4), []
    for i in range(600):
        at = 1.1 + i / 10
        bad = chance.random() < 0.3
        shadowed(bed, f"r{i}", at, 0 if bad else 1)
        coming.append((at + (24 if bad else 0.05), f"r{i}"))
    done: set[str] = set()
    for number in range(10, 900):
        now = number / 10
        for known, name in coming:
            if known <= now and name not in done:
                done.add(name)
                bed.label(name, 1, hour(known))
        bed.turn(hour(now))
        bed.apply()
        if bed.facts(VersionPromoted)[1:] or bed.engine.state("rollout").probation is None:
            break
    return bed


@pytest.mark.fault("P12")
def test_labels_whose_delay_depends_on_the_outcome_promote_nothing_when_read_at_a_fixed_age() -> None:
    bed = late_labels(25.0)
    assert bed.facts(VersionPromoted)[1:] == []
    assert ("v2", "v2v2v2") in bed.engine.state("rollout").quarantined


@pytest.mark.fault("P12")
def test_control_read_as_they_arrive_they_promote_a_challenger_that_is_worse() -> None:
    bed = late_labels(0.1)
    assert bed.facts(VersionPromoted)[1:] or bed.engine.state("rollout").probation.share > 0
