"""The fold that says where windows stand goes only forward, and decides nothing."""

from datetime import UTC, datetime, timedelta

from anew.domain.fact import Fact
from anew.domain.facts import Ticked, VersionPromoted, WindowClosed, WindowScored
from anew.domain.interval import Interval
from anew.feedback import Feedback, FeedbackState

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


def test_it_knows_the_first_window_the_last_and_the_last_scored() -> None:
    state = folded(promoted(0), closed(2), closed(3), scored(2), ticked(5), promoted(4))
    assert state == FeedbackState(served=at(0), began=at(2), closed=at(4), scored=at(3), ticked=at(5))


def test_nothing_goes_back() -> None:
    state = folded(closed(3), closed(1), scored(3), scored(1), ticked(9), ticked(2))
    assert (state.began, state.closed, state.scored, state.ticked) == (at(3), at(4), at(4), at(9))


def test_in_the_beginning_there_is_nothing() -> None:
    assert folded() == FeedbackState()
