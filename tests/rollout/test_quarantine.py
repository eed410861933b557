"""What was rolled back, is stale or comes second gets no traffic; and what shares its bytes."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anew.domain.fact import Fact
from anew.domain.facts import (
    CandidateTrained,
    QuarantineReleased,
    RolloutSuperseded,
)
from anew.rollout import Quarantine
from tests.rollout.telling import T0, Story, approved, commanded, kinds, routing, tripped


@pytest.mark.fault("P5")
@pytest.mark.parametrize(
    "again",
    [
        approved("v2", champion="v1"),
        approved("v3", champion="v1", digest="d-v2"),
        approved("v2", champion="v1", digest="x"),
    ],
    ids=["the same", "the same bytes", "the same name"],
)
def test_a_rolled_back_version_is_not_rolled_out_again(again: Fact) -> None:
    story = Story().champion().challenger()
    story.hear(commanded())
    epochs = story.state.epoch
    decided = story.hear(again)
    assert kinds(decided) == ["RolledBack"]
    assert story.state.epoch == epochs
    assert routing(story)[:2] == ("v1", "")


@pytest.mark.fault("P5")
def test_control_a_loop_that_forgets_whom_it_took_back_rolls_it_out_again() -> None:
    story = Story().champion().challenger()
    story.hear(commanded())
    story.state = replace(story.state, quarantined=Quarantine())
    assert kinds(story.hear(approved("v2", champion="v1"))) == ["RolloutStarted", "TrafficShifted"]


def test_a_released_version_may_be_rolled_out_again() -> None:
    story = Story().champion().challenger()
    story.hear(commanded(), QuarantineReleased(model="m", at=T0, command="c", version="v2", by="ada", reason="fixed"))
    assert kinds(story.hear(approved("v2", champion="v1"))) == ["RolloutStarted", "TrafficShifted"]


def test_what_was_validated_against_another_champion_is_stale() -> None:
    story = Story().champion().promoted("v2", "v1")
    decided = story.hear(approved("v3", champion="v1"))
    assert kinds(decided) == ["RolloutSuperseded"]
    assert isinstance(decided[0], RolloutSuperseded)
    assert decided[0].reason == "validated against v1, but the champion is v2 now"


def test_a_second_challenger_does_not_push_the_first_aside() -> None:
    story = Story().champion().challenger("v2")
    assert kinds(story.hear(approved("v3", champion="v1"))) == ["RolloutSuperseded"]
    assert routing(story)[:2] == ("v1", "v2")


def test_who_is_turned_away_for_another_is_not_quarantined() -> None:
    """The second of two equal candidates is turned away; the first goes on and may become champion."""
    story = Story().champion().challenger("v2")
    same = CandidateTrained(
        model="m", at=T0, version="v3", champion="v1", digest="d-v2", snapshot="", rows=1, compute_s=0.0
    )
    story.hear(same, approved("v3", champion="v1", digest="d-v2"))
    assert len(story.state.quarantined) == 0, "nothing is held against it either"


def test_the_champions_own_bytes_are_not_tried_against_it() -> None:
    """Tried and taken back they would be quarantined, and the champion with them."""
    story = Story().champion("v1")
    assert kinds(story.hear(approved("v2", champion="v1", digest="d-v1"))) == ["RolloutSuperseded"]
    assert routing(story)[:2] == ("v1", "")


def test_a_fallback_whose_bytes_were_rolled_back_is_none() -> None:
    story = Story().champion().promoted("v2", "v1").challenger("v3", "v2", digest="d-v1")
    story.hear(tripped("v3"))
    assert routing(story) == ("v2", "", "", 0.0)
    assert kinds(story.hear(commanded())) == ["RolloutHeld"]


@given(steps=st.lists(st.tuples(st.booleans(), st.sampled_from("abc"), st.sampled_from(["", "1", "2"]))))
def test_a_quarantine_is_a_set_of_pairs_that_never_changes(steps: list[tuple[bool, str, str]]) -> None:
    known = [(Quarantine(), frozenset[tuple[str, str]]())]
    for released, version, digest in steps:
        found, plain = known[-1]
        if released:
            known.append((found.without(version), frozenset(each for each in plain if each[0] != version)))
        else:
            known.append((found.having((version, digest)), plain | {(version, digest)}))
    for found, plain in known:
        assert set(found) == plain
        assert len(found) == len(plain)
        assert found == Quarantine(plain)
        for version in "abc":
            for digest in ("", "1", "2"):
                assert ((version, digest) in found) == ((version, digest) in plain)
                barred = any(version == each or digest == other for each, other in plain)
                assert found.bars(version, digest) == barred
    assert repr(known[0][0]) == "Quarantine of 0 pairs"
