"""Persons approve a promotion of a running loop, which is killed while it waits for them."""

import json
import os
import signal
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from anew.app.asker import who_asks
from anew.domain.facts import (
    AccessGranted,
    ApprovalAsked,
    ApprovalCounted,
    ApprovalRefused,
    CandidateHeld,
    RetrainRequested,
    RolloutApproved,
    RolloutStarted,
    TrafficShifted,
    VersionPromoted,
    WindowClosed,
)
from tests.system.loop_project import ANEW, PATIENCE_S, QUIET, LoopProject, loop_project

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

ROLES = ("viewer", "operator")
TWO = QUIET | {"policy": "{cooldown: 3h}\ngovernance: {approvals: {promotion: 2}}"}


def sign(ours: LoopProject, verb: str, token: str = "") -> tuple[int, dict[str, object]]:
    """Sign for v2 as the user who runs this, or as whose token it is; return the exit code and what was said."""
    given = ["--token", "env:TOKEN"] if token else []
    done = subprocess.run(
        [ANEW, verb, "v2", "--reason", "looked into it", *given, "--json"],
        cwd=ours.root,
        env=os.environ | {"TOKEN": token},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    return done.returncode, json.loads(done.stdout)["data"] if done.stdout else {"problem": done.stderr}


@pytest.mark.fault("P15")
def test_two_persons_approve_what_nobody_else_may_and_a_killed_loop_goes_on_waiting(
    stale: LoopProject, tmp_path: Path
) -> None:
    with loop_project(tmp_path / "project", TWO, like=stale) as ours:
        ours.up()
        assert ours.serves() == "v1"
        ours.anew("access", "add-user", "carol", "--role", "approver", "--no-password", "--account", who_asks())
        ours.anew("retrain")
        asked = ours.wait_for(ApprovalAsked)
        assert (asked.version, asked.needed, asked.why) == ("v2", 2, ("promotion",))
        assert asked.barred == (asked.requester,) == ("carol",), "who asked for the retrain, by name and not by account"
        assert sign(ours, "approve")[0] == 3
        (refused,) = ours.facts(ApprovalRefused)
        assert "somebody else has to sign" in refused.reason

        persons = {
            role: ours.anew("access", "create", role, "--role", role)["token"] for role in ("viewer", "operator")
        }
        ada, bob = (ours.anew("access", "create", name, "--role", "approver")["token"] for name in ("ada", "bob"))
        assert sign(ours, "approve", ada)[0] == 6, "a token of nobody known"
        for name in ("ada", "bob"):
            ours.anew("access", "add-user", name, "--role", "approver", "--no-password")
        for token in (*persons.values(), ada[:-1]):
            assert sign(ours, "approve", token)[0] == 6
        code, said = sign(ours, "approve", ada)
        assert (code, said["outcome"]) == (8, "waiting")
        assert ours.serves() == "v1"

        ours.down(signal.SIGKILL)
        ours.up()
        code, said = sign(ours, "approve", ada)
        assert code == 5, "she has signed, and counts once"
        assert not ours.facts(RolloutApproved, version="v2")
        status = ours.anew("status")
        assert (status["waiting"]["version"], status["waiting"]["signed"]) == ("v2", ["ada"])

        code, said = sign(ours, "approve", bob)
        assert (code, said["outcome"]) == (0, "approved"), said
        (approved,) = ours.facts(RolloutApproved, version="v2")
        assert (approved.by, approved.digest) == ("ada, bob", asked.digest)
        assert [fact.by for fact in ours.facts(ApprovalCounted)] == ["ada", "bob"]
        ours.wait_for(RolloutStarted, version="v2")
        ours.wait_for(TrafficShifted, challenger=("v2", asked.digest))
        code, said = sign(ours, "approve", bob)
        assert code == 5, "there is nothing to sign for any more"
        assert ours.down() == 0
        ours.verify_chain()


def test_a_first_champion_that_is_approved_after_access_was_given_is_watched(tmp_path: Path) -> None:
    """Event time is years behind the wall clock here: a champion of the wall's present would be watched after years."""
    one = QUIET | {"policy": "{cooldown: 3h}\ngovernance: {approvals: {promotion: 1}, four_eyes: none}"}
    with loop_project(tmp_path / "project", one) as ours:
        ours.up()
        asked = ours.wait_for(ApprovalAsked)
        ours.anew("access", "create", "you", "--role", "admin")
        ours.wait_for(AccessGranted)
        ours.anew("approve", "v1", "--reason", "looked into it")
        assert ours.serves() == "v1"
        (promoted,) = ours.facts(VersionPromoted)
        assert promoted.at - asked.at < timedelta(seconds=1)
        for _ in range(3):
            ours.hour()
        ours.wait_for(WindowClosed)
        assert ours.down() == 0


def test_a_first_candidate_that_waits_at_a_gate_is_not_trained_again_by_a_start(tmp_path: Path) -> None:
    asking = {"- slos": "{or_closer: true}\n  - {footprint: {size_mb: 0.000001}, mode: ask}"}
    with loop_project(tmp_path / "project", QUIET | asking) as ours:
        ours.up()
        ours.wait_for(CandidateHeld)
        assert ours.down() == 0
        ours.up()
        ours.anew("approve", "v1", "footprint", "--reason", "looked into it")
        assert ours.serves() == "v1"
        assert len(ours.facts(RetrainRequested)) == 1
        assert ours.down() == 0
