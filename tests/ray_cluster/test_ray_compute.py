"""Jobs on a real Ray cluster keep the contract, and outlive its workers, its head and us; run by `make test-ray`."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from anew.adapters.job_record import JobRecord
from anew.adapters.local_compute import LocalCompute
from anew.adapters.ray_compute import RayCompute
from anew.domain.errors import UnavailableError
from anew.ports.compute import Job, JobState, Request, Step
from anew.testing.contract_compute import JOBS, ComputeContract, alive, ended, eventually, job
from tests.ray_cluster.ray_bed import RayBed, ray_bed
from tests.system.test_training_job import searching

pytestmark = [pytest.mark.system, pytest.mark.timeout(200)]


@pytest.fixture(scope="module")
def ray() -> Iterator[RayBed]:
    """Start a cluster, and end it."""
    with ray_bed() as bed:
        yield bed


def opened(ray: RayBed, root: Path, lease_s: float = 60.0) -> RayCompute:
    """Return a compute on the cluster; names of actors belong to the folder."""
    return RayCompute(near=LocalCompute(root=root), address=ray.address, namespace=str(root), lease_s=lease_s)


@pytest.fixture
def compute(ray: RayBed, tmp_path: Path) -> Iterator[RayCompute]:
    made = opened(ray, tmp_path / "jobs")
    yield made
    for folder in made.root.glob("*"):
        made.cancel(folder.name)
    for folder in made.root.glob("*"):
        ended(made, folder.name)
    made.close()


class TestRayCompute(ComputeContract):
    """The contract, word for word."""

    @pytest.fixture
    def compute(self, compute: RayCompute) -> RayCompute:
        """Return one without jobs."""
        return compute


def has_begun(compute: RayCompute, times: int) -> bool:
    """Has the job, which runs, said so often that it began? What it says is brought by the poll."""
    assert compute.poll("j1").state is JobState.RUNNING
    begun = compute.root / "j1" / "results" / "begun.txt"
    return begun.exists() and len(begun.read_text().splitlines()) == times


def kill_worker_of(ray: RayBed) -> None:
    """Kill the processes of all jobs' actors, as a pre-empted node does."""
    for pid in ray.workers("FarJob"):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_a_job_outlives_its_submitter_and_is_found_again_where_a_bare_task_is_not(
    ray: RayBed, compute: RayCompute, tmp_path: Path
) -> None:
    tally, bare = tmp_path / "tally", tmp_path / "bare"
    script = (
        "import os, signal, pathlib, time, ray\n"
        "from anew.adapters.local_compute import LocalCompute\nfrom anew.adapters.ray_compute import RayCompute\n"
        "from anew.ports.compute import Job\n"
        f"root = pathlib.Path({str(compute.root)!r})\n"
        f"made = RayCompute(near=LocalCompute(root=root), address={ray.address!r}, namespace=str(root))\n"
        f"made.submit(Job(id='j1', entry='{JOBS}:count', files=(), request=__import__('anew.ports.compute')"
        f".ports.compute.Request(cpus=0.5), arguments={{'tally': {str(tally)!r}, 'seconds': '4'}}))\n"
        f"ray.init({ray.address!r}, log_to_driver=False)\n"
        "@ray.remote(num_cpus=0.5)\ndef task(begun, path):\n"
        "    open(begun, 'w').close(); time.sleep(4); open(path, 'w').close()\n"
        f"task.remote({str(tmp_path / 'begun')!r}, {str(bare)!r})\n"
        f"while not (pathlib.Path({str(tally)!r}).exists() and os.path.exists({str(tmp_path / 'begun')!r})):\n"
        "    time.sleep(0.05)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -signal.SIGKILL
    assert compute.poll("j1").state is JobState.RUNNING
    compute.submit(job("count", tally=str(tally)))
    assert ended(compute).state is JobState.DONE
    assert len(tally.read_text().splitlines()) == 1
    assert not bare.exists(), "control: a bare task dies with its driver"


def test_many_submitters_at_once_start_one_job(ray: RayBed, compute: RayCompute, tmp_path: Path) -> None:
    tally = tmp_path / "tally"
    script = (
        "import pathlib\n"
        "from anew.adapters.local_compute import LocalCompute\nfrom anew.adapters.ray_compute import RayCompute\n"
        "from anew.ports.compute import Job\n"
        f"root = pathlib.Path({str(compute.root)!r})\n"
        f"RayCompute(near=LocalCompute(root=root), address={ray.address!r}, namespace=str(root)).submit("
        f"Job(id='j1', entry='{JOBS}:count', files=(), arguments={{'tally': {str(tally)!r}, 'seconds': '1'}}))\n"
    )
    submitters = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(3)]
    assert [each.wait() for each in submitters] == [0] * 3
    assert ended(compute).state is JobState.DONE
    assert len(tally.read_text().splitlines()) == 1
    assert JobRecord(compute.root / "j1").begun() == 1


