"""Compute in memory: jobs end when they are told to, and as they are told to."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from anew.ports.compute import Job, JobState, JobStatus

__all__ = ["FakeCompute"]


@dataclass(slots=True)
class FakeCompute:
    """A `Compute` whose jobs do nothing until `work` does it for them.

    Parameters
    ----------
    root
        Folder of the jobs' folders.
    work
        Called with a job and its empty folder when the job ends; returns its status, or None for DONE.
    polls
        How often a job is found running before it ends.

    Attributes
    ----------
    submitted
        Every job that was taken, once for each time that it ran.
    """

    root: Path
    work: Callable[[Job, Path], JobStatus | None] = lambda _job, _folder: None
    polls: int = 0
    submitted: list[Job] = field(default_factory=list, init=False)
    _left: dict[str, int] = field(default_factory=dict, init=False)
    _jobs: dict[str, Job] = field(default_factory=dict, init=False)
    _ended: dict[str, JobStatus] = field(default_factory=dict, init=False)

    def submit(self, job: Job) -> None:
        """Take the job unless it is known already."""
        if job.id not in self._jobs:
            self._jobs[job.id] = job
            self._left[job.id] = self.polls
            self.submitted.append(job)

    def poll(self, id: str) -> JobStatus:
        """Return where the job stands; it ends at the poll after its last as running."""
        if id not in self._jobs:
            return JobStatus(state=JobState.UNKNOWN)
        if id not in self._ended:
            if self._left[id]:
                self._left[id] -= 1
                return JobStatus(state=JobState.RUNNING)
            folder = self.root / id
            folder.mkdir(parents=True)
            done = JobStatus(state=JobState.DONE, folder=folder, wall_s=2.0, cpu_s=1.0)
            self._ended[id] = self.work(self._jobs[id], folder) or done
        return self._ended[id]

    def cancel(self, id: str, why: str = "") -> None:
        """End the job."""
        if id in self._jobs and id not in self._ended:
            self._ended[id] = JobStatus(state=JobState.FAILED, reason="cancelled", detail=why or "it was cancelled")

    def forget(self, id: str) -> None:
        """Lose the job, whatever it does."""
        for known in (self._jobs, self._ended, self._left):
            known.pop(id, None)
