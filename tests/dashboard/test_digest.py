"""The state of the folds that the dashboard keeps comes back as it was, and is told from what other code made."""

import ast
from collections.abc import Sequence
from inspect import getsource
from typing import Any

import pytest

from anew.dashboard import catalogue, hearing
from anew.dashboard import digest as digest_module
from anew.dashboard.digest import Digest, packed, unpacked
from anew.domain.fact import Fact
from anew.domain.facts import (
    ApprovalAsked,
    ApprovalCounted,
    Arm,
    CandidateAccepted,
    FreezeBegan,
    OverrideSigned,
    RetrainHeld,
    RetrainQueued,
    RetrainRequested,
    RolloutDelayed,
    RolloutStarted,
    Stage,
    TrafficShifted,
)
from anew.domain.severity import Severity
from tests.dashboard.story import AT, DAY, story
from tests.dashboard.test_records import TOLD


def under_consent() -> Sequence[Fact]:
    """Return a record in which all that can wait for persons does, and two arms are on trial."""
    day = AT + DAY
    of: dict[str, Any] = {"model": "m", "at": AT}
    pair: dict[str, Any] = {**of, "version": "v3x", "digest": "3" * 64}
    arms = (
        Arm(version="v2x", digest="2" * 64, share=0.25),
        Arm(version="v4x", digest="4" * 64, low=0.25, share=0.2),
    )
    asked = ApprovalAsked(
        **pair, champion="v1x", needed=2, why=("promotion",), requester="ann", barred=("ann",), expires=day
    )
    request = RetrainRequested(**of, reason="so", triggers=("t",), severity=Severity.HIGH, revive="v1x")
    return [
        *story("x"),
        OverrideSigned(**pair, gate="slos", by="eve", reason="so", signature=""),
        CandidateAccepted(**pair, champion="v1x"),
        asked,
        ApprovalCounted(**pair, by="bob", given=1, needed=2),
        FreezeBegan(**of, window="night", until=day),
        RolloutDelayed(**pair, reason="frozen", until=day),
        request,
        RetrainHeld(**of, by="policy", reason="frozen", until=day),
        RetrainQueued(**of, wall=day, request="r", reason="turn", detail="so", due=day, place=1, of=2, rate=0.1),
        RolloutStarted(**{**pair, "version": "v4x", "digest": "4" * 64}, champion="v1x"),
        TrafficShifted(
            **of, epoch=3, stage=Stage.AB, share=0.25, champion=("v1x", "1" * 64), challenger=arms[0].pair, arms=arms,
            trial="v2x",
        ),
    ]  # fmt: skip


@pytest.mark.parametrize("facts", [*TOLD.values(), under_consent()], ids=[*TOLD, "under consent"])
def test_the_state_that_is_kept_comes_back_as_it_was(facts: Sequence[Fact]) -> None:
    digest = Digest()
    for seq, fact in enumerate(facts, 1):
        digest.hear(fact, seq, {})
        assert unpacked(packed(digest)) == digest
    told = packed(digest)
    for broken in (told[:-1], told[1:], b"", told[:32] + b"{}"):
        with pytest.raises(ValueError, match="its state"):
            unpacked(broken)


def test_what_waits_for_persons_is_kept_too() -> None:
    digest = Digest()
    for seq, fact in enumerate(under_consent(), 1):
        digest.hear(fact, seq, {})
    state, rollout = unpacked(packed(digest)).governance, unpacked(packed(digest)).rollout
    assert state.waiting is not None and state.waiting.asked is not None
    assert (state.waiting.signed, state.waiting.delayed) == (("bob",), True)
    assert None not in (state.frozen, state.held, state.unanswered, state.queued)
    assert [each.challenger[0] for each in rollout.arms] == ["v2x", "v4x"]


def test_all_code_that_makes_it_is_told_from_other_code() -> None:
    packages = set()
    for module in (catalogue, digest_module, hearing):
        for node in ast.walk(ast.parse(getsource(module))):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("anew."):
                packages.add(str(node.module).split(".")[1])
    assert packages - {"ports"} == set(digest_module._MAKERS)
    assert digest_module.maker() == digest_module.maker()
