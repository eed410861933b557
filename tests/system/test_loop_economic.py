"""The economic rule in the real loop: retired champions go on scoring, and one comes back with its world, unfitted."""

from pathlib import Path

import pytest

from anew.domain.facts import CandidateTrained, RetiredScored, RetrainRequested, VersionPromoted
from tests.system.loop_project import QUIET, LoopProject, loop_project, wait

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

ECONOMIC = QUIET | {
    "data": "{history: history.parquet, holdout: 0.25, span: 2h}",
    "policy": "{rule: economic}",
    "canary": "[]",
}


def _fitted(ours: LoopProject) -> int:
    """Return how many trainings began."""
    return len((ours.root / "begun").read_text().splitlines())


def _right(ours: LoopProject) -> bool:
    """Does the champion answer the present world, as the last scores of it say?"""
    scored = ours.facts(RetiredScored)
    own = [each.value for each in scored[-1].evidence if each.subject == scored[-1].version] if scored else []
    return bool(own) and own[0] is not None and own[0] < 0.03 and scored[-1].version == ours.serves()


def test_a_retired_champion_comes_back_with_its_world(tmp_path: Path) -> None:
    with loop_project(tmp_path / "project", ECONOMIC) as ours:
        ours.up()
        assert ours.serves() == "v1"
        ours.drive(lambda: ours.facts(RetiredScored), hours=4)
        assert not ours.facts(RetrainRequested, triggers=("economic",))

        ours.stream.slope = -3.0
        ours.drive(lambda: len(ours.facts(VersionPromoted)) > 1 and _right(ours), hours=30)
        new = ours.facts(VersionPromoted)[-1]
        assert not ours.facts(RetrainRequested, revive="v1")

        ours.stream.slope = 3.0
        ours.drive(lambda: ours.facts(RetrainRequested, revive="v1"), hours=12)
        fits, asked = _fitted(ours), ours.facts(RetrainRequested, revive="v1")[0]
        assert asked.triggers == ("economic",)
        assert {"lead", "standard error", "windows"} <= set(dict(asked.considered))
        ours.drive(lambda: ours.facts(VersionPromoted)[-1].digest == ours.facts(VersionPromoted)[0].digest, hours=12)
        back = ours.facts(VersionPromoted)[-1]
        assert back.version not in ("v1", new.version)
        assert wait(lambda: ours.serves() == back.version, ours.log)
        assert _fitted(ours) == fits
        (made,) = ours.facts(CandidateTrained, version=back.version)
        assert (made.digest, made.compute_s) == (ours.facts(VersionPromoted)[0].digest, 0.0)
        ours.drive(lambda: _right(ours), hours=4)

        scored = ours.facts(RetiredScored)
        assert {"v1", new.version} <= {each.subject for fact in scored for each in fact.evidence if each.measured}
        ours.settle()
        assert ours.stored() == ours.expected()
        ours.verify_chain()
        assert ours.down() == 0
        assert not ours.processes()
