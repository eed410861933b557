"""Labels that follow from events: known when the time is over, corrected when an event comes late, made once."""

from datetime import timedelta

import pytest

from anew.domain.facts import WindowScored
from anew.domain.interval import Interval
from anew.feedback.outcome import Implicit
from tests.loop.observed import START, Bed, hour

RULE = Implicit(event="bought", within=timedelta(hours=2), then=1, otherwise=0)
EVER = Interval(start=START, end=hour(1000))


def started(restarts: bool = False, **settings: object) -> Bed:
    bed = Bed(implicit=RULE, events=("bought",), label_delay=timedelta(hours=2), restarts=restarts, **settings)  # type: ignore[arg-type]  # names and types are those of the call
    bed.approve("v1", START)
    return bed


def labels(bed: Bed) -> dict[str, str]:
    names = {bed.id(name): name for name in ("in time", "too late", "nothing", "other")}
    rows = bed.lake.labels(EVER).select("_prediction", "_value").rows()
    return {names[id]: value for id, value in rows}


def story(bed: Bed) -> None:
    for name in ("in time", "too late", "nothing", "other"):
        bed.serve(name, hour(0.2))
    bed.happened("in time", "bought", hour(2.1))
    bed.happened("too late", "bought", hour(2.3))
    bed.happened("other", "thumb", hour(0.3))


@pytest.mark.parametrize("restarts", [False, True])
def test_nothing_is_known_before_the_time_is_over_and_all_of_it_then(restarts: bool) -> None:
    bed = started(restarts)
    story(bed)
    for i in range(21):
        bed.turn(hour(0.1 * i))
        assert labels(bed) == {}, "an early label could only be of the one kind"
    for i in range(21, 50):
        bed.turn(hour(0.1 * i))
    assert labels(bed) == {"in time": "1", "too late": "0", "nothing": "0", "other": "0"}
    assert bed.lake.counts()["labels"] == 4
    assert next((each.n, each.labelled) for each in bed.facts(WindowScored)) == (4, 4)


@pytest.mark.parametrize("restarts", [False, True])
def test_an_event_that_is_delivered_late_corrects_its_label_and_the_score(restarts: bool) -> None:
    bed = started(restarts)
    story(bed)
    bed.turn(hour(5))
    bed.turn(hour(6))
    assert labels(bed)["nothing"] == "0"
    bed.happened("nothing", "bought", hour(1))
    bed.happened("too late", "bought", hour(2.5))
    bed.turn(hour(8))
    bed.turn(hour(9))
    assert labels(bed) == {"in time": "1", "too late": "0", "nothing": "1", "other": "0"}
    first = [each for each in bed.facts(WindowScored) if each.window.start == START]
    assert [(each.revision, each.evidence[0].value) for each in first] == [(0, 0.75), (1, 0.5)]


@pytest.mark.parametrize("restarts", [False, True])
def test_what_happened_before_the_answer_did_not_follow_from_it(restarts: bool) -> None:
    bed = started(restarts)
    story(bed)
    for name in ("nothing", "other"):
        bed.happened(name, "bought", hour(0.1))
    bed.happened("other", "bought", hour(0.2))
    bed.turn(hour(5))
    bed.turn(hour(6))
    assert labels(bed) == {"in time": "1", "too late": "0", "nothing": "0", "other": "1"}, "at one instant it may have"
    bed.happened("too late", "bought", hour(0.1))
    bed.turn(hour(8))
    assert labels(bed)["too late"] == "0"


def test_what_people_say_outranks_what_followed() -> None:
    bed = started()
    story(bed)
    bed.label("in time", 0, hour(0.5))
    bed.turn(hour(5))
    assert labels(bed)["in time"] == "0"


def test_a_long_absence_is_made_up_for_piece_by_piece() -> None:
    bed = started()
    for i in range(100):
        bed.serve(f"r{i}", hour(i))
    for i in range(60):
        bed.turn(hour(100 + 0.01 * i))
    assert bed.lake.counts()["labels"] >= 97
    assert bed.lake.labels(EVER).height == bed.lake.counts()["labels"], "each label once"
