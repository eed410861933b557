"""The control plane killed at every boundary of a retraining, a promotion and a rollback: each goes on, once.

At random moments it is killed until one retraining is through; `make soak` kills it 200 times for each of many seeds.
"""

import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import polars as pl
import pytest

from anew.adapters.fact_reader import read_facts
from anew.domain.facts import (
    CandidateTrained,
    EffectFailed,
    RetrainCommanded,
    RetrainRequested,
    RolledBack,
    SnapshotTaken,
    TrafficApplied,
    TrafficShifted,
    TrainingEnded,
    VersionPromoted,
)
from anew.testing.killpoint import boundaries
from tests.system.loop_project import QUIET, LoopProject, loop_project, wait

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]

COMMAND_TO_SUBMISSION = (
    "eventlog.before_write:1",  # the command with all that follows from it
    "eventlog.before_commit:1",
    "eventlog.after_commit:1",  # on record, and still in the inbox
    "effect.begun:1",
    "snapshot.begin:1",
    "snapshot.stored:1",
    "eventlog.before_commit:1",  # the snapshot
    "effect.ended:1",
    "effect.before_step:1",
    "job.begin:1",
    "job.submitted:1",
)
TRAINING_TO_TRAFFIC = (
    "effect.before_checkpoint:1",  # the training runs already
    "effect.after_checkpoint:1",
    "train.collected:1",
    "train.stored:1",
    "eventlog.after_commit:1",  # the candidate
    "job.submitted:1",  # its measurement
    "measure.collected:1",
    "eventlog.before_commit:1",  # verdicts and the first shift
    "shift.begin:1",
    "shift.published:1",
)
RULE_TO_CORRECTED = (
    "snapshot.begin:1",  # a rule was broken, its retrain is planned
    "job.submitted:1",  # the correction
    "correct.collected:1",
    "snapshot.stored:1",
)
OF_OTHERS = {
    *("drain.before_write", "drain.after_write", "drain.before_trim", "drain.after_trim"),
    *("lake.files_stored", "lake.intent_stored", "lake.commit_stored", "lake.mark_moved"),
    *("migration.done", "migration.between"),
    *("search.asked", "search.scored", "search.told", "job.set_aside"),
    *("purge.rewritten", "purge.lake_done", "lake.marked_gone"),
    *("train.beside", "train.blended"),
}
"""Boundaries of drainer, lake, migrations, search, compute, purge and runs of two spans: their own tests kill there."""

RULED = QUIET | {
    "- {psi": '{above: 0.5}, for: 500 windows}\n  - {rule: "x < 8", data: corrected}',
    "policy": "{cooldown: 6h}",
}
"""Some of the rows of the moved world break the rule; the cooldown allows one request more."""
ORDERED = 1_000
"""Epoch of the first order to the gateways."""

KILLS, SEEDS = int(os.environ.get("ANEW_SOAK_KILLS_A_SEED", "1")), int(os.environ.get("ANEW_SOAK_SEEDS", "1"))
"""At least so many at random moments for each seed; the last retraining of a seed is seen through."""

TWO_WORKERS = QUIET | {
    "monitor": "{window: 1d, label_delay: 1h, clock: data}",
    "serving": "{deadline_ms: 10000, workers: 2}",
}


