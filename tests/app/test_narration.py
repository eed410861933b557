"""Every fact has a sentence of its own, one line, with its numbers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from anew.app.narration import narrate, write_evidence
from anew.domain.evidence import Evidence
from anew.domain.fact import Fact
from anew.domain.facts import (
    FACTS,
    Arm,
    CandidateAccepted,
    Order,
    RetiredScored,
    RollbackCommanded,
    SpansCompared,
    Stage,
    TrafficApplied,
    TrafficShifted,
    TrainingPlanned,
)
from anew.domain.interval import Interval
from anew.domain.order import ordered
from anew.loop.retired import retired_losses
from tests.adapters.fact_samples import sample

AT = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("kind", FACTS.values(), ids=FACTS)
def test_every_fact_is_told_in_one_line(kind: type[Fact]) -> None:
    said = narrate(sample(kind))
    assert said != kind.__name__, "nothing is told of this kind"
    assert "\n" not in said
    assert "None" not in said


def test_a_plan_says_whose_rows_alone_are_held_out() -> None:
    plan = sample(TrainingPlanned)
    assert isinstance(plan, TrainingPlanned)
    plan = replace(plan, holdout_sources=("audit", "lab"), holdout_share=0.2)
    assert "newest 20% of those labelled by audit or lab held out" in narrate(plan)
    assert "newest 20% held out" in narrate(replace(plan, holdout_sources=(), holdout_most=0, holdout_least=0))


def test_evidence_is_told_with_size_and_uncertainty_or_why_there_is_none() -> None:
    measured = Evidence.of("psi", 0.3, 50, subject="x", interval=(0.1, 0.5))
    assert write_evidence((measured,)) == "psi x 0.3 (0.1 to 0.5), n = 50"
    assert write_evidence((Evidence.of("psi", None, 3, problem="too few"),)) == "psi: too few"
    assert write_evidence(()) == "nothing measured"


def test_one_standard_error_is_not_told_as_an_interval() -> None:
    window = Interval(start=AT, end=AT + timedelta(days=1))
    losses = {"v2": np.array([0.0, 0.0, 1.0, 0.0]), "v1": np.array([0.0, 1.0, 1.0, 0.0]), "v0": np.full(4, np.nan)}
    scored = RetiredScored(model="m", at=AT, version="v2", window=window, evidence=retired_losses(losses, ["v2", "v1"]))
    assert narrate(scored).partition("of ")[2] == (
        "loss v2 0.25, n = 4; loss v1 0.5 (± 0.22 beside the champion), n = 4"
    )
    nothing = replace(scored, evidence=retired_losses(losses, ["v2", "v0"]))
    assert narrate(nothing).endswith(
        "loss v2: high, low, reference, value not finite; loss v0: high, low, reference, value not finite"
    )
    evidence = (Evidence.of("loss", 0.05, 40, subject="2024-01-02", interval=(0.02, 0.08)),)
    compared = SpansCompared(model="m", at=AT, version="v2", evidence=evidence)
    assert narrate(compared) == "the span beside v2 lost more by: loss 2024-01-02 0.05 (± 0.03), n = 40"
    assert narrate(replace(compared, evidence=())) == "the span beside v2 lost more by: nothing measured"


@pytest.mark.parametrize(
    ("stage", "share", "said"),
    [
        (Stage.STEADY, 0.0, "traffic: all to v1 (epoch 3, fallback none)"),
        (Stage.SHADOW, 0.0, "traffic: v2 in shadow beside v1 (epoch 3)"),
        (Stage.CANARY, 0.1, "traffic: v2 in canary at 10% beside v1 (epoch 3)"),
    ],
)
def test_traffic_is_told_by_its_stage(stage: Stage, share: float, said: str) -> None:
    challenger = ("", "") if stage is Stage.STEADY else ("v2", "d2")
    shifted = TrafficShifted(
        model="m", at=AT, epoch=3, stage=stage, share=share, champion=("v1", "d1"), challenger=challenger
    )
    assert narrate(shifted) == said


@pytest.mark.parametrize(
    ("workers", "said"),
    [
        (0, "is published; no gateway worker runs yet"),
        (1, "is in force at 1 gateway worker"),
        (2, "is in force at 2 gateway workers"),
    ],
)
def test_traffic_that_is_in_force_is_told_apart_from_what_was_asked_for(workers: int, said: str) -> None:
    applied = TrafficApplied(model="m", at=AT, epoch=3, workers=workers)
    assert narrate(applied) == f"traffic of epoch 3 {said}"


@pytest.mark.fault("H9")
def test_what_people_wrote_makes_no_line_of_its_own() -> None:
    reason = "looked\nv9 promoted over v1: fine\r\x85\u2028more"
    said = narrate(RollbackCommanded(model="m", at=AT, command="c", by="ann", reason=reason))
    assert len(said.splitlines()) == 1


def test_what_a_person_signed_for_is_not_told_as_passed() -> None:
    assert narrate(sample(CandidateAccepted)).endswith("accepted: each required gate passed or was signed for")


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (Order.HOLD, "hold of v2, v3"),
        (Order.RESUME, "resume of v2, v3"),
        (Order.ABORT, "abort of the trial with v2"),
        (Order.ROLLBACK, "rollback of the trial with v2"),
    ],
)
def test_an_order_about_a_trial_names_more_than_its_first_arm(action: Order, said: str) -> None:
    arms = (Arm(version="v2", digest="d2", share=0.2), Arm(version="v3", digest="d3", low=0.2, share=0.3))
    routing = TrafficShifted(
        model="m", at=AT, epoch=1, stage=Stage.AB, share=0.2, champion=("v1", "d1"), challenger=("v2", "d2"),
        arms=arms, trial="v2",
    )  # fmt: skip
    assert narrate(ordered(routing, action, command="c", by="ann", reason="r")).startswith(f"{said} ordered at the")
