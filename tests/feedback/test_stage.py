"""The fold that says where windows stand goes only forward, and decides nothing."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from anew.domain.fact import Fact
from anew.domain.facts import Ticked, VersionPromoted, WindowClosed, WindowScored
from anew.domain.interval import Interval
from anew.feedback import Feedback, FeedbackState, Scored

START = datetime(2024, 1, 1, tzinfo=UTC)


def at(hour: int) -> datetime:
    return START + timedelta(hours=hour)


def closed(hour: int) -> WindowClosed:
    window = Interval(start=at(hour), end=at(hour + 1))
    return WindowClosed(model="m", at=at(hour + 1), version="v1", window=window, n=0, rows="", evidence=())


def scored(hour: int) -> WindowScored:
    window = Interval(start=at(hour), end=at(hour + 1))
    return WindowScored(
        model="m", at=at(hour + 3), version="v1", window=window, n=0, labelled=0, revision=0, evidence=()
    )


def ticked(hour: int) -> Ticked:
    return Ticked(model="m", at=at(hour), wall=START)


def promoted(hour: int) -> VersionPromoted:
    return VersionPromoted(model="m", at=at(hour), version="v", digest="d", previous="", evidence=(), reason="")


def folded(*facts: Fact) -> FeedbackState:
    stage = Feedback()
    state = stage.initial()
    for fact in facts:
        state = stage.apply(state, fact)
        assert stage.decide(state, fact) == ()
    return state


def test_it_knows_the_last_window_and_those_that_wait_for_their_score() -> None:
    state = folded(promoted(0), closed(2), closed(3), scored(2), ticked(5), promoted(4))
    assert (state.served, state.closed, state.ticked) == (at(0), at(4), at(5))
    assert [each.start for each in state.unscored] == [at(3)]
    assert [each.start for each in state.scored] == [at(2)]


def test_nothing_goes_back() -> None:
    state = folded(closed(3), closed(1), scored(3), ticked(9), ticked(2))
    assert (state.closed, len(state.unscored), state.ticked) == (at(4), 0, at(9))


def test_a_later_revision_stands_and_an_earlier_one_changes_nothing() -> None:
    first = scored(2)
    again = replace(first, revision=1, labelled=7)
    assert folded(first, again, first).scored[again.window] == Scored.of(again)
    assert Scored.of(first).digest == Scored.of(replace(first, at=at(9))).digest != Scored.of(again).digest


def test_a_tick_says_up_to_where_the_lake_was_looked_through() -> None:
    seen = replace(ticked(5), tables=(("labels", 3), ("predictions", 4)))
    assert dict(folded(seen, ticked(6)).read) == {"labels": 3, "predictions": 4}


def test_a_score_is_kept_until_a_tick_says_that_it_stands_for_good() -> None:
    every = [scored(hour) for hour in range(24 * 40)]
    assert len(folded(*every).scored) == 24 * 40  # however many there are
    state = folded(*every, replace(ticked(24 * 40), final=at(24 * 10 + 5)))
    assert state.scored.first == Interval(start=at(24 * 10), end=at(24 * 10 + 1))  # by whole days
    assert folded(*every, replace(ticked(24 * 40), final=at(24 * 10))).scored == state.scored
    assert folded(*every, replace(ticked(24 * 40), final=at(24 * 10 - 1))).scored != state.scored


def test_a_fold_leaves_the_state_it_came_from_as_it_was() -> None:
    stage, before = Feedback(), folded(scored(2), closed(3))
    kept = dict(before.scored), list(before.unscored)
    for fact in (scored(3), replace(scored(2), revision=1), replace(ticked(90), final=at(80))):
        assert stage.apply(before, fact) != before
        assert (dict(before.scored), list(before.unscored)) == kept


def test_in_the_beginning_there_is_nothing() -> None:
    assert folded() == FeedbackState()
