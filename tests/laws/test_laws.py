"""The laws of the loop hold in every story: random outsides, failing effects, spoilt evidence, crashes."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anew.domain.evidence import Evidence
from anew.domain.facts import RetrainRequested, RolloutSuperseded, TrafficShifted, VersionPromoted, WindowClosed
from anew.domain.interval import Interval
from anew.loop.engine import Engine
from anew.testing.law import LAWS
from anew.testing.small_stages import small_stages
from anew.testing.story import WEIGHTS, Move, Step, Story
from tests.laws.planted import OTHERS, BreadthFirst, two_detectors
from tests.laws.telling import (
    FIRST,
    MANY,
    SETTINGS,
    SOME,
    Reach,
    Teller,
    differences,
    folded,
    record,
    stories,
    stuck,
    warmed,
)

LEAST_SHARE = 0.1


def test_the_laws_hold_and_stories_go_far_enough(record_property: Callable[[str, object], None]) -> None:
    """Every law, on every story; and stories that never get anywhere prove nothing."""
    reach, teller = Reach(), Teller()

    @MANY
    @given(st.booleans(), stories)
    def tell(warm: bool, story: Story) -> None:
        told = teller.tell((*warmed(0, 0), *story) if warm else story)
        reach.count(told)
        broken = [f"{name}: {each}" for name, law in LAWS.items() for each in law(told.transactions, SETTINGS)]
        broken += [*told.wrong, *stuck(told)]
        assert not broken, "\n".join(broken[:5])

    tell()
    for seed in range(60):  # the same whatever Hypothesis draws
        told = teller.tell(warmed(seed, 140))
        reach.count(told)
        assert [each for law in LAWS.values() for each in law(told.transactions, SETTINGS)] == []
    record_property("reach", str(reach))
    for end in ("promotion", "rollback", "rejection"):
        assert reach.came[end] >= LEAST_SHARE * reach.stories, f"too few stories reach a {end}: {reach}"


def test_the_laws_hold_of_arms_side_by_side_too() -> None:
    """Several challengers at once: each harmful one goes back, one wins, no place is given twice."""
    settings = replace(SETTINGS, arms=(0.2, 0.3, 0.25))
    weights = {**WEIGHTS, Move.RETRAIN: 30, Move.ANSWER: 60}
    teller, came = Teller(stages=lambda: small_stages(settings)), Counter[str]()
    for seed in range(60):
        chance = Random(seed)
        moves = chance.choices(tuple(weights), weights=tuple(weights.values()), k=140)
        told = teller.tell((*warmed(0, 0), *(Step(move, chance.randrange(1 << 16)) for move in moves)))
        broken = [f"{name}: {each}" for name, law in LAWS.items() for each in law(told.transactions, settings)]
        broken += [*told.wrong, *stuck(told), *differences(told, small_stages(settings))]
        assert not broken, "\n".join(broken[:5])
        shifts = [fact for fact in told.facts if isinstance(fact, TrafficShifted)]
        came["side by side"] += any(len(each.arms) > 1 for each in shifts)
        came["all places taken"] += any(len(each.arms) > 2 for each in shifts)
        came["winner"] += any(isinstance(each, VersionPromoted) and each.previous for each in told.facts)
        came["gave way"] += any(isinstance(each, RolloutSuperseded) for each in told.facts)
        came["one of several taken back"] += any(
            len(one.arms) > len(other.arms) > 0 and one.trial == other.trial for one, other in pairwise(shifts)
        )
    assert came.pop("all places taken") > 0
    for end, count in came.items():
        assert count >= LEAST_SHARE * 60, f"too few stories reach {end}: {came}"


@SOME
@given(stories)
def test_folding_the_record_gives_the_live_state_after_every_transaction(story: Story) -> None:
    told = Teller().tell((*warmed(0, 0), *story))
    assert list(differences(told, Teller().stages())) == []


@SOME
@given(stories, st.integers(0, 1_000))
def test_a_fold_that_is_cut_anywhere_is_resumed(story: Story, cut: int) -> None:
    """Cut within a transaction or between two: the rest folds onto it."""
    facts = Teller().tell((*warmed(0, 0), *story)).facts
    stages = Teller().stages()
    at = cut % (len(facts) + 1)
    states = folded(facts[:at], stages)
    for fact in facts[at:]:
        states = {name: stage.apply(states[name], fact) for name, stage in stages.items()}
    assert states == folded(facts, stages)


@pytest.mark.parametrize("other", OTHERS)
def test_folding_knows_no_threshold(other: str) -> None:
    """Other settings from tomorrow on do not rewrite what happened."""
    stages, others = Teller().stages(), OTHERS[other]()
    for seed in range(25):
        facts = Teller().tell(warmed(seed)).facts
        assert folded(facts, others) == folded(facts, stages)


def test_other_settings_would_have_decided_otherwise() -> None:
    """The other settings are others indeed, or the law above says nothing."""
    for stages in OTHERS.values():
        assert any(
            record(Teller(stages=stages).tell(warmed(seed))) != record(Teller().tell(warmed(seed)))
            for seed in range(20)
        )


@SOME
@given(stories)
def test_the_same_story_gives_the_same_record_byte_for_byte(story: Story) -> None:
    assert record(Teller().tell(story)) == record(Teller().tell(story))


@SOME
@given(stories)
def test_crashes_and_failing_appends_leave_no_trace(story: Story) -> None:
    """The record is the same as if no engine had ever been thrown away."""
    whole = (*warmed(0, 0), *story)
    assert record(Teller().tell(whole)) == record(Teller(faults=False).tell(whole))


def test_every_story_begins_with_a_first_champion() -> None:
    told = Teller().tell(warmed(0, 0))
    assert len(warmed(0, 0)) == len(FIRST)
    assert told.states[-1]["registry"].champion is not None


def trap() -> WindowClosed:
    """Return a window in which two detectors find something at once."""
    start = datetime(2024, 1, 1, tzinfo=UTC)
    return WindowClosed(
        model="world",
        at=start + timedelta(hours=1),
        version="v1",
        window=Interval(start=start, end=start + timedelta(hours=1)),
        n=500,
        rows="rows",
        evidence=tuple(Evidence.of(name, 0.9, 500, subject="amount") for name in ("psi>0.25", "psi>0.5")),
    )


@pytest.mark.parametrize(("engine", "requests"), [(Engine, 1), (BreadthFirst, 2)])
def test_breadth_first_asks_twice_within_one_cooldown_and_depth_first_once(engine: type[Engine], requests: int) -> None:
    """The second alert has to be heard after the answer to the first; and the law sees it when it is not."""
    facts = Teller(engine=engine, stages=two_detectors).world().loop.submit(trap())
    assert sum(isinstance(fact, RetrainRequested) for fact in facts) == requests
    broken = list(LAWS["cooldown_and_budget_are_kept"]([facts], SETTINGS))
    assert bool(broken) is (requests > 1)
