"""Jobs on a Ray cluster: as detached actors, which go on when whoever submitted them is gone."""

import errno
import importlib.util
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from anew.adapters.job_record import Ended, JobRecord
from anew.adapters.local_compute import LocalCompute, status_of
from anew.domain.errors import ConflictError, DiskFullError, MissingExtraError, UnavailableError
from anew.ports.compute import Job, JobState, JobStatus

__all__ = ["RayCompute"]

_LOST_S = 600.0
_LOOK_S = 0.2
"""The cluster is asked no more often than this for a job."""


@dataclass(slots=True, kw_only=True)
class RayCompute:
    """See `anew.ports.compute.Compute`.

    Records and results of all jobs are here, as on one machine. A job that names its files runs in a detached actor of
    its own, to which they are brought; how it ended, and what it made, is fetched by the first poll after its end. One
    that names none needs this machine, and runs here. A cluster that does not answer is waited for: its jobs are
    RUNNING until their wall time and ten minutes are over, and when it comes back without them they may begin again.

    Parameters
    ----------
    near
        Runs what needs this machine, and keeps the records.
    address
        ``ray``, ``HOST:PORT`` or ``ray://HOST:PORT``.
    namespace
        Of the actors' names, which are the ids of their jobs.
    lease_s
        A job ends itself when it was neither submitted nor polled for so long.
    room_s
        How long a job may wait for room.
    answer_s
        How long a cluster may take to answer.
    """

    near: LocalCompute
    address: str
    namespace: str
    lease_s: float = 900.0
    room_s: float = 3600.0
    answer_s: float = 30.0
    _link: "subprocess.Popen[bytes] | None" = field(default=None, init=False)
    _looked: dict[str, float] = field(default_factory=dict, init=False)
    _turn: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __post_init__(self) -> None:
        if not _is_installed():
            raise MissingExtraError("ray", "ray")

    @property
    def root(self) -> Path:
        """Folder of the jobs' folders."""
        return self.near.root

    def submit(self, job: Job) -> None:
        """Start the job unless it is known; when this returns it has an actor, and its files are on their way.

        Raises
        ------
        DiskFullError
            There is not enough room for its results.
        UnavailableError
            The cluster does not answer.
        """
        if job.files is None:
            self.near.submit(job)
            return
        record = self.near.record(job.id)
        try:
            self.near.prepare(job, record)
            with _Turn(record):
                if record.ended() is None and self._may_begin(job.id, record):
                    told = self._ask("submit", job.id, record)
                    if told["state"] == "lost":
                        raise UnavailableError(f"the Ray cluster at {self.address} does not answer: {told['why']}")
                    if told["state"] == "made" or record.begun() == 0:
                        begun = {"at": time.time(), "begun": record.begun() + 1, "used": record.used()}
                        record.begin(begun)
        except UnavailableError:
            raise
        except OSError as exc:
            if exc.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFullError(f"the disk of {self.root} is full; job {job.id} cannot be started") from exc
            raise UnavailableError(f"job {job.id} cannot be started: {exc.strerror} ({exc.filename})") from exc

    def poll(self, id: str) -> JobStatus:
        """Ask the actor, which also renews the job's lease; what has ended is fetched."""
        record = self.near.record(id)
        if not (record.folder / "job.json").exists():
            return JobStatus(state=JobState.UNKNOWN)
        job = record.job()
        if job.files is None:
            return self.near.poll(id)
        if record.ended() is None and record.begun() and time.monotonic() - self._looked.get(id, -_LOOK_S) >= _LOOK_S:
            self._look(job, record)
            self._looked[id] = time.monotonic()
        ended, started = record.ended(), record.started()
        if ended is not None:
            return status_of(record, ended)
        if started is None or started.get("gone") == started["begun"]:
            return JobStatus(state=JobState.UNKNOWN)
        return JobStatus(state=JobState.RUNNING, wall_s=max(0.0, time.time() - started["at"]), cpu_s=record.used())

    def cancel(self, id: str, why: str = "") -> None:
        """Ask the job to end; one that still waits for room ends at once."""
        record = self.near.record(id)
        if not (record.folder / "job.json").exists() or record.ended() is not None:
            return
        record.cancel(why)
        job = record.job()
        if job.files is not None and record.begun():
            self._look(job, record)

    def forget(self, id: str) -> None:
        """Delete records and results, and what is left of it on the cluster.

        Raises
        ------
        ConflictError
            The job is running, or may be: the cluster does not answer.
        """
        record = self.near.record(id)
        if not record.folder.exists():
            return
        self._looked.pop(id, None)
        far = (record.folder / "job.json").exists() and record.job().files is not None
        if far and record.ended() is None and record.begun():
            if self.poll(id).state is JobState.RUNNING:
                raise ConflictError(f"job {id} is running; cancel it first")
            self._ask("kill", id, record)
        self.near.forget(id)

    def silent(self) -> str:
        """Return why the cluster does not answer; empty when it does."""
        told = self._ask("poll", "nothing", self.near.record("nothing"))
        return told["why"] or "it said nothing" if told["state"] == "lost" else ""

    def close(self) -> None:
        """End the connection; the jobs go on."""
        with self._turn:
            self._hang_up()

    def _may_begin(self, id: str, record: JobRecord) -> bool:
        if record.begun() == 0:
            return True
        return record.begun() <= record.job().restarts and self._ask("poll", id, record)["state"] == "gone"

    def _look(self, job: Job, record: JobRecord) -> None:
        """Ask where a job stands, and record what has come to an end."""
        told = self._ask("poll", job.id, record)
        state, why = told["state"], told.get("why", "")
        started = record.started()
        assert started is not None, "it was begun"  # noqa: S101  an invariant of ours
        waited_s = time.time() - started["at"]
        if state == "gone":
            self._gone(job, record, started, why)
        elif state == "refused":
            record.end(Ended(reason="error", detail=f"the cluster cannot run it: {why}"))
        elif state == "lost" and waited_s > job.limits.wall_s + _LOST_S:
            record.end(
                Ended(
                    reason="killed",
                    detail=f"the Ray cluster at {self.address} no longer answers: {why}",
                    cpu_s=record.used(),
                )
            )
        elif state == "waiting" and record.cancelled is not None:
            self._ask("kill", job.id, record)
            record.end(Ended(reason="cancelled", detail=record.cancelled or "it was cancelled", cpu_s=record.used()))
        elif state == "waiting" and waited_s > self.room_s:
            self._ask("kill", job.id, record)
            wish = f"{job.request.cpus:g} CPUs, {job.request.memory_bytes >> 20} MB, {job.request.gpus:g} GPUs"
            record.end(
                Ended(reason="timeout", detail=f"the cluster had no room for it ({wish}) within {self.room_s:g} s")
            )

    def _gone(self, job: Job, record: JobRecord, started: Mapping[str, float], why: str) -> None:
        if record.cancelled is not None:
            record.end(Ended(reason="cancelled", detail=record.cancelled or "it was cancelled", cpu_s=record.used()))
        elif record.begun() <= job.restarts:
            if started.get("gone") != started["begun"]:
                record.begin({**started, "gone": started["begun"]})
        else:
            again = f" {record.begun()} times" if record.begun() > 1 else ""
            said = f" ({why})" if why else ""
            record.end(
                Ended(reason="killed", detail=f"its actor is gone and left no result{again}{said}", cpu_s=record.used())
            )

    def _ask(self, do: str, id: str, record: JobRecord) -> Mapping[str, str]:
        """Ask the link; ``lost`` is the answer for it when it does not answer in time, or has ended."""
        line = json.dumps({"do": do, "id": id, "folder": str(record.folder)}).encode() + b"\n"
        with self._turn:
            if self._link is None or self._link.poll() is not None:
                self._hang_up()
                self._link = self._started()
            link = self._link
            assert link.stdin is not None and link.stdout is not None, "they are pipes"  # noqa: S101  ours
            try:
                link.stdin.write(line)
                link.stdin.flush()
                if select.select([link.stdout], [], [], self.answer_s)[0] and (answer := link.stdout.readline()):
                    found: Mapping[str, str] = json.loads(answer)
                    return found
            except BrokenPipeError:
                pass
            self._hang_up()
            return {"state": "lost", "why": _last_words(self._log)}

    @property
    def _log(self) -> Path:
        return self.root.parent / "ray-link.log"

    def _started(self) -> "subprocess.Popen[bytes]":
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        told = [self.address, self.namespace, str(self.lease_s)]
        with self._log.open("wb") as log:
            return subprocess.Popen(  # noqa: S603 - our own interpreter on our own module
                [sys.executable, "-P", "-m", "anew.adapters.ray_link", *told],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                process_group=0,
            )

    def _hang_up(self) -> None:
        if self._link is not None:
            self._link.kill()
            self._link.communicate()
            self._link = None


class _Turn:
    """The lock of a job's records, waited for: one submits at a time."""

    def __init__(self, record: JobRecord) -> None:
        self._record = record
        self._lock: int | None = None

    def __enter__(self) -> None:
        deadline = time.monotonic() + 60.0
        while (lock := self._record.lock()) is None:
            if time.monotonic() > deadline:
                raise UnavailableError(f"job {self._record.folder.name} is being submitted by another process")
            time.sleep(0.05)
        self._lock = lock

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            os.close(self._lock)


def _is_installed() -> bool:
    return importlib.util.find_spec("ray") is not None


def _last_words(log: Path) -> str:
    lines = log.read_text("utf-8", errors="replace").splitlines() if log.exists() else []
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "it said nothing")
