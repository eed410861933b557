"""Where training runs: submit, poll, collect, so that a crash of the caller loses nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

__all__ = ["Compute", "Job", "JobState", "JobStatus", "Limits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on one job: wall and CPU seconds, address space and output in bytes."""

    wall_s: float = 3600.0
    cpu_s: float = 3600.0
    memory_bytes: int = 8 << 30
    output_bytes: int = 2 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A function to run elsewhere.

    `id` is the idempotency key; `entry` a ``package.module:function`` of anew taking (arguments, folder), where
    `arguments` is what is given here and `folder` an empty directory for its results.
    """

    id: str
    entry: str
    arguments: Mapping[str, str]
    limits: Limits = Limits()


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
        """Start the job unless it is known already."""
        ...

    def poll(self, id: str) -> JobStatus:
        """Return where the job stands; UNKNOWN when it was never submitted or its records are gone."""
        ...

    def cancel(self, id: str) -> None:
        """End the job; without effect when it has ended."""
        ...

    def forget(self, id: str) -> None:
        """Delete the records and results of a job that has ended."""
        ...
