"""What every compute must do: a class of tests to inherit, with one fixture to define.

class TestMyCompute(ComputeContract):
    @pytest.fixture
    def compute(self, tmp_path): return MyCompute(tmp_path)
"""
# ruff: noqa: S101, D102 - a contract suite asserts, and its tests say by their names what they do

import json
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from anew.domain.errors import ConflictError, DiskFullError, InvariantError
from anew.ports.compute import Compute, Job, JobState, JobStatus, Limits, Step

__all__ = ["JOBS", "ComputeContract", "alive", "ended", "eventually", "job"]

JOBS = "anew.testing.faulty_job"


def job(name: str, limits: Limits | None = None, id: str = "j1", **arguments: str) -> Job:
    """Return a job that goes wrong in a certain way, and that may run on any machine."""
    return Job(id=id, entry=f"{JOBS}:{name}", arguments=arguments, limits=limits or Limits(), files=())


def eventually(condition: Callable[[], bool], within_s: float = 30.0) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.02)


def ended(compute: Compute, id: str = "j1", within_s: float = 30.0) -> JobStatus:
    """Wait until a job does not run any more, and return where it stands."""
    eventually(lambda: compute.poll(id).state is not JobState.RUNNING, within_s)
    return compute.poll(id)


def alive(pid: int) -> bool:
    """Is there such a process, and does it run?"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _said(status: JobStatus) -> dict[str, str]:
    assert status.folder is not None
    said: dict[str, str] = json.loads((status.folder / "said.json").read_text())
    return said


class ComputeContract:
    """Inherit and define the fixture `compute`: one without jobs, whose jobs run on this machine."""

    @pytest.fixture
    def compute(self) -> Compute:
        """Return a compute without jobs."""
        raise NotImplementedError("define the fixture `compute` in the class that inherits the contract")

    def test_a_job_runs_once_and_its_results_stay(self, compute: Compute, tmp_path: Path) -> None:
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
        self, compute: Compute, name: str, limits: Limits, arguments: dict[str, str], reason: str, says: str
    ) -> None:
        compute.submit(job(name, limits, **arguments))
        status = ended(compute)
        assert (status.state, status.reason) == (JobState.FAILED, reason), status
        assert says in status.detail
        assert status.folder is None

    @pytest.mark.fault("K4")
    def test_a_worker_that_is_killed_from_outside_is_seen_within_five_seconds(
        self, compute: Compute, tmp_path: Path
    ) -> None:
        pids = tmp_path / "pids"
        compute.submit(job("sleep", seconds="60", pid=str(pids)))
        eventually(lambda: pids.exists() and len(pids.read_text().split()) == 2)
        worker, _ = map(int, pids.read_text().split())
        assert compute.poll("j1").state is JobState.RUNNING
        os.kill(worker, signal.SIGKILL)
        assert ended(compute, within_s=5.0).reason == "killed"

    def test_cancel_ends_it_and_a_running_job_is_not_forgotten(self, compute: Compute) -> None:
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

    def test_logs_are_bounded_and_nothing_is_left_running(self, compute: Compute, tmp_path: Path) -> None:
        compute.submit(job("chatter", bytes=str(3 << 20)))
        assert ended(compute).state is JobState.DONE
        folder = ended(compute).folder
        assert folder is not None
        for name in ("stdout.log", "stderr.log"):
            text = (folder.parent / name).read_bytes()
            assert len(text) < (1 << 20) + 100
            assert b"2097152 more bytes were dropped" in text
        pid = tmp_path / "pid"
        compute.submit(job("leave_child", id="j2", pid=str(pid)))
        assert ended(compute, "j2").state is JobState.DONE
        eventually(lambda: not alive(int(pid.read_text())), 5.0)

    def test_jobs_see_no_secrets_and_use_one_thread(self, compute: Compute, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DATABASE_PASSWORD", "hunter2")
        compute.submit(job("show_environment"))
        folder = ended(compute).folder
        assert folder is not None
        seen = (folder / "environment.txt").read_text().splitlines()
        assert "OMP_NUM_THREADS=1" in seen
        assert not [line for line in seen if "hunter2" in line]
        assert seen[-1].endswith("/results")
        assert seen[-1] not in seen[:-1], "nothing is imported from where it writes"

    def test_only_ids_and_entries_of_ours_are_taken(self, compute: Compute) -> None:
        for id in ("", "../x", "a/b", "a b", "x" * 65, "-rf"):
            with pytest.raises(InvariantError):
                compute.poll(id)
        compute.submit(Job(id="j1", entry="os:system", arguments={}, files=()))
        assert "no entry of anew" in ended(compute).detail

    def test_a_daemon_that_a_job_started_dies_with_it(self, compute: Compute, tmp_path: Path) -> None:
        pid = tmp_path / "pid"
        compute.submit(job("leave_daemon", pid=str(pid)))
        assert ended(compute).state is JobState.DONE
        eventually(lambda: not alive(int(pid.read_text())), 5.0)

    def test_steps_follow_each_other_and_end_with_the_first_that_fails(self, compute: Compute, tmp_path: Path) -> None:
        said = {"file": "a.txt", "text": "left", "tally": str(tmp_path / "tally")}
        good, last = Step(entry=f"{JOBS}:second"), Step(entry=f"{JOBS}:count")
        compute.submit(Job(id="j1", entry=f"{JOBS}:write", arguments=said, then=(good,), files=()))
        folder = ended(compute).folder
        assert folder is not None
        assert (folder / "seen.txt").read_text() == "left"
        bad = Step(entry=f"{JOBS}:refuse")
        compute.submit(Job(id="j2", entry=f"{JOBS}:write", arguments=said, then=(bad, last), files=()))
        assert "something odd" in ended(compute, "j2").detail
        assert not (tmp_path / "tally").exists()

    def test_a_job_says_why_it_was_cancelled(self, compute: Compute) -> None:
        compute.submit(job("sleep", seconds="60"))
        compute.cancel("j1", "kim: too expensive")
        compute.cancel("j1", "another word")
        assert ended(compute).detail == "kim: too expensive"

    @pytest.mark.fault("D3")
    def test_a_job_without_room_does_not_begin(self, compute: Compute) -> None:
        with pytest.raises(DiskFullError, match="MB are free"):
            compute.submit(job("sleep", Limits(free_bytes=1 << 60), seconds="60"))
        assert compute.poll("j1").state is JobState.UNKNOWN

    @pytest.mark.fault("A8")
    @pytest.mark.fault("A9")
    def test_a_confined_job_keeps_to_its_folder_and_off_the_network(self, compute: Compute, tmp_path: Path) -> None:
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
                taken: dict[str, Any] = {"reads": reads, "files": (str(allowed),)}
                compute.submit(Job(id=id, entry=f"{JOBS}:trespass", arguments=told, confined="required", **taken))
                ended(compute, id)
        free, held = (_said(ended(compute, id)) for id in ("free", "held"))
        allowed_to_held = {"own", "temporary", "allowed"}
        assert {name for name, said in held.items() if said == "done"} == allowed_to_held
        assert {*free} == {*held}
        refused = {name for name, said in free.items() if said != "done"} - {"memory"}
        assert refused <= {"move", "link", "list", "read", "read_by_link"}, "control: unconfined, all of it works"
        assert secret.read_text() == "golden"
        assert allowed.read_text() == "rows" or free["change_allowed"] == "done"
