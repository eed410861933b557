"""Questions go to a labelling tool once, and what is said there becomes labels once, follows corrections, or goes."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from anew.adapters.review_db import ReviewDB
from anew.adapters.review_places import ReviewPlaces
from anew.domain.errors import UnavailableError
from anew.domain.facts import LabellerWeighed, ReviewReopened, ReviewSettled
from anew.feedback.choice import ReviewRule
from anew.loop.labelling import Labelling
from anew.loop.observer_plan import Review
from anew.testing.fake_labelling import FakeLabellingTool
from tests.loop.observed import START, WALL, Bed, hour
from tests.loop.test_reviewing import RULE as SPARSE
from tests.loop.test_reviewing import ask, labels, serve

RULE = replace(SPARSE, per_day=24 * 4)
"""Some questions an hour, whatever the lot."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ReviewDB]:
    found = ReviewDB(tmp_path / "review.db")
    yield found
    found.close()


@pytest.fixture
def places(tmp_path: Path, store: ReviewDB) -> Iterator[ReviewPlaces]:
    found = ReviewPlaces(tmp_path / "review.db")
    yield found
    found.close()


@pytest.fixture
def tool() -> FakeLabellingTool:
    return FakeLabellingTool()


def labelling(tool: FakeLabellingTool, places: ReviewPlaces, *, answers: bool = True) -> Labelling:
    return Labelling(tool, places, lambda: WALL, answers=answers)


def asking(store: ReviewDB, rule: ReviewRule = RULE) -> Bed:
    """Return a bed whose first window has closed: some answers are to be reviewed."""
    bed = Bed(review=Review(rule=rule, store=store))
    bed.approve("v1", START)
    serve(bed, 40)
    bed.turn(hour(1.5))
    return bed


def items(tool: FakeLabellingTool) -> list[str]:
    return [each.item for each in tool.placed.values()]


def test_each_question_is_placed_once_with_the_models_answer(
    store: ReviewDB, places: ReviewPlaces, tool: FakeLabellingTool
) -> None:
    asking(store)
    for _ in range(3):
        labelling(tool, places).step()  # anew each time, as after a restart
    assert len(items(tool)) == len(set(items(tool))) == store.status(WALL)["open"] >= 2
    first = next(iter(tool.placed.values()))
    assert first.answer == "1"
    assert first.score in (0.9, 0.55)
    assert first.version == "v1"
    assert set(first.row) == {"x"}


def test_answers_are_kept_from_people_where_the_policy_says_so(
    store: ReviewDB, places: ReviewPlaces, tool: FakeLabellingTool
) -> None:
    asking(store)
    labelling(tool, places, answers=False).step()
    assert {(each.answer, each.score, each.version) for each in tool.placed.values()} == {(None, None, "")}


def test_what_was_said_becomes_one_label_and_follows_what_is_said_next(
    store: ReviewDB, places: ReviewPlaces, tool: FakeLabellingTool
) -> None:
    bed = asking(store)
    keep = labelling(tool, places)
    keep.step()
    item = items(tool)[0]
    tool.say(item, "7", 0)
    for _ in range(3):  # seen again and again, asked or called
        keep.step()
        bed.turn(hour(1.6))
    assert labels(bed) == [("0", "review")]
    assert [fact.by for fact in bed.facts(ReviewSettled)] == [("fake/7",)]
    tool.say(item, "7", 1)
    keep.step()
    bed.turn(hour(1.7))
    assert labels(bed) == [("1", "review")]
    assert [fact.revision for fact in bed.facts(ReviewSettled)] == [1, 2]
    tool.withdraw(item, "7")
    keep.step()
    bed.turn(hour(1.8))
    assert labels(bed) == []
    (reopened,) = bed.facts(ReviewReopened)
    assert (reopened.by, reopened.revision) == ((), 3)
    tool.say(item, "8", 0)
    keep.step()
    bed.turn(hour(1.9))
    assert labels(bed) == [("0", "review")]
    assert bed.lake.counts()["labels"] == 4, "each word once"


def test_a_killed_loop_counts_what_it_had_not_counted(
    store: ReviewDB, places: ReviewPlaces, tool: FakeLabellingTool
) -> None:
    bed = Bed(review=Review(rule=RULE, store=store), restarts=True)
    bed.approve("v1", START)
    serve(bed, 40)
    bed.turn(hour(1.5))
    labelling(tool, places).step()
    item = items(tool)[0]
    tool.say(item, "7", 0)
    labelling(tool, places).step()
    bed.turn(hour(1.6))
    tool.withdraw(item, "7")
    labelling(tool, places).step()
    assert store.retold()[1] == [item]
    bed.turn(hour(1.7))
    assert labels(bed) == []
    assert store.retold() == (0, [])


def test_tasks_that_may_have_been_made_are_looked_for_and_not_made_again(
    store: ReviewDB, places: ReviewPlaces, tool: FakeLabellingTool
) -> None:
    asking(store)
    tool.cut = True
    with pytest.raises(UnavailableError):
        labelling(tool, places).step()
    assert places.doubtful()
    labelling(tool, places).step()
    assert len(items(tool)) == store.status(WALL)["open"]
    assert not places.doubtful()
    assert [places.task(item) for item in items(tool)] == list(tool.placed)


def test_control_without_looking_first_there_would_be_two_of_each(
    store: ReviewDB, places: ReviewPlaces, tool: FakeLabellingTool
) -> None:
    asking(store)
    tool.cut = True
    with pytest.raises(UnavailableError):
        labelling(tool, places).step()
    places.place({})  # the planted fault: what is in doubt counts as not made
    tool.place(places.waiting(10))
    count = store.status(WALL)["open"]
    assert len(items(tool)) == 2 * count
    labelling(tool, places).step()
    assert len(items(tool)) == count, "and even then the second one goes"


