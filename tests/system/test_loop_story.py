"""The whole loop with real programs: a model goes stale, is replaced on evidence, and is rolled back for good."""

from datetime import timedelta
from pathlib import Path

import pytest

from anew.adapters.fact_reader import read_facts
from anew.domain.facts import (
    CandidateAccepted,
    RetrainRequested,
    RolledBack,
    RolloutStarted,
    SnapshotTaken,
    Stage,
    TrafficShifted,
    VersionPromoted,
    WindowClosed,
)
from tests.system.loop_project import BEGIN, LoopProject, loop_project, wait

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


@pytest.mark.fault("P5")
def test_a_stale_model_is_replaced_and_a_rolled_back_one_stays_away(tmp_path: Path) -> None:
    with loop_project(tmp_path / "project", {"dashboard": "{serve: true}"}) as ours:
        ours.up()
        assert ours.serves() == "v1"
        ours.drive(lambda: ours.facts(TrafficShifted), hours=2)
        assert not ours.facts(RetrainRequested, triggers=("psi>0.5",))

        ours.stream.shift = 6.0
        ours.drive(lambda: ours.facts(VersionPromoted, version="v2"))
        (asked,) = ours.facts(RetrainRequested, triggers=("psi>0.5",))
        assert "x" in asked.reason
        assert len(ours.facts(SnapshotTaken)) == len(ours.facts(CandidateAccepted)) == 2
        stages = [(shift.stage, shift.share) for shift in ours.facts(TrafficShifted)]
        assert stages == [(Stage.STEADY, 0.0), (Stage.SHADOW, 0.0), (Stage.CANARY, 0.5), (Stage.STEADY, 0.0)]
        wait(lambda: ours.serves() == "v2", ours.log)
        _agree(ours, champion="v2")

        back = ours.anew("rollback", "--reason", "the shop complains")
        assert (back["from"], back["to"]) == ("v2", "v1")
        wait(lambda: ours.serves() == "v1", ours.log)
        _stays_away(ours)
        assert ours.down() == 0
        assert not ours.processes()


def _stays_away(ours: LoopProject) -> None:
    """Neither a restart, nor traffic, nor another retrain brings the rolled-back version back."""
    (back,) = ours.facts(RolledBack)
    assert back.version == "v2"
    assert "the shop complains" in back.reason
    assert ours.down() == 0
    ours.up()
    assert ours.serves() == "v1"
    ours.drive(lambda: ours.facts(RolloutStarted, version="v3"))  # it is stale again, and a new version may come
    assert [fact.version for fact in ours.facts(VersionPromoted)] == ["v1", "v2"]
    assert ours.status()["quarantined"] == ["v2"]
    (digest,) = {fact.digest for fact in ours.facts(VersionPromoted, version="v2")}
    later = [shift for shift in ours.facts(TrafficShifted) if shift.epoch > 4]
    assert all(digest not in (shift.champion[1], shift.challenger[1], shift.fallback[1]) for shift in later)
    _agree(ours, champion="v1")


def _agree(ours: LoopProject, *, champion: str) -> None:
    """What was acknowledged is stored exactly, and record, status, explanation and answers say the same."""
    ours.settle()
    assert ours.stored() == ours.expected()
    assert len(set(ours.acknowledged.predictions)) == len(ours.acknowledged.predictions)
    ours.verify_chain()
    status = ours.anew("status")
    assert status["champion"]["version"] == status["traffic"]["champion"] == champion
    assert status["stored"]["predictions"] == len(ours.acknowledged.predictions)
    answer = next(each for each in reversed(ours.acknowledged.answers) if each["version"] == champion)
    traced = ours.anew("lineage", answer["id"], "--svg", "lineage.svg")
    shown = {node["kind"] for node in traced["nodes"]}
    assert {"cause", "data", "code", "version", "verdict", "traffic", "prediction"} <= shown
    led = {(edge["target"], edge["role"]) for edge in traced["edges"]}
    assert {(answer["id"], "answered"), (answer["id"], "routed")} <= led
    until = (BEGIN + timedelta(days=30)).isoformat()
    seen = ours.anew("data", "profile", "--since", BEGIN.isoformat(), "--until", until, "--version", "v1")
    assert seen["windows"] > 1
    assert seen["rows"] == sum(each.n for each in ours.facts(WindowClosed, version="v1"))  # counted as each closed
    said = ours.anew("explain", champion)
    kinds = [each["kind"] for each in said["facts"]]
    assert kinds.index("TrainingPlanned") < kinds.index("CandidateTrained") < kinds.index("VersionPromoted")
    assert {each["fact"]["id"] for each in said["facts"]} <= {
        each.fact.id for each in read_facts(ours.state / "anew.db")
    }
