"""Which of two sets of workers answers, and what the other one holds."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anew.domain.facts import Stage, TrafficShifted
from anew.rollout import Side, Sides, held_by, sides_after

AT = datetime(2026, 1, 1, tzinfo=UTC)
Pair = tuple[str, str]
NOBODY: Pair = ("", "")


def pair(name: str) -> Pair:
    return (name, name * 3) if name else NOBODY


def order(epoch: int, champion: str, challenger: str = "", fallback: str = "") -> TrafficShifted:
    return TrafficShifted(
        model="m", at=AT, epoch=epoch, stage=Stage.SHADOW if challenger else Stage.STEADY, share=0.0,
        champion=pair(champion), challenger=pair(challenger), fallback=pair(fallback),
    )  # fmt: skip


def walk(*orders: TrafficShifted) -> list[tuple[Side, str, str]]:
    """Return who answers after each order, and what blue and green hold."""
    sides: Sides | None = None
    seen = []
    for each in orders:
        sides = sides_after(sides, each, ready=True)
        seen.append((sides.active, sides.blue[0], sides.green[0]))
    return seen


def test_a_promotion_switches_to_the_set_that_has_it_and_a_rollback_switches_back() -> None:
    blue, green = Side.BLUE, Side.GREEN
    assert walk(
        order(1, "v1"),
        order(2, "v1", "v2"),
        order(3, "v2", fallback="v1"),
        order(4, "v2", "v3", "v1"),
        order(5, "v2", fallback="v1"),
        order(6, "v1"),
        order(7, "v9"),
    ) == [
        (blue, "v1", "v1"),
        (blue, "v1", "v2"),
        (green, "v1", "v2"),
        (green, "v3", "v2"),
        (green, "v1", "v2"),
        (blue, "v1", "v1"),
        (blue, "v9", "v9"),  # nobody holds it: the set that answers loads it
    ]


NAMES = st.sampled_from(["v1", "v2", "v3"])
ORDERS = st.lists(
    st.tuples(st.booleans(), NAMES, st.sampled_from(["", "v1", "v2", "v3"]), st.sampled_from(["", "v1", "v2"]))
)


@given(told=ORDERS)
def test_the_set_that_answers_holds_the_champion_and_a_switch_loads_nothing(
    told: list[tuple[bool, str, str, str]],
) -> None:
    before: Sides | None = None
    for epoch, (ready, *names) in enumerate(told, start=1):
        each = order(epoch, *names)
        after = sides_after(before, each, ready=ready)
        assert after.holds(after.active) == each.champion
        named = {each.champion, each.challenger, each.fallback} - {NOBODY}
        assert {after.blue, after.green} <= named  # nothing but what the signed routing names
        if before is not None and after.active is not before.active:
            assert ready
            assert before.holds(after.active) == each.champion
        assert sides_after(after, each, ready=not ready) == after
        before = after


def test_while_the_resting_set_is_not_ready_the_one_that_answers_goes_on() -> None:
    """A rollback to what blue holds but has not loaded: green, which has it warm as its fallback, answers by it."""
    sides: Sides | None = None
    for each in (order(1, "v1"), order(2, "v1", "v2"), order(3, "v2", fallback="v1")):
        sides = sides_after(sides, each, ready=True)
    assert sides is not None
    assert (sides.active, sides.blue) == (Side.GREEN, pair("v1"))
    back = sides_after(sides, order(4, "v1"), ready=False)
    assert (back.active, back.green, back.blue) == (Side.GREEN, pair("v1"), pair("v1"))
    assert sides_after(sides, order(4, "v1"), ready=True).active is Side.BLUE


@pytest.mark.parametrize("side", list(Side))
def test_a_set_serves_its_own_version_alone(side: Side) -> None:
    told = order(2, "v1", "v2", "v0")
    sides = sides_after(sides_after(None, order(1, "v1"), ready=True), told, ready=True)
    seen = held_by(side, sides, told)
    assert (seen.epoch, seen.stage, seen.challenger) == (2, Stage.STEADY, NOBODY)
    assert (seen.champion[0], seen.fallback[0]) == (("v1", "v0") if side is Side.BLUE else ("v2", ""))
