"""Backups of a project that serves, and damage to one at rest: nothing acknowledged is missing or doubled."""

import os
import shutil
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from anew.app.backup import check_backup
from anew.app.settings import load
from anew.app.stores import open_lake
from anew.domain.facts import TrafficApplied, TrafficOrdered
from tests.app.backup_tree import left_out
from tests.system.loop_project import QUIET, LoopProject, loop_project, wait

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


def _stored_ids(project: Path) -> set[str]:
    with open_lake(load(project)) as lake:
        found = lake.fresh("predictions", after=0, upto=lake.versions()["predictions"])
    return set(found.get_column("_id"))


def _reached(project: LoopProject, count: int) -> bool:
    return len(project.acknowledged.predictions) >= count


@pytest.mark.fault("D20")
def test_a_backup_under_load_has_all_that_was_acknowledged_before_it(
    stale: LoopProject, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with loop_project(tmp_path / "project", QUIET, like=stale) as ours:
        ours.up()
        ours.serves()
        stopped, load_began = threading.Event(), len(ours.acknowledged.predictions)

        def ask() -> None:
            while not stopped.is_set():
                ours.predict(7)

        asking = threading.Thread(target=ask)
        asking.start()
        backups = []
        try:
            for _ in range(3):
                enough = len(ours.acknowledged.predictions) + 50
                wait(partial(_reached, ours, enough), ours.log)
                acknowledged = set(ours.acknowledged.predictions)
                backups.append((acknowledged, ours.anew("backup", str(tmp_path / "backups"), str(ours.root))))
        finally:
            stopped.set()
            asking.join()
        assert len(backups[-1][0]) > load_began
        assert ours.down() == 0

        acknowledged, made = backups[-1]
        assert check_backup(Path(made["folder"])).facts == made["facts"]
        began = time.monotonic()
        other = LoopProject(tmp_path / "other host")
        try:
            other.root.mkdir()
            restored = other.anew("restore", made["folder"], str(other.root))
            other.up()
            other.serves()
            seconds = time.monotonic() - began
            wait(lambda: acknowledged <= _stored_ids(other.root), other.log)
            other.verify_chain()
            assert other.down() == 0
        finally:
            other.close()
        with capsys.disabled():
            sys.stdout.write(
                f"\nbackup under load: {len(acknowledged)} of {len(acknowledged)} acknowledged predictions restored "
                f"(RPO 0), backup {made['seconds']:.1f} s, restore {restored['seconds']:.1f} s, "
                f"to the first answer {seconds:.1f} s (RTO)\n"
            )


def test_all_that_a_used_project_keeps_is_in_its_backup(stale: LoopProject, tmp_path: Path) -> None:
    with loop_project(tmp_path / "project", QUIET, like=stale) as ours:
        made = ours.anew("backup", str(tmp_path / "backups"), str(ours.root))
        assert left_out(ours.state, check_backup(Path(made["folder"]))) == []


@pytest.mark.fault("D21")
def test_an_older_backup_makes_no_second_history(stale: LoopProject, tmp_path: Path) -> None:
    with loop_project(tmp_path / "project", QUIET, like=stale) as ours:
        old = ours.anew("backup", str(tmp_path / "backups"), str(ours.root))
        ours.up()
        ours.serves()
        ours.anew("retrain")
        ours.wait_for(TrafficApplied, epoch=2)
        refused = ours.anew("restore", old["folder"], str(ours.root), "--replace", code=5)
        assert "epoch 2" in refused  # while it serves, and when it is down
        assert ours.down() == 0
        ours.anew("restore", old["folder"], str(ours.root), "--replace", code=5)

        # The fault itself: somebody copies the old record back, and the routing stays. It is refused where it begins.
        spoilt = tmp_path / "spoilt"
        shutil.copytree(ours.root, spoilt)
        for part in ("anew.db", "anew.db-wal", "anew.db-shm"):
            (spoilt / ".anew" / part).unlink(missing_ok=True)
        shutil.copy(Path(old["folder"]) / "state" / "anew.db", spoilt / ".anew" / "anew.db")
        broken = LoopProject(spoilt)
        try:
            program = broken.start()
            assert program.wait(60) == 1
            assert "it is the older one" in broken.log()
        finally:
            broken.close()

        done = ours.anew("restore", old["folder"], str(ours.root), "--replace", "--supersede")
        assert done["epoch"] == 1000
        ours.up()
        assert ours.serves() == "v1"
        ours.wait_for(TrafficOrdered, epoch=1000)
        wait(lambda: (ours.ready() or {}).get("epoch", 0) > 1000, ours.log)
        ours.hour()
        ours.verify_chain()
        assert Path(done["aside"]).is_dir()
        assert ours.down() == 0


@pytest.mark.fault("D13")
def test_after_damage_at_rest_all_that_is_acknowledged_is_stored(stale: LoopProject, tmp_path: Path) -> None:
    with loop_project(tmp_path / "project", QUIET, like=stale) as ours:
        newest = max((ours.state / "lake" / "predictions").glob("*.parquet"))
        whole = newest.read_bytes()
        newest.write_bytes(whole[:300] + bytes([whole[300] ^ 1]) + whole[301:])
        ours.up()
        assert ours.serves() == "v1"
        assert newest.read_bytes() == whole
        assert ours.down() == 0
        segment = max((ours.state / "journal" / "0").glob("*.seg"))
        os.truncate(segment, segment.stat().st_size - 100)
        ours.up()
        assert ours.serves() == "v1"
        for _ in range(3):
            ours.predict(4)
            ours.settle()
        assert "journal_cut journal=0" in (ours.state / "logs" / "gateway-0.log").read_text()
        assert ours.down() == 0
