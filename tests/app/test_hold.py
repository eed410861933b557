"""What the short account of a rollout says of who is held is what the stage says, in written and drawn stories."""

from collections.abc import Iterable

import pytest

from anew.app.hold import HOLDING, Holding
from anew.domain.fact import Fact
from anew.domain.facts import FreezeBegan, FreezeEnded, Order, RolledBack, Stage
from anew.rollout import Rollout
from tests.laws.telling import Teller, warmed
from tests.rollout.telling import T0, ByMean, H, Story, approved, look, ordering, tick, tripped

BEGAN = FreezeBegan(model="m", at=T0, window="weekend", until=T0 + 48 * H)
ENDED = FreezeEnded(model="m", at=T0, window="weekend")


class Kept(Story):
    """A story that keeps its facts, in the order in which the stage heard them."""

    def __init__(self, stage: Rollout) -> None:
        super().__init__(stage)
        self.facts: list[Fact] = []

    def _hear(self, fact: Fact, decided: list[Fact]) -> None:
        self.facts.append(fact)
        super()._hear(fact, decided)

    def order(self, action: Order) -> None:
        """Let a person order it, and the gateways obey."""
        self.hear(ordering(self.shifts[-1], action, f"{action} {len(self.facts)}"))
        self.applied()


def compared(facts: Iterable[Fact]) -> list[tuple[tuple[str, ...], bool, bool]]:
    """Return arms, held and frozen after each fact that changed one of them, on which both have to agree."""
    holding, state = Holding(), Rollout().initial()
    seen: list[tuple[tuple[str, ...], bool, bool]] = [((), False, False)]
    for fact in facts:
        state = Rollout().apply(state, fact)
        if fact.kind in HOLDING:
            holding.hear(fact)
        said = holding.arms, holding.held is not None, holding.frozen
        arms = tuple(each.challenger[0] for each in state.arms)
        assert said == (arms, any(each.held for each in state.arms), state.frozen), fact
        if said != seen[-1]:
            seen.append(said)
    return seen[1:]


def test_of_a_trial_whose_first_arm_leaves_while_it_is_held() -> None:
    story = Kept(Rollout(arms=(0.25, 0.25), ab=ByMean(), expire=10 * H))
    story.champion()
    for version in ("v2", "v3"):
        story.challenger(version)
    story.order(Order.HOLD)
    story.hear(look("v2", Stage.AB, 1, -1.0))
    story.applied()
    story.order(Order.RESUME)
    story.order(Order.HOLD)
    story.hear(look("v3", Stage.AB, 2, -1.0))
    assert compared(story.facts) == [
        (("v1",), False, False),
        ((), False, False),
        (("v2",), False, False),
        (("v2", "v3"), False, False),
        (("v2", "v3"), True, False),
        (("v3",), True, False),
        (("v3",), False, False),
        (("v3",), True, False),
        ((), False, False),
    ]


def test_of_a_challenger_that_gives_way_a_freeze_and_a_champion_that_is_gone_back_from_while_one_is_held() -> None:
    story = Kept(Rollout(shadow=ByMean(), canary=ByMean(), steps=(0.5,), expire=40 * H, patience=3 * H))
    story.champion()
    story.promoted()
    story.challenger("v3", "v2")
    story.hear(tick(4), approved("v4", champion="v2", hour=5))
    story.applied()
    story.hear(BEGAN)
    story.order(Order.HOLD)
    story.hear(ENDED)
    gone = RolledBack(model="m", at=T0, version="v2", to="v1", evidence=(), reason="said by itself")
    assert compared([*story.facts, gone])[-1] == ((), False, False)
    story.hear(tripped("v2"))
    assert compared(story.facts)[4:] == [
        (("v3",), False, False),
        ((), False, False),
        (("v4",), False, False),
        (("v4",), False, True),
        (("v4",), True, True),
        (("v4",), True, False),
        ((), False, False),
    ]


@pytest.mark.parametrize("seed", range(12))
def test_in_drawn_stories(seed: int) -> None:
    assert any(arms for arms, *_ in compared(Teller().tell(warmed(seed)).facts))