@pytest.mark.fault("K1")
def test_a_retraining_survives_a_kill_at_each_of_its_boundaries(
    stale: LoopProject, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    all_kills = (*COMMAND_TO_SUBMISSION, *TRAINING_TO_TRAFFIC, *RULE_TO_CORRECTED)
    assert {name.partition(":")[0] for name in all_kills} | OF_OTHERS == set(boundaries())
    with ThreadPoolExecutor(2) as both:
        runs = [
            both.submit(_retrain_under_kills, stale, tmp_path / name, kills)
            for name, kills in (("first", COMMAND_TO_SUBMISSION), ("second", TRAINING_TO_TRAFFIC))
        ]
        for run in runs:
            run.result()
    count = len(COMMAND_TO_SUBMISSION) + len(TRAINING_TO_TRAFFIC)
    record_property("figure", f"{count} of {count} boundaries of a retraining survived")


def _retrain_under_kills(stale: LoopProject, root: Path, kills: Sequence[str]) -> None:
    with loop_project(root, QUIET, like=stale) as ours:
        assert ours.anew("retrain")["taken"] is False  # kept until a loop runs
        for kill in kills:
            ours.die(kill)
            ours.verify_chain()
            assert len(ours.facts(VersionPromoted)) == 1
        ours.up()
        ours.wait_for(TrafficApplied, epoch=2)
        _once(ours)
        assert ours.serves() == "v1"  # and v2 is in shadow
        assert len([pid for pid in ours.processes() if b"gateway_worker" in _command(pid)]) == 1
        assert ours.down() == 0


@pytest.mark.fault("K2")
@pytest.mark.timeout(400 + 20 * SEEDS * KILLS)
def test_a_retraining_survives_kills_at_random_moments(
    stale: LoopProject, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    first = int(os.environ.get("ANEW_SOAK_SEED", os.environ.get("ANEW_LAWS_SEED", time.time_ns() % 10**6)))
    kills = runs = 0
    for seed in range(first, first + SEEDS):
        chance, upto = random.Random(seed), kills + KILLS
        while kills < upto:
            runs += 1
            kills += _killed_at_random(stale, tmp_path / f"seed-{seed}-run-{runs}", chance)
    said = "a retraining was" if runs == 1 else f"{runs} retrainings were"
    seeds = f"seed {first}" if SEEDS == 1 else f"seeds {first} to {first + SEEDS - 1}"
    record_property("figure", f"{kills} kills at random moments until {said} through, {seeds}")


def _killed_at_random(stale: LoopProject, root: Path, chance: random.Random) -> int:
    """Kill a retraining until it is through; return how often."""
    kills = 0
    with loop_project(root, QUIET, like=stale) as ours:
        assert ours.anew("retrain")["taken"] is False
        while kills < 40 and not ours.facts(TrafficApplied, epoch=2):
            ours.start()
            time.sleep(chance.uniform(0.5, 5))  # the first second or so goes by until it has the lease
            ours.down(signal.SIGKILL)
            kills += 1
            ours.verify_chain()
            assert len(ours.facts(VersionPromoted)) == 1
        ours.up()
        ours.wait_for(TrafficApplied, epoch=2)
        _once(ours)
    shutil.rmtree(root, ignore_errors=True)  # a campaign has hundreds of them
    return kills


@pytest.mark.fault("K1")
def test_a_correction_of_history_survives_a_kill_at_each_of_its_boundaries(stale: LoopProject, tmp_path: Path) -> None:
    with loop_project(tmp_path / "project", RULED, like=stale) as ours:
        ours.up()
        ours.serves()
        ours.down(signal.SIGKILL)
        ours.predict()  # the gateway goes on; among these rows are some that break the rule
        for kill in RULE_TO_CORRECTED:
            ours.die(kill)
            ours.verify_chain()
        ours.up()
        snapshot = ours.wait_for(SnapshotTaken, version="v2")
        ours.wait_for(TrainingEnded, version="v2")
        assert [fact.corrected for fact in ours.facts(RetrainRequested)] == [False, True]
        assert snapshot.dropped > 0  # the pipeline has no correct(): rows that break the rule are left out
        rows = pl.read_parquet(ours.state / "snapshots" / f"{snapshot.digest}.parquet")
        assert rows.filter(pl.col("x") >= 8).is_empty()
        facts = [each.fact for each in read_facts(ours.state / "anew.db")]
        assert {fact.id for fact in facts if fact.asks and fact.asks != "shift"} <= {f.cause for f in facts if f.ends}
        assert len(ours.facts(SnapshotTaken, version="v2")) == 1
        assert _begun(ours) == {"v1": 1, "v2": 1}


def _once(ours: LoopProject) -> None:
    """Everything that was asked for has ended, once; and one retraining came of one command."""
    facts = [each.fact for each in read_facts(ours.state / "anew.db")]
    ended = Counter(fact.cause for fact in facts if fact.ends)
    assert {fact.id for fact in facts if fact.asks} == set(ended)
    assert set(ended.values()) == {1}
    assert not ours.facts(EffectFailed)
    assert len(ours.facts(RetrainCommanded, reason="asked for at the command line")) == 1
    assert len(ours.facts(SnapshotTaken, version="v2")) == len(ours.facts(CandidateTrained, version="v2")) == 1
    assert [fact.outcome for fact in ours.facts(TrainingEnded, version="v2")] == ["accepted"]
    assert _begun(ours) == {"v1": 1, "v2": 1}
    assert ours.stored() == ours.expected()
    ours.verify_chain()
    status = ours.status()
    assert (status["champion"]["version"], status["challenger"]["version"]) == ("v1", "v2")
    assert not status["pending_effects"]


def _begun(ours: LoopProject) -> Counter[str]:
    """Return how often user code began to train each version: it writes a line at each beginning."""
    versions = {fact.id: fact.version for fact in ours.facts(SnapshotTaken)}
    lines = (ours.root / "begun").read_text().split()
    return Counter(versions[job] for job in lines)


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.mark.fault("P1")
@pytest.mark.fault("P2")
def test_a_promotion_and_a_rollback_survive_a_kill_at_each_of_their_boundaries(
    stale: LoopProject, tmp_path: Path
) -> None:
    with loop_project(tmp_path / "project", TWO_WORKERS, like=stale) as ours:
        ours.up()
        ours.serves()
        ours.anew("retrain")
        ours.wait_for(TrafficApplied, epoch=2)
        ours.drive(lambda: ours.facts(TrafficApplied, epoch=3))
        ours.down(signal.SIGKILL)
        for _ in range(3):  # serving goes on; the next control plane finds all that it takes to promote
            ours.hour()
        _killed(ours, ("eventlog.before_write:1", "eventlog.before_commit:1"), "v1", ("", 3))
        _killed(ours, ("eventlog.after_commit:1", "shift.begin:1"), "v2", ("", 3))
        _killed(ours, ("shift.published:1",), "v2", ("v2", 4))
        ours.up()
        ours.wait_for(TrafficApplied, epoch=4, workers=2)
        _answered_by(ours, "v2", 4)
        ours.settle()

        ours.down(signal.SIGKILL)
        assert ours.anew("rollback")["recorded"] is False
        _answered_by(ours, "v1", ORDERED)  # the gateways obey, though there is nobody to take note
        _killed(ours, ("eventlog.before_write:1", "eventlog.before_commit:1"), "v2", ("v1", ORDERED))
        _killed(ours, ("eventlog.after_commit:1", "shift.begin:1"), "v1", ("v1", ORDERED))
        _killed(ours, ("shift.published:1",), "v1", ("v1", ORDERED + 1))
        ours.up()
        ours.wait_for(TrafficApplied, epoch=ORDERED + 1, workers=2)
        _answered_by(ours, "v1", ORDERED + 1)
        ours.settle()
        assert len(ours.facts(RolledBack)) == 1
        assert len(ours.facts(VersionPromoted, version="v2")) == 1
        assert [shift.epoch for shift in ours.facts(TrafficShifted)] == [1, 2, 3, 4, ORDERED + 1]
        assert ours.status()["quarantined"] == ["v2"]
        ours.verify_chain()


def _killed(ours: LoopProject, kills: Sequence[str], champion: str, answering: tuple[str, int]) -> None:
    """Kill at each boundary; then the record has one champion, and every worker answers by one whole routing."""
    for kill in kills:
        ours.die(kill)
        status = ours.status()
        standing = [each["version"] for each in status["versions"] if each["standing"] == "champion"]
        assert standing == [champion], kill
        _answered_by(ours, *answering)


def _answered_by(ours: LoopProject, version: str, epoch: int) -> None:
    """Both workers answer by `epoch`, and, when a `version` is given, with it alone."""
    seen: dict[str, int] = {}

    def all_there() -> bool:
        stats = httpx.get(f"http://127.0.0.1:{ours.port}/stats", timeout=5).json()
        seen[stats["worker"]] = stats["epoch"]
        return seen == {"0": epoch, "1": epoch}

    wait(all_there, lambda: f"{seen}\n{ours.log()}")
    answers = [ours.predict(5) for _ in range(8)]  # a new connection each, so that both are met
    versions = {answer["version"] for batch in answers for answer in batch}
    assert versions == ({version} if version else {"v1", "v2"})


@pytest.mark.fault("K12")
def test_a_deploy_in_the_middle_of_a_training_costs_nothing(stale: LoopProject, tmp_path: Path) -> None:
    with loop_project(tmp_path / "project", QUIET, like=stale) as ours:
        (ours.root / "hold").touch()
        ours.up()
        ours.anew("retrain")
        wait(lambda: _begun(ours).get("v2"), ours.log)
        assert ours.down(signal.SIGTERM) == 0
        assert ours.status()["pending_effects"] == ["train"]  # resumable: asked for, not ended
        assert ours.status()["holder"] == ""
        (ours.root / "hold").unlink()  # the training goes on meanwhile
        ours.up()
        ours.wait_for(TrafficApplied, epoch=2)
        _once(ours)


@pytest.mark.fault("K4")
def test_a_killed_training_leaves_the_champion_and_frees_its_slot(stale: LoopProject, tmp_path: Path) -> None:
    with loop_project(tmp_path / "project", QUIET, like=stale) as ours:
        (ours.root / "hold").touch()
        ours.up()
        ours.anew("retrain")
        wait(lambda: _begun(ours).get("v2"), ours.log)
        assert ours.anew("retrain", code=3)["withheld"] is True  # one at a time
        (worker,) = [pid for pid in ours.processes() if b"job_worker" in _command(pid)]
        os.kill(worker, signal.SIGKILL)
        failed = ours.wait_for(EffectFailed)
        assert (failed.effect, failed.reason, failed.version) == ("train", "killed", "v2")
        assert [fact.outcome for fact in ours.facts(TrainingEnded, version="v2")] == ["failed"]
        assert ours.serves() == "v1"
        (ours.root / "hold").unlink()
        assert ours.anew("retrain")["withheld"] is False
        ours.wait_for(TrafficApplied, epoch=2)
        assert {each["version"]: each["standing"] for each in ours.status()["versions"]} == {
            "v1": "champion",
            "v2": "failed",
            "v3": "challenger",
        }
