"""Jobs as processes of this machine that outlive whoever submitted them."""

import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from anew.adapters.job_record import JobRecord
from anew.domain.errors import ConflictError, InvariantError, UnavailableError
from anew.ports.compute import Job, JobState, JobStatus

__all__ = ["LocalCompute"]

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalCompute:
    """See `anew.ports.compute.Compute`.

    A job is a folder. A supervisor, detached from us, holds its lock while it lives and records how the job ended; we
    only read records, so another process, or this one after a crash, finds a job as if it had submitted it. Two
    submissions of one id start it once: the lock has one holder, and a job that has started never starts again.

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
        UnavailableError
            It cannot be started: the disk is full, or no process can be made.
        """
        record = self._record(job.id)
        try:
            record.create(job)
            if record.started() is None:
                self._start(record)
        except OSError as exc:
            raise UnavailableError(f"job {job.id} cannot be started: {exc.strerror} ({exc.filename})") from exc

    def poll(self, id: str) -> JobStatus:
        """Look at the records; this also renews the job's lease."""
        record = self._record(id)
        if not (record.folder / "job.json").exists():
            return JobStatus(state=JobState.UNKNOWN)
        record.touch()
        alive = record.locked()  # before the records: what ends while we look is then seen as ended
        ended, started = record.ended(), record.started()
        if ended is not None:
            done = not ended.reason
            return JobStatus(
                state=JobState.DONE if done else JobState.FAILED,
                reason=ended.reason,
                detail=ended.detail,
                folder=record.results if done else None,
                wall_s=ended.wall_s,
                cpu_s=ended.cpu_s,
            )
        if alive:
            since = time.time() if started is None else started["at"]
            return JobStatus(state=JobState.RUNNING, wall_s=max(0.0, time.time() - since))
        if started is None:
            return JobStatus(state=JobState.UNKNOWN)
        return JobStatus(
            state=JobState.FAILED,
            reason="killed",
            detail="its supervisor is gone and left no result: it was killed, or the machine was restarted",
        )

    def cancel(self, id: str) -> None:
        """Ask the job to end; it does within about three seconds, and `poll` says so."""
        record = self._record(id)
        if (record.folder / "job.json").exists() and record.ended() is None:
            record.cancel()

    def forget(self, id: str) -> None:
        """Delete records and results.

        Raises
        ------
        ConflictError
            The job is running.
        """
        record = self._record(id)
        if not record.folder.exists():
            return
        if record.ended() is None and record.locked():
            raise ConflictError(f"job {id} is running; cancel it first")
        shutil.rmtree(record.folder)

    def _record(self, id: str) -> JobRecord:
        if not _ID.fullmatch(id):
            raise InvariantError(f"{id[:80]!r} is no job id; use up to 64 letters, digits, dashes and underscores")
        return JobRecord(self.root.resolve() / id)

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
