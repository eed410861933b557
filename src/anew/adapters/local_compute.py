"""Jobs as processes of this machine that outlive whoever submitted them."""

import errno
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from anew.adapters.job_record import Ended, JobRecord
from anew.domain.boundary import reach
from anew.domain.errors import ConflictError, DiskFullError, InvariantError, UnavailableError
from anew.ports.compute import Job, JobState, JobStatus

__all__ = ["LocalCompute", "status_of"]

_GONE = ".gone-"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalCompute:
    """See `anew.ports.compute.Compute`.

    A job is a folder. A supervisor, detached from us, holds its lock while it lives and records how the job ended; we
    only read records, so another process, or this one after a crash, finds a job as if it had submitted it. Two
    submissions of one id start it once: the lock has one holder, and a job that has started never starts again, unless
    its supervisor is gone and it has restarts left.

    Parameters
    ----------
    root
        Folder of the jobs' folders.
    lease_s
        A job ends itself when it was neither submitted nor polled for so long: nobody is left who wants it.
    """

    root: Path
    lease_s: float = 900.0

    def submit(self, job: Job) -> None:
        """Start the job unless it is known; when this returns it runs, and goes on running without us.

        Raises
        ------
        DiskFullError
            There is not enough room for its results.
        UnavailableError
            It cannot be started: no process can be made.
        """
        record = self.record(job.id)
        try:
            self.prepare(job, record)
            if record.begun() <= record.job().restarts:
                self._start(record)
        except UnavailableError:
            raise
        except OSError as exc:
            if exc.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFullError(f"the disk of {self.root} is full; job {job.id} cannot be started") from exc
            raise UnavailableError(f"job {job.id} cannot be started: {exc.strerror} ({exc.filename})") from exc

    def poll(self, id: str) -> JobStatus:
        """Look at the records; this also renews the job's lease."""
        record = self.record(id)
        if not (record.folder / "job.json").exists():
            return JobStatus(state=JobState.UNKNOWN)
        record.touch()
        alive = record.locked()  # before the records: what ends while we look is then seen as ended
        ended, started = record.ended(), record.started()
        if ended is not None:
            return status_of(record, ended)
        if alive:
            since = time.time() if started is None else started["at"]
            return JobStatus(state=JobState.RUNNING, wall_s=max(0.0, time.time() - since), cpu_s=record.used())
        if record.begun() <= record.job().restarts:
            return JobStatus(state=JobState.UNKNOWN)
        again = f" {record.begun()} times" if record.begun() > 1 else ""
        return JobStatus(
            state=JobState.FAILED,
            reason="killed",
            detail=f"its supervisor is gone and left no result{again}: it was killed, or the machine was restarted",
            cpu_s=record.used(),
        )

    def cancel(self, id: str, why: str = "") -> None:
        """Ask the job to end; it does within about three seconds, and `poll` says so."""
        record = self.record(id)
        if (record.folder / "job.json").exists() and record.ended() is None:
            record.cancel(why)

    def forget(self, id: str) -> None:
        """Delete records and results. Whatever is killed meanwhile, another job of this id never finds them.

        Raises
        ------
        ConflictError
            The job is running.
        """
        record = self.record(id)
        if not record.folder.exists():
            return
        if record.ended() is None and record.locked():
            raise ConflictError(f"job {id} is running; cancel it first")
        gone = record.folder.with_name(f"{_GONE}{os.getpid()}-{os.urandom(4).hex()}")
        record.folder.rename(gone)
        reach("job.set_aside")
        shutil.rmtree(gone, ignore_errors=True)

    def record(self, id: str) -> JobRecord:
        """Return the records of a job, which need not be there.

        Raises
        ------
        InvariantError
            It is no job id.
        """
        if not _ID.fullmatch(id):
            raise InvariantError(f"{id[:80]!r} is no job id; use up to 64 letters, digits, dashes and underscores")
        return JobRecord(self.root.resolve() / id)

    def prepare(self, job: Job, record: JobRecord) -> None:
        """Make room for a job's records, and write what it is to do."""
        self._sweep()
        if record.begun() == 0:
            self._need_room(job)
        record.create(job)

    def _sweep(self) -> None:
        """Delete what was set aside by a process that did not come to delete it."""
        for left in self.root.glob(f"{_GONE}*"):
            if not Path(f"/proc/{left.name.removeprefix(_GONE).partition('-')[0]}").exists():
                shutil.rmtree(left, ignore_errors=True)

    def _need_room(self, job: Job) -> None:
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        free = shutil.disk_usage(self.root).free
        if free < job.limits.free_bytes:
            raise DiskFullError(
                f"{free >> 20} MB are free on the disk of {self.root}, a run needs {job.limits.free_bytes >> 20} MB to "
                "begin; free some space"
            )

    def _start(self, record: JobRecord) -> None:
        """Start the supervisor; it detaches itself once the job is recorded as begun."""
        started = subprocess.run(  # noqa: S603 - our own interpreter on our own module
            [sys.executable, "-P", "-m", "anew.adapters.job_supervisor", str(record.folder), str(self.lease_s)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
            start_new_session=True,
            env=dict(os.environ),
        )
        if started.returncode:
            words = started.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            raise UnavailableError(f"job {record.folder.name} cannot be started: {words or started.returncode}")


def status_of(record: JobRecord, ended: Ended) -> JobStatus:
    """Return where a job that has ended stands."""
    done = not ended.reason
    return JobStatus(
        state=JobState.DONE if done else JobState.FAILED,
        reason=ended.reason,
        detail=ended.detail,
        folder=record.results if done else None,
        wall_s=ended.wall_s,
        cpu_s=ended.cpu_s,
    )