def test_a_second_task_of_an_item_is_removed_and_the_votes_of_the_first_stay(
    store: ReviewDB, places: ReviewPlaces, tool: FakeLabellingTool
) -> None:
    bed = asking(store)
    keep = labelling(tool, places)
    keep.step()
    task, first = next(iter(tool.placed.items()))
    tool.say(first.item, "7", 0)
    tool.place([first])  # somebody imports it again
    for _ in range(2):
        keep.step()
    assert tool.placed[task].item == first.item
    assert len(items(tool)) == len(set(items(tool)))
    bed.turn(hour(1.6))
    assert labels(bed) == [("0", "review")]


def test_what_is_erased_here_goes_there(store: ReviewDB, places: ReviewPlaces, tool: FakeLabellingTool) -> None:
    asking(store)
    labelling(tool, places).step()
    assert items(tool)
    store.forget(before=hour(1000))
    labelling(tool, places).step()
    assert items(tool) == []


def test_what_is_erased_while_its_task_is_being_made_goes_too(
    store: ReviewDB, places: ReviewPlaces, tool: FakeLabellingTool
) -> None:
    asking(store)
    tool.cut = True
    with pytest.raises(UnavailableError):
        labelling(tool, places).step()
    store.forget(before=hour(1000))
    labelling(tool, places).step()
    assert items(tool) == []


def test_a_question_that_was_answered_here_is_not_asked_there_any_more(
    store: ReviewDB, places: ReviewPlaces, tool: FakeLabellingTool
) -> None:
    bed = asking(store)
    keep = labelling(tool, places)
    keep.step()
    id = ask(store, "ada")
    store.answer(id, "ada", 0, WALL)
    bed.turn(hour(1.6))
    keep.step()
    assert id not in items(tool)
    left = items(tool)
    there = left[0]
    tool.say(there, "7", 0)
    keep.step()
    bed.turn(hour(1.7))
    keep.step()
    assert items(tool) == left, "what was answered there stays, to be corrected there"


def test_a_task_that_somebody_deletes_takes_nothing_back_and_an_open_one_comes_again(
    store: ReviewDB, places: ReviewPlaces, tool: FakeLabellingTool
) -> None:
    bed = asking(store)
    keep = labelling(tool, places)
    keep.step()
    said, *others = items(tool)
    tool.say(said, "7", 0)
    keep.step()
    bed.turn(hour(1.6))
    for task in list(tool.placed):
        tool.remove(task)
    keep.step()
    bed.turn(hour(1.7))
    assert labels(bed) == [("0", "review")]
    assert sorted(items(tool)) == sorted(others)


def test_more_people_are_asked_there_where_one_is_not_enough(
    store: ReviewDB, places: ReviewPlaces, tool: FakeLabellingTool
) -> None:
    bed = asking(store, replace(RULE, per_day=24, double=1.0))
    keep = labelling(tool, places)
    keep.step()
    ((task, placement),) = tool.placed.items()
    assert tool.people == {task: 2}
    for who, value in (("7", 0), ("8", 1)):
        tool.say(placement.item, who, value)
        keep.step()
        bed.turn(hour(1.6))
    assert labels(bed) == []
    keep.step()
    assert tool.people == {task: 3}
    tool.say(placement.item, "9", 0)
    keep.step()
    bed.turn(hour(1.7))
    assert labels(bed) == [("0", "review")]
    assert bed.facts(ReviewSettled)[0].by == ("fake/7", "fake/9")


@pytest.mark.fault("A7")
def test_who_fails_known_answers_there_is_not_believed_either(
    store: ReviewDB, places: ReviewPlaces, tool: FakeLabellingTool
) -> None:
    rule = replace(RULE, per_day=240, gold_share=0.5, gold_sources=("lab",))
    bed = Bed(review=Review(rule=rule, store=store))
    bed.approve("v1", START)
    serve(bed, 40, name="old")
    for i in range(20):
        bed.label(f"old{i}", 1, hour(1.1), source="lab")
    bed.turn(hour(1.5))
    serve(bed, 40, begin=1.6, name="new")
    bed.turn(hour(3.5))
    keep = labelling(tool, places)
    keep.step()
    for item in items(tool):
        tool.say(item, "7", 0)  # wrong wherever the answer is known
    keep.step()
    bed.turn(hour(3.6))
    weighed = bed.facts(LabellerWeighed)[-1]
    assert (weighed.labeller, weighed.trusted) == ("fake/7", False)
    assert not [value for value, source in labels(bed) if source == "review"]


def test_who_skips_has_said_nothing_and_votes_of_others_stay(
    store: ReviewDB, places: ReviewPlaces, tool: FakeLabellingTool
) -> None:
    asking(store)
    id = ask(store, "ada")
    store.answer(id, "ada", 0, WALL)
    keep = labelling(tool, places)
    keep.step()
    tool.say(id, "7", None)
    keep.step()
    (asked,) = store.voted()
    assert asked.votes == [("ada", 0)]
    tool.withdraw(id, "7")
    keep.step()
    (asked,) = store.voted()
    assert asked.votes == [("ada", 0)]


def test_a_tool_that_does_not_answer_changes_nothing(
    store: ReviewDB, places: ReviewPlaces, tool: FakeLabellingTool
) -> None:
    asking(store)
    tool.problem = "down"
    with pytest.raises(UnavailableError):
        labelling(tool, places).step()
    assert len(places.waiting(10)) == store.status(WALL)["open"]
