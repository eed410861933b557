"""Jobs as real processes: every death has a name, and no crash of ours costs a run or runs it twice."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from anew.adapters.job_record import JobRecord
from anew.adapters.local_compute import LocalCompute
from anew.domain.errors import ConflictError, DiskFullError, InvariantError
from anew.ports.compute import Job, JobState, JobStatus, Limits, Step

pytestmark = pytest.mark.system

JOBS = "anew.testing.faulty_job"


def job(name: str, limits: Limits | None = None, id: str = "j1", **arguments: str) -> Job:
    return Job(id=id, entry=f"{JOBS}:{name}", arguments=arguments, limits=limits or Limits())


def eventually(condition: Callable[[], bool], within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.02)


def ended(compute: LocalCompute, id: str = "j1", within_s: float = 30.0) -> JobStatus:
    eventually(lambda: compute.poll(id).state is not JobState.RUNNING, within_s)
    return compute.poll(id)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def compute(tmp_path: Path) -> Iterator[LocalCompute]:
    made = LocalCompute(root=tmp_path / "jobs")
    yield made
    for folder in made.root.glob("*"):
        made.cancel(folder.name)
    for folder in made.root.glob("*"):
        ended(made, folder.name)


def test_a_job_runs_once_and_its_results_stay(compute: LocalCompute, tmp_path: Path) -> None:
    tally = tmp_path / "tally"
    assert compute.poll("j1").state is JobState.UNKNOWN
    for _ in range(3):
        compute.submit(job("count", tally=str(tally)))
    status = ended(compute)
    compute.submit(job("count", tally=str(tally)))
    assert compute.poll("j1") == status
    assert status.state is JobState.DONE
    assert status.folder is not None
    assert (status.folder / "made.txt").read_text() == "made"
    assert status.wall_s > 0
    assert status.cpu_s > 0
    assert len(tally.read_text().splitlines()) == 1
    compute.forget("j1")
    assert compute.poll("j1").state is JobState.UNKNOWN


@pytest.mark.fault("K4")
@pytest.mark.parametrize(
    ("name", "limits", "arguments", "reason", "says"),
    [
        ("kill", Limits(), {"signal": "SIGKILL"}, "killed", "SIGKILL"),
        ("kill", Limits(), {"signal": "SIGSEGV"}, "killed", "SIGSEGV"),
        ("exit_with", Limits(), {"code": "137"}, "killed", "SIGKILL"),
        ("exit_with", Limits(), {"code": "0"}, "error", "without a result"),
        ("allocate", Limits(memory_bytes=1 << 30), {"bytes": str(1 << 32)}, "oom", "out of memory"),
        ("abort_out_of_memory", Limits(), {}, "oom", "memory allocation"),
        ("sleep", Limits(wall_s=0.5), {"seconds": "60"}, "timeout", "limit of 0.5 s"),
        ("sleep", Limits(wall_s=0.5), {"seconds": "60", "stubborn": "1"}, "timeout", "limit of 0.5 s"),
        ("spin", Limits(cpu_s=1), {}, "timeout", "CPU"),
        ("write_much", Limits(output_bytes=1 << 16), {"bytes": str(1 << 20)}, "disk_full", "limit on output"),
        (
            "scatter",
            Limits(output_bytes=1 << 20),
            {"files": "9", "bytes": str(1 << 18)},
            "disk_full",
            "limit on output",
        ),
        ("fill_disk", Limits(), {"pretend": "1"}, "disk_full", "disk is full"),
        ("refuse", Limits(), {"reason": "oom"}, "oom", "as asked"),
        ("refuse", Limits(), {}, "error", "RuntimeError: something odd"),
        ("no_such_entry", Limits(), {}, "error", "no_such_entry"),
    ],
)
def test_every_death_has_a_name(
    compute: LocalCompute, name: str, limits: Limits, arguments: dict[str, str], reason: str, says: str
) -> None:
    compute.submit(job(name, limits, **arguments))
    status = ended(compute)
    assert (status.state, status.reason) == (JobState.FAILED, reason), status
    assert says in status.detail
    assert status.folder is None


@pytest.mark.fault("K4")
def test_a_worker_that_is_killed_from_outside_is_seen_within_five_seconds(
    compute: LocalCompute, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    compute.submit(job("sleep", seconds="60", pid=str(pids)))
    eventually(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    worker, _ = map(int, pids.read_text().split())
    assert compute.poll("j1").state is JobState.RUNNING
    os.kill(worker, signal.SIGKILL)
    assert ended(compute, within_s=5.0).reason == "killed"


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


def test_cancel_ends_it_and_a_running_job_is_not_forgotten(compute: LocalCompute) -> None:
    compute.submit(job("sleep", seconds="60"))
    with pytest.raises(ConflictError):
        compute.forget("j1")
    compute.cancel("j1")
    status = ended(compute)
    assert (status.state, status.reason) == (JobState.FAILED, "cancelled")
    compute.cancel("j1")
    assert compute.poll("j1") == status
    compute.forget("j1")
    compute.forget("j1")


def test_logs_are_bounded_and_nothing_is_left_running(compute: LocalCompute, tmp_path: Path) -> None:
    compute.submit(job("chatter", bytes=str(3 << 20)))
    assert ended(compute).state is JobState.DONE
    for name in ("stdout.log", "stderr.log"):
        text = (compute.root / "j1" / name).read_bytes()
        assert len(text) < (1 << 20) + 100
        assert b"2097152 more bytes were dropped" in text
    pid = tmp_path / "pid"
    compute.submit(job("leave_child", id="j2", pid=str(pid)))
    assert ended(compute, "j2").state is JobState.DONE
    eventually(lambda: not alive(int(pid.read_text())), 5.0)


def test_jobs_see_no_secrets_and_use_one_thread(compute: LocalCompute, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "hunter2")
    compute.submit(job("show_environment"))
    folder = ended(compute).folder
    assert folder is not None
    seen = (folder / "environment.txt").read_text().splitlines()
    assert "OMP_NUM_THREADS=1" in seen
    assert not [line for line in seen if "hunter2" in line]
    assert str(folder) not in seen[:-1]
    assert seen[-1] == str(folder)


def test_only_ids_and_entries_of_ours_are_taken(compute: LocalCompute) -> None:
    for id in ("", "../x", "a/b", "a b", "x" * 65, "-rf"):
        with pytest.raises(InvariantError):
            compute.poll(id)
    compute.submit(Job(id="j1", entry="os:system", arguments={}))
    assert "no entry of anew" in ended(compute).detail


def test_a_daemon_that_a_job_started_dies_with_it(compute: LocalCompute, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    compute.submit(job("leave_daemon", pid=str(pid)))
    assert ended(compute).state is JobState.DONE
    eventually(lambda: not alive(int(pid.read_text())), 5.0)


def test_steps_follow_each_other_and_end_with_the_first_that_fails(compute: LocalCompute) -> None:
    said = {"file": "a.txt", "text": "left"}
    good = Step(entry=f"{JOBS}:second")
    compute.submit(Job(id="j1", entry=f"{JOBS}:write", arguments=said, then=(good,)))
    folder = ended(compute).folder
    assert folder is not None
    assert (folder / "seen.txt").read_text() == "left"
    bad = Step(entry=f"{JOBS}:refuse")
    compute.submit(Job(id="j2", entry=f"{JOBS}:write", arguments=said, then=(bad, good)))
    assert "something odd" in ended(compute, "j2").detail
    assert not (compute.root / "j2" / "results" / "seen.txt").exists()


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


def test_a_job_says_why_it_was_cancelled(compute: LocalCompute) -> None:
    compute.submit(job("sleep", seconds="60"))
    compute.cancel("j1", "kim: too expensive")
    compute.cancel("j1", "another word")
    assert ended(compute).detail == "kim: too expensive"


@pytest.mark.fault("D3")
def test_a_job_without_room_does_not_begin(compute: LocalCompute) -> None:
    with pytest.raises(DiskFullError, match="MB are free"):
        compute.submit(job("sleep", Limits(free_bytes=1 << 60), seconds="60"))
    assert compute.poll("j1").state is JobState.UNKNOWN


@pytest.mark.fault("A8")
@pytest.mark.fault("A9")
def test_a_confined_job_keeps_to_its_folder_and_off_the_network(compute: LocalCompute, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    secret, allowed = tmp_path / "kept" / "golden.parquet", tmp_path / "rows.parquet"
    secret.write_text("golden")
    allowed.write_text("rows")
    with socket.create_server(("127.0.0.1", 0)) as server:
        told = {
            "outside": str(secret.parent),
            "secret": str(secret),
            "allowed": str(allowed),
            "peer": str(os.getpid()),
            "port": str(server.getsockname()[1]),
        }
        for id, reads in (("free", None), ("held", (str(allowed),))):
            secret.write_text("golden")
            compute.submit(Job(id=id, entry=f"{JOBS}:trespass", arguments=told, reads=reads, confined="required"))
            ended(compute, id)
    free, held = (_said(compute, id) for id in ("free", "held"))
    allowed_to_held = {"own", "temporary", "allowed"}
    assert {name for name, said in held.items() if said == "done"} == allowed_to_held
    assert {*free} == {*held}
    refused = {name for name, said in free.items() if said != "done"} - {"memory"}
    assert refused <= {"move", "link", "list", "read", "read_by_link"}, "control: unconfined, all of it works"
    assert secret.read_text() == "golden"
    assert allowed.read_text() == "rows" or free["change_allowed"] == "done"


def _said(compute: LocalCompute, id: str) -> dict[str, str]:
    said: dict[str, str] = json.loads((compute.root / id / "results" / "said.json").read_text())
    return said
