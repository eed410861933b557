"""Training in the real loop: cancelled, killed, without room, searched and confined; the champion serves on."""

import os
import signal
from pathlib import Path

import pytest

from anew.domain.facts import CandidateTrained, EffectFailed, TrainingEnded
from tests.system.loop_project import QUIET, LoopProject, loop_project, wait

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

SEARCHED = '''\
"""Fits a few trees, as deep as a search finds best; reads nothing and writes nothing."""

import lightgbm


def search_space(trial):
    """Ask for the number of leaves."""
    return {"num_leaves": trial.suggest_int("num_leaves", 2, 31)}


def train(data, params):
    """Fit."""
    rows = lightgbm.Dataset(data.x.to_numpy(), data.y.to_numpy())
    told = {"objective": "regression", "min_data_in_leaf": 5, "learning_rate": 0.3, "seed": data.seed,
            "num_threads": 1, "verbose": -1, "deterministic": True, **params}
    return lightgbm.train(told, rows, num_boost_round=10)
'''


def _training(ours: LoopProject) -> list[int]:
    """Return the processes that do a training."""
    return [pid for pid in ours.processes() if b"job_worker" in _command(pid)]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _failed(ours: LoopProject, version: str, reason: str) -> EffectFailed:
    """Wait for a run to fail; its slot is free again, and the champion serves."""
    failure = ours.wait_for(EffectFailed, 200, version=version, reason=reason)
    assert ours.wait_for(TrainingEnded, version=version).outcome == "failed"
    assert ours.serves() == "v1"
    assert not ours.status()["pending_effects"]
    return failure


@pytest.mark.fault("K4")
@pytest.mark.fault("D3")
def test_a_training_is_cancelled_killed_and_refused_for_want_of_room(stale: LoopProject, tmp_path: Path) -> None:
    with loop_project(tmp_path / "project", QUIET, like=stale) as ours:
        (ours.root / "hold").touch()
        ours.up()
        ours.anew("retrain")
        wait(lambda: _training(ours) and ours.status()["runs"][0]["progress"], ours.log)
        (run,) = ours.anew("run", "show")["runs"]
        assert (run["version"], run["effect"], run["progress"]["step"]) == ("v2", "train", "fit")
        assert ours.anew("run", "cancel", "--reason", "too expensive")["runs"][0]["version"] == "v2"
        assert _failed(ours, "v2", "cancelled").detail.endswith("too expensive")

        ours.anew("retrain")
        wait(lambda: _training(ours), ours.log)
        os.kill(_training(ours)[0], signal.SIGKILL)
        assert "SIGKILL" in _failed(ours, "v3", "killed").detail

        policy = (ours.root / "anew.yaml").read_text()
        (ours.root / "anew.yaml").write_text(policy.replace("{sandbox: none}", "{sandbox: none, free_mb: 1000000000}"))
        wait(lambda: "free_mb" in (ours.state / "run" / "accepted" / "anew.yaml").read_text(), ours.log)
        ours.anew("retrain")
        assert "MB are free" in _failed(ours, "v4", "disk_full").detail

        (ours.root / "anew.yaml").write_text(policy)
        wait(lambda: "free_mb" not in (ours.state / "run" / "accepted" / "anew.yaml").read_text(), ours.log)
        (ours.root / "hold").unlink()
        ours.anew("retrain")
        ours.wait_for(CandidateTrained, 200, version="v5")
        ours.verify_chain()
        assert ours.down() == 0


@pytest.mark.fault("A9")
def test_a_confined_search_makes_a_version_that_can_be_made_again(stale: LoopProject, tmp_path: Path) -> None:
    with loop_project(tmp_path / "project", QUIET, like=stale) as ours:
        (ours.root / "pipeline.py").write_text(SEARCHED)
        policy = (ours.root / "anew.yaml").read_text()
        confined = policy.replace("{sandbox: none}", "{sandbox: required}") + "search: {trials: 4, folds: 2}\n"
        (ours.root / "anew.yaml").write_text(confined)
        ours.up()
        ours.anew("retrain")
        ours.wait_for(CandidateTrained, 200, version="v2")
        shown = ours.anew("model", "show", "v2")
        assert shown["search"]["trials"] == 4
        assert set(shown["manifest"]["params"]) == {"num_leaves"}
        assert ours.anew("model", "reproduce", "v2")["verdict"] == "identical_digest"
        assert ours.down() == 0