@pytest.mark.fault("O7")
@pytest.mark.fault("K5")
def test_a_job_whose_worker_dies_begins_again_from_its_checkpoint_and_no_oftener_than_it_may(
    ray: RayBed, compute: RayCompute
) -> None:
    told = {"times": "9", "seconds": "60"}
    work = Job(id="j1", entry=f"{JOBS}:resume", arguments=told, restarts=1, files=())
    begun = compute.root / "j1" / "results" / "begun.txt"
    for times, state in ((1, JobState.UNKNOWN), (2, JobState.FAILED)):
        compute.submit(work)
        eventually(partial(has_begun, compute, times))
        worker = int(begun.read_text().splitlines()[-1].split()[0])
        kill_worker_of(ray)
        assert ended(compute).state is state
        eventually(lambda worker=worker: not alive(worker), 40.0)  # type: ignore[misc]  # likewise
    compute.submit(work)
    assert (compute.poll("j1").reason, "2 times" in compute.poll("j1").detail) == ("killed", True)


@pytest.mark.fault("O7")
def test_planted_a_compute_that_counts_no_beginnings_begins_once_oftener_than_it_may(
    ray: RayBed, compute: RayCompute, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = JobRecord.begun
    monkeypatch.setattr(JobRecord, "begun", lambda record: min(1, counted(record)))
    work = Job(id="j1", entry=f"{JOBS}:resume", arguments={"times": "9", "seconds": "60"}, restarts=1, files=())
    for times in (1, 2, 3):
        compute.submit(work)
        eventually(partial(has_begun, compute, times))
        if times < 3:
            kill_worker_of(ray)
            assert ended(compute).state is JobState.UNKNOWN


@pytest.mark.fault("K5")
def test_a_job_that_nobody_asks_for_ends_itself_with_its_actor(ray: RayBed, tmp_path: Path) -> None:
    compute, pids = opened(ray, tmp_path / "jobs", lease_s=2.0), tmp_path / "pids"
    compute.submit(job("sleep", seconds="60", pid=str(pids)))
    kept_until = time.monotonic() + 4.0
    while time.monotonic() < kept_until or not pids.exists():
        assert compute.poll("j1").state is JobState.RUNNING
        time.sleep(0.1)
    eventually(lambda: not alive(int(pids.read_text().split()[0])), 20.0)
    eventually(lambda: not ray.workers("FarJob"), 20.0)
    assert (compute.poll("j1").state, compute.poll("j1").reason) == (JobState.FAILED, "killed")
    compute.close()


def test_what_the_cluster_never_has_room_for_is_said(ray: RayBed, tmp_path: Path) -> None:
    compute = opened(ray, tmp_path / "jobs")
    compute.room_s = 1.0
    requests = (Request(cpus=64), Request(gpus=1), Request(memory_bytes=1 << 42))
    for k, request in enumerate(requests):
        compute.submit(Job(id=f"j{k}", entry=f"{JOBS}:write", arguments={}, request=request, files=()))
    for k in range(3):
        status = ended(compute, f"j{k}")
        assert (status.reason, "no room" in status.detail) == ("timeout", True), status
    compute.close()


def test_files_are_laid_out_elsewhere_with_the_paths_changed(compute: RayCompute, tmp_path: Path) -> None:
    rows, order = tmp_path / "rows.txt", tmp_path / "order.json"
    rows.write_text("rows")
    order.write_text(json.dumps({"rows": str(rows), "n": 3, "also": [str(rows)]}))
    files, told = (str(rows), str(order)), {"run": str(order), "file": "a.txt", "text": "left"}
    then = (Step(entry=f"{JOBS}:relay", reads=files),)
    compute.submit(Job(id="j1", entry=f"{JOBS}:write", arguments=told, files=files, then=then, confined="required"))
    eventually(lambda: compute.poll("j1").state is not JobState.RUNNING)
    folder = compute.poll("j1").folder
    assert folder is not None, compute.poll("j1")
    said = json.loads((folder / "relayed.json").read_text())
    assert said["text"] == "rows"
    assert said["rows"] != str(rows)
    assert said["rows"].endswith(str(rows))
    assert said["also"] == [said["rows"]]


def test_what_needs_this_machine_runs_here(compute: RayCompute) -> None:
    compute.submit(Job(id="j1", entry=f"{JOBS}:write", arguments={"file": "a.txt", "text": "here"}))
    assert ended(compute).state is JobState.DONE
    assert compute._link is None, "the cluster was not asked"


def found_by(compute: RayCompute, work: Job) -> dict[str, Any]:
    compute.submit(work)
    status = ended(compute, within_s=150)
    assert status.folder is not None, status
    found = json.loads((status.folder / "artifact" / "search.json").read_text())
    return {"trials": found["trials"], "metrics": json.loads((status.folder / "outcome.json").read_text())["metrics"]}


def test_a_search_is_scored_by_tasks_and_finds_what_one_machine_finds(
    ray: RayBed, compute: RayCompute, tmp_path: Path
) -> None:
    here, work, _ = searching(tmp_path, "here")
    assert (work.trial, work.files is not None) == ("anew.app.trial_worker", True)
    compute.submit(work)
    eventually(lambda: bool(ray.workers("score")) or compute.poll("j1").state is not JobState.RUNNING, 100.0)
    assert compute.poll("j1").state is JobState.RUNNING
    far, near = found_by(compute, work), found_by(here, work)  # type: ignore[arg-type]  # a compute as well
    assert far["trials"] == near["trials"]
    assert {n: v for n, v in far["metrics"].items() if "_ms" not in n} == {
        n: v for n, v in near["metrics"].items() if "_ms" not in n
    }


@pytest.mark.fault("O7")
def test_when_the_head_dies_its_jobs_are_waited_for_and_begin_again_on_the_next(tmp_path: Path) -> None:
    with ray_bed() as bed:
        compute, tally = opened(bed, tmp_path / "jobs"), tmp_path / "tally"
        work = Job(
            id="j1",
            entry=f"{JOBS}:count",
            arguments={"tally": str(tally), "seconds": "3"},
            restarts=1,
            files=(),
        )
        compute.submit(work)
        eventually(lambda: compute.poll("j1").state is JobState.RUNNING and tally.exists())
        bed.kill()
        compute.answer_s = 4.0
        assert compute.poll("j1").state is not JobState.FAILED, "a cluster that is gone costs no job"
        with pytest.raises(UnavailableError, match="does not answer"):
            compute.submit(job("write", id="j2", file="a.txt", text="x"))
        bed.start()
        compute.answer_s = 30.0
        assert ended(compute).state is JobState.UNKNOWN
        compute.submit(work)
        assert ended(compute).state is JobState.DONE
        assert len(tally.read_text().splitlines()) == 2
        compute.close()


def test_nobody_gets_in_without_the_token(ray: RayBed) -> None:
    tried = {}
    for who, token in (("stranger", "0" * 64), ("friend", ray.environment["RAY_AUTH_TOKEN"])):
        environment = {**os.environ, "RAY_AUTH_TOKEN": token, "RAY_gcs_rpc_server_reconnect_timeout_s": "5"}
        program = [sys.executable, "-c", f"import ray; ray.init({ray.address!r}); print('in')"]
        done = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
        tried[who] = "in" in done.stdout.split()
    assert tried == {"stranger": False, "friend": True}
