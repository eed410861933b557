"""Where training runs: submit, poll, collect, so that a crash of the caller loses nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

__all__ = ["Compute", "Job", "JobState", "JobStatus", "Limits", "Request", "Step"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on one job: wall seconds, CPU seconds and address space of each process, all output in bytes.

    It does not begin unless `free_bytes` are free where its results go.
    """

    wall_s: float = 3600.0
    cpu_s: float = 3600.0
    memory_bytes: int = 8 << 30
    output_bytes: int = 2 << 30
    free_bytes: int = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a cluster sets aside for one job, and for each trial of its search; one machine sets nothing aside."""

    cpus: float = 1.0
    memory_bytes: int = 0
    gpus: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One process of a job: runs `entry`, a ``package.module:function`` of anew taking (arguments, folder).

    `reads` are the files and folders that it may read besides what Python itself needs; it may then write into its
    folder alone, and reach no network. None: it is not confined.
    """

    entry: str
    reads: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A function to run elsewhere.

    `id` is the idempotency key; `entry` and `reads` are those of the first `Step`, where `arguments` is what is given
    here and `folder` a directory for its results; `then` are further steps, each run when the one before is done.
    `restarts` is how often it may be begun again after the machine, or whatever watched over it, went down: what its
    steps did before is still in the folder. One that cannot be `confined` as its steps ask runs nevertheless, unless
    this says ``required``.

    `files` are all files and folders that its arguments and steps name: with them it can run on another machine, where
    paths to them, in the arguments and in a JSON file that an argument names, are changed to where they are laid. None:
    it runs here. A cluster sets `request` aside for it. `trial` is the module that scores the trials of its search,
    each of which may then run on a machine of its own; empty: it has none.
    """

    id: str
    entry: str
    arguments: Mapping[str, str]
    limits: Limits = Limits()
    reads: tuple[str, ...] | None = None
    then: tuple[Step, ...] = ()
    restarts: int = 0
    confined: str = "auto"
    files: tuple[str, ...] | None = None
    request: Request = Request()
    trial: str = ""

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps in order."""
        return (Step(entry=self.entry, reads=self.reads), *self.then)


class JobState(StrEnum):
    """Where a job stands."""

    UNKNOWN = "unknown"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """State of a job; when FAILED, `reason` (error, killed, oom, timeout, disk_full, cancelled) and `detail`.

    `folder` holds the results when DONE. `wall_s` and `cpu_s` are what it has used.
    """

    state: JobState
    reason: str = ""
    detail: str = ""
    folder: Path | None = None
    wall_s: float = 0.0
    cpu_s: float = 0.0


class Compute(Protocol):
    """Runs jobs. Process-safe; `submit` is idempotent by job id: a job that runs or has ended is not run again."""

    def submit(self, job: Job) -> None:
        """Start the job unless it is known already.

        Raises
        ------
        DiskFullError
            There is not enough room for its results.
        """
        ...

    def poll(self, id: str) -> JobStatus:
        """Return where the job stands; UNKNOWN when it is to be submitted: never was, is gone, or may begin again."""
        ...

    def cancel(self, id: str, why: str = "") -> None:
        """End the job, which says `why`; without effect when it has ended."""
        ...

    def forget(self, id: str) -> None:
        """Delete the records and results of a job that has ended."""
        ...
