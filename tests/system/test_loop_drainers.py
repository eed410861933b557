"""`anew up` with drainers beside it: they are started, watched, started again and ended, and nothing is lost."""

import os
import signal
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from anew.adapters.delta_lake import DeltaLake
from anew.app.settings import load
from anew.domain.facts import CandidateTrained, TrafficApplied
from anew.testing.contract_lake import EVER
from tests.system.loop_project import QUIET, LoopProject, loop_project, wait

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


def drainers(ours: LoopProject) -> list[int]:
    """Return the process ids of the project's drainers."""
    found = []
    for pid in ours.processes():
        with suppress(OSError):  # it ended meanwhile
            if b"anew.adapters.drainer_worker" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                found.append(pid)
    return sorted(found)


@pytest.mark.fault("D14")
def test_two_drainers_are_kept_and_every_row_is_stored_once_whoever_dies(tmp_path: Path) -> None:
    with loop_project(tmp_path / "project", {**QUIET, "serving": "{deadline_ms: 10000, workers: 2}"}) as ours:
        with (ours.root / "anew.yaml").open("a") as policy:
            policy.write("stores: {drainers: 2}\n")
        ours.up()
        ours.wait_for(TrafficApplied, epoch=1)  # by both workers
        ours.hour()
        ours.settle()
        wait(lambda: len(drainers(ours)) == 2, ours.log)
        killed, _ = drainers(ours)
        os.kill(killed, signal.SIGKILL)
        ours.hour()
        ours.settle()
        wait(lambda: len(drainers(ours)) == 2 and killed not in drainers(ours), ours.log)
        ours.down(signal.SIGKILL)
        wait(lambda: not drainers(ours), ours.log)
        ours.hour()  # the gateways go on
        ours.up()
        ours.hour()
        ours.settle()
        ours.anew("retrain", "--reason", "to learn from what the drainers brought")
        ours.wait_for(CandidateTrained, version="v2")
        ours.verify_chain()
        assert ours.down() == 0
        assert drainers(ours) == []
        settings = load(ours.root)
        lake = DeltaLake(ours.state / "lake", settings.columns, settings.model, ours.state / "lake.db")
        assert list(lake.verify()) == []
        ids = Counter(lake.fresh("predictions", after=0, upto=lake.versions()["predictions"])["_id"].to_list())
        assert ids == Counter(dict.fromkeys(ours.acknowledged.predictions, 1))
        assert lake.counts()["labels"] == len(ours.acknowledged.labels)
        assert lake.predictions(EVER).height == len(ours.acknowledged.predictions)
        lake.close()
