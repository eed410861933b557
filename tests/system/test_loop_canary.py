"""A challenger that goes wrong on real traffic, in the whole loop: no caller notices, and it is taken back."""

from collections import Counter
from pathlib import Path

import pytest

from anew.domain.facts import (
    GuardrailTripped,
    RolledBack,
    RolloutObserved,
    Stage,
    TrafficApplied,
    TrafficShifted,
    VersionPromoted,
)
from tests.system.loop_project import QUIET, LoopProject, loop_project, wait

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


@pytest.mark.fault("P6")
@pytest.mark.parametrize(("how", "why"), [("crash", "crashed"), ("hang", "deadline"), ("garbage", "error")])
def test_a_challenger_that_fails_in_canary_costs_no_caller_an_answer(
    canary: LoopProject, tmp_path: Path, how: str, why: str
) -> None:
    patience = {"serving": "{deadline_ms: 500, workers: 1}"} if how == "hang" else {}
    with loop_project(tmp_path / "project", QUIET | patience, like=canary) as ours:
        ours.up()
        ours.applied(3)
        (ours.root / "spoilt").write_text(how)
        before = len(ours.acknowledged.answers)
        tripped = _ask_until_tripped(ours)
        assert why in tripped.reason
        answers = ours.acknowledged.answers[before:]
        assert {(answer["version"], answer["arm"]) for answer in answers} == {("v1", "champion"), ("v1", "fallback")}
        (back,) = ours.facts(RolledBack)
        assert (back.version, back.to, back.cause) == ("v2", "v1", tripped.id)
        ours.wait_for(TrafficApplied, epoch=4)
        assert {answer["arm"] for answer in ours.predict()} == {"champion"}
        assert ours.status()["quarantined"] == ["v2"]
        ours.settle()
        assert ours.down() == 0


@pytest.mark.fault("P6")
def test_a_gateway_that_starts_beside_a_challenger_that_cannot_load_serves_the_champion(
    canary: LoopProject, tmp_path: Path
) -> None:
    with loop_project(tmp_path / "project", QUIET, like=canary) as ours:
        (ours.root / "spoilt").write_text("crash")
        ours.up()
        assert ours.serves() == "v1"
        assert {answer["version"] for answer in ours.predict()} == {"v1"}
        tripped = ours.wait_for(GuardrailTripped)
        assert "ended while loading" in tripped.reason
        assert ours.wait_for(RolledBack).version == "v2"
        ours.wait_for(TrafficApplied, epoch=4)


def _ask_until_tripped(ours: LoopProject) -> GuardrailTripped:
    """Ask for some rows, and look whether the control plane has heard; every answer is 200, or `predict` fails."""

    def tripped() -> list[GuardrailTripped]:
        if not ours.facts(GuardrailTripped):
            ours.predict(10)
        return ours.facts(GuardrailTripped)

    return wait(tripped, ours.log)[0]


@pytest.mark.fault("P6")
def test_a_challenger_that_answers_wrongly_is_taken_back_by_the_evidence(canary: LoopProject, tmp_path: Path) -> None:
    with loop_project(tmp_path / "project", QUIET, like=canary) as ours:
        (ours.root / "spoilt").write_text("wrong")
        ours.up()
        ours.applied(3)
        ours.drive(lambda: ours.facts(RolledBack))
        (back,) = ours.facts(RolledBack)
        assert (back.version, back.to) == ("v2", "v1")
        assert back.reason.startswith("canary: excess loss")
        seen = ours.facts(RolloutObserved)[-1]
        assert back.cause == seen.id  # that very evidence
        assert not ours.facts(VersionPromoted, version="v2")


@pytest.mark.fault("P7")
def test_without_labels_a_canary_holds_and_is_given_up_in_the_end(canary: LoopProject, tmp_path: Path) -> None:
    with loop_project(tmp_path / "project", QUIET, like=canary) as ours:
        ours.unlabelled.clear()  # their labels never come either
        ours.up()
        ours.applied(3)
        for _ in range(4):
            ours.hour(labels=False)
            ours.settle()
        assert not ours.facts(RolledBack)
        assert ours.facts(TrafficShifted)[-1].stage is Stage.CANARY
        arms = Counter(answer["arm"] for answer in ours.acknowledged.answers[-240:])
        assert arms.keys() == {"champion", "challenger"}
        ours.drive(lambda: ours.facts(RolledBack), labels=False)
        (back,) = ours.facts(RolledBack)
        assert back.reason.startswith("expired")
        assert [fact.version for fact in ours.facts(VersionPromoted)] == ["v1"]
        # Whatever was looked at since the fixture's last labels had none: nothing was counted.
        assert all(look.challenger_loss.n == 0 for look in ours.facts(RolloutObserved, stage=Stage.CANARY)[1:])


@pytest.mark.fault("P6")
@pytest.mark.fault("P7")
def test_control_with_labels_and_no_fault_the_same_canary_is_promoted(canary: LoopProject, tmp_path: Path) -> None:
    """Nothing but the fault of the tests above keeps it from being promoted."""
    with loop_project(tmp_path / "project", QUIET, like=canary) as ours:
        ours.up()
        ours.applied(3)
        ours.drive(lambda: ours.facts(VersionPromoted, version="v2"))
        assert not ours.facts(GuardrailTripped)
        assert not ours.facts(RolledBack)
