"""Jobs as real processes: every death has a name, and no crash of ours costs a run or runs it twice."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from anew.adapters.job_record import JobRecord
from anew.adapters.local_compute import LocalCompute
from anew.ports.compute import Job, JobState, Step
from anew.testing.contract_compute import JOBS, ComputeContract, alive, ended, eventually, job

pytestmark = pytest.mark.system


@pytest.fixture
def compute(tmp_path: Path) -> Iterator[LocalCompute]:
    made = LocalCompute(root=tmp_path / "jobs")
    yield made
    for folder in made.root.glob("*"):
        made.cancel(folder.name)
    for folder in made.root.glob("*"):
        ended(made, folder.name)


class TestLocalCompute(ComputeContract):
    """The contract."""

    @pytest.fixture
    def compute(self, compute: LocalCompute) -> LocalCompute:
        """Return one without jobs."""
        return compute


@pytest.mark.fault("K4")
def test_when_the_supervisor_is_killed_the_worker_dies_too(compute: LocalCompute, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    compute.submit(job("sleep", seconds="60", pid=str(pids)))
    eventually(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    worker, supervisor = map(int, pids.read_text().split())
    os.kill(supervisor, signal.SIGKILL)
    status = ended(compute, within_s=5.0)
    assert (status.state, status.reason) == (JobState.FAILED, "killed")
    eventually(lambda: not alive(worker), 5.0)
    compute.submit(job("sleep", seconds="60", pid=str(pids)))
    assert compute.poll("j1") == status


def test_a_job_outlives_its_submitter_and_is_found_again(tmp_path: Path) -> None:
    root, tally = tmp_path / "jobs", tmp_path / "tally"
    script = (
        "import sys, os, signal, pathlib\n"
        "from anew.adapters.local_compute import LocalCompute\nfrom anew.ports.compute import Job\n"
        f"LocalCompute(root=pathlib.Path({str(root)!r})).submit(Job(id='j1', entry='{JOBS}:count', "
        f"arguments={{'tally': {str(tally)!r}, 'seconds': '2'}}))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    died = subprocess.run([sys.executable, "-c", script], check=False)
    assert died.returncode == -signal.SIGKILL
    again = LocalCompute(root=root)
    assert again.poll("j1").state is JobState.RUNNING
    again.submit(Job(id="j1", entry=f"{JOBS}:count", arguments={"tally": str(tally)}))
    assert ended(again).state is JobState.DONE
    assert len(tally.read_text().splitlines()) == 1


@pytest.mark.fault("K5")
def test_a_job_that_nobody_asks_for_ends_itself_and_one_that_is_polled_does_not(tmp_path: Path) -> None:
    compute, pids = LocalCompute(root=tmp_path / "jobs", lease_s=1.0), tmp_path / "pids"
    compute.submit(job("sleep", seconds="60", pid=str(pids)))
    kept_until = time.monotonic() + 3.0
    while time.monotonic() < kept_until:
        assert compute.poll("j1").state is JobState.RUNNING
        time.sleep(0.1)
    eventually((compute.root / "j1" / "result.json").exists)  # looked at without polling
    status = compute.poll("j1")
    assert (status.reason, "nobody asked" in status.detail) == ("cancelled", True)
    assert not alive(int(pids.read_text().split()[0]))


def test_many_submitters_at_once_start_one_job(tmp_path: Path) -> None:
    root, tally = tmp_path / "jobs", tmp_path / "tally"
    compute = LocalCompute(root=root)
    script = (
        "import pathlib\n"
        "from anew.adapters.local_compute import LocalCompute\nfrom anew.ports.compute import Job\n"
        f"LocalCompute(root=pathlib.Path({str(root)!r})).submit(Job(id='j1', entry='{JOBS}:count', "
        f"arguments={{'tally': {str(tally)!r}, 'seconds': '1'}}))\n"
    )
    submitters = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(4)]
    assert [each.wait() for each in submitters] == [0] * 4
    assert ended(compute).state is JobState.DONE
    assert len(tally.read_text().splitlines()) == 1


def test_what_a_job_used_is_known_whoever_was_killed(compute: LocalCompute, tmp_path: Path) -> None:
    pids = tmp_path / "pids"

    def spinning(before: float) -> int:
        compute.submit(replace(job("spin", pid=str(pids)), restarts=1))
        eventually(lambda: pids.exists() and len(pids.read_text().split()) == 2)
        eventually(lambda: compute.poll("j1").cpu_s > before + 0.5)
        return int(pids.read_text().split()[1])

    os.kill(spinning(0.0), signal.SIGKILL)
    eventually(lambda: compute.poll("j1").state is JobState.UNKNOWN, 5.0)
    pids.unlink()
    first = JobRecord(compute.root / "j1").used()
    assert first > 0.5
    spinning(first)
    os.kill(int(pids.read_text().split()[0]), signal.SIGKILL)
    status = ended(compute)
    assert (status.state, status.reason) == (JobState.FAILED, "killed")
    assert status.cpu_s > first + 0.5, "what was used before its first supervisor was killed counts as well"


@pytest.mark.fault("K3")
@pytest.mark.fault("K5")
def test_a_job_with_restarts_begins_again_when_its_supervisor_is_gone_and_no_oftener(compute: LocalCompute) -> None:
    told = {"times": "9", "seconds": "60", "file": "a.txt", "text": "left"}
    again = Step(entry=f"{JOBS}:resume")
    work = Job(id="j1", entry=f"{JOBS}:write", arguments=told, then=(again,), restarts=1)
    begun = compute.root / "j1" / "results" / "begun.txt"
    for times, state in ((1, JobState.UNKNOWN), (2, JobState.FAILED)):
        compute.submit(work)
        _interrupted(begun, times)
        (compute.root / "j1" / "results" / "a.txt").unlink(missing_ok=True)
        assert compute.poll("j1").state is state
    compute.submit(work)
    assert (compute.poll("j1").reason, "2 times" in compute.poll("j1").detail) == ("killed", True)
    assert not (compute.root / "j1" / "results" / "a.txt").exists(), "a step that was done is not repeated"


def _interrupted(begun: Path, times: int) -> None:
    """Wait until the job has begun so often, and kill its supervisor."""
    eventually(lambda: begun.exists() and len(begun.read_text().splitlines()) == times)
    worker, supervisor = map(int, begun.read_text().splitlines()[-1].split())
    os.kill(supervisor, signal.SIGKILL)
    eventually(lambda: not alive(worker), 5.0)


@pytest.mark.fault("K10")
def test_a_job_forgotten_halfway_never_lends_its_result_to_another_of_its_id(tmp_path: Path) -> None:
    compute = LocalCompute(root=tmp_path / "jobs")
    compute.submit(job("write", file="a.txt", text="older"))
    assert ended(compute).state is JobState.DONE
    script = (
        "import pathlib, os\n"
        "from anew.adapters.killpoint import install\nfrom anew.adapters.local_compute import LocalCompute\n"
        "install({'ANEW_KILL': 'job.set_aside:1'})\n"
        f"LocalCompute(root=pathlib.Path({str(compute.root)!r})).forget('j1')\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -signal.SIGKILL
    assert compute.poll("j1").state is JobState.UNKNOWN
    compute.submit(job("write", file="b.txt", text="newer"))
    folder = ended(compute).folder
    assert folder is not None
    assert [path.name for path in folder.iterdir()] == ["b.txt"]
    assert [path.name for path in compute.root.iterdir()] == ["j1"], "what was set aside is deleted"
