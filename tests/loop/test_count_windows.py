"""Windows of so many rows close with their last row, whatever the time, and over restarts."""

from itertools import pairwise
from random import Random

import pytest

from anew.domain.facts import WindowClosed, WindowScored
from tests.loop.observed import START, Bed, hour


def lived(restarts: bool) -> Bed:
    bed = Bed(window=None, count=7, restarts=restarts)
    bed.approve("v1", START)
    chance, at = Random(3), 0.0
    for i in range(60):
        at += chance.choice((0.0, 0.01, 2.0))
        bed.serve(f"r{i:02}", hour(at))
        bed.label(f"r{i:02}", 1, hour(at))
        if chance.random() < 0.4:
            bed.turn(hour(at + 0.001))
    bed.turn(hour(at + 1))
    return bed


@pytest.mark.parametrize("restarts", [False, True])
def test_every_row_is_in_one_window_of_seven_or_more(restarts: bool) -> None:
    bed = lived(restarts)
    closed = bed.facts(WindowClosed)
    assert all(each.n >= 7 for each in closed)
    assert all(one.window.end == other.window.start for one, other in pairwise(closed))
    assert 53 < sum(each.n for each in closed) <= 60
    # A row of the instant that ended a window may still come: its window is then scored again.
    assert [(each.window, each.labelled) for each in bed.facts(WindowScored) if not each.revision] == [
        (each.window, each.n) for each in closed
    ]


def test_a_process_that_begins_anew_at_every_turn_closes_the_same_windows() -> None:
    steady, restless = (lived(each) for each in (False, True))
    assert [each.window for each in steady.facts(WindowClosed)] == [
        each.window for each in restless.facts(WindowClosed)
    ]


def test_no_traffic_is_no_window() -> None:
    bed = Bed(window=None, count=3)
    bed.approve("v1", START)
    for i in range(2):
        bed.serve(f"r{i}", hour(0.1))
    bed.turn(hour(500))
    assert bed.facts(WindowClosed) == []
    bed.serve("r2", hour(500.5))
    bed.turn(hour(501))
    assert [each.n for each in bed.facts(WindowClosed)] == [3]
