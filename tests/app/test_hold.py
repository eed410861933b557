"""What the short account of a rollout says of who is held is what the stage itself says, in drawn stories."""

import pytest

from anew.app.hold import HOLDING, Holding
from anew.rollout import Rollout
from tests.laws.telling import Teller, warmed


@pytest.mark.parametrize("seed", range(12))
def test_it_says_what_the_stage_says(seed: int) -> None:
    holding, state = Holding(), Rollout().initial()
    for fact in Teller().tell(warmed(seed)).facts:
        state = Rollout().apply(state, fact)
        if fact.kind in HOLDING:
            holding.hear(fact)
        assert holding.arms == tuple(each.challenger[0] for each in state.arms), fact
        assert (holding.held is not None) == any(each.held for each in state.arms), fact
        assert holding.frozen == state.frozen
