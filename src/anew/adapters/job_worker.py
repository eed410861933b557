"""The process that does a job's work, under limits.

Its supervisor starts it as ``-m anew.adapters.job_worker FOLDER STEP PID``, where PID is the supervisor's own. What it
runs was written by users: it is confined before any of that is imported.
"""

import ctypes
import importlib
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

from anew.adapters.confinement import LANDLOCK, SECCOMP, confine
from anew.adapters.job_record import JobRecord
from anew.domain.errors import PolicyError, SettingsError, TrainingError
from anew.domain.raised import place_of, text_of
from anew.domain.shortage import shortage
from anew.ports.compute import Job, Limits, Step

__all__ = ["EXITS", "confine_step", "die_with", "limit", "main", "reason_of"]

EXITS: Mapping[int, str] = {71: "error", 72: "disk_full", 73: "oom", 74: "cancelled", 75: "timeout"}
"""What the exit code alone says, for when the disk is too full to say more."""

_PR_SET_PDEATHSIG = 1
Entry = Callable[[Mapping[str, str], Path], None]


def main(folder: Path, step: int, supervisor: int) -> int:
    """Do one step of the job recorded in `folder`, and say how it ended."""
    die_with(supervisor)
    record = JobRecord(folder)
    job = record.job()
    limit(job.limits)
    account = record.account(step)
    try:
        confine_step(job, job.steps[step], record)
        _entry(job.steps[step].entry)(job.arguments, record.results)
    except BaseException as exc:  # noqa: BLE001 - the outermost loop of this process: whatever it was becomes its end
        traceback.print_exc()
        reason, detail = reason_of(exc)
        _say(account, reason, detail)
        return next((code for code, name in EXITS.items() if name == reason), 71)
    _say(account, "", "")
    return 0


def confine_step(job: Job, step: Step, record: JobRecord) -> None:
    """Take from this process what the step does not need, as far as this kernel can."""
    if step.reads is None:
        return
    held = confine(step.reads, (str(record.results), os.environ.get("TMPDIR", "")))
    lacking = [name for name in (LANDLOCK, SECCOMP) if name not in held]
    if lacking and job.confined == "required":
        raise PolicyError(f"the job has to be confined, and this kernel does not do {' nor '.join(lacking)}")
    if lacking:
        sys.stderr.write(f"not confined by {', '.join(lacking)}: this kernel does not do that\n")


def limit(limits: Limits) -> None:
    """Bound this process: address space, CPU seconds, size of a file; no core dumps."""
    cpu = max(1, int(limits.cpu_s))
    # At the soft limit comes SIGXCPU, which names the reason; at the hard one SIGKILL.
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 5))
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limits.output_bytes, limits.output_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def reason_of(exc: BaseException) -> tuple[str, str]:
    """Name why the work ended: a word for machines and a sentence for people.

    What was raised because memory or disk ran out is named after that, in the user's code as well.
    """
    said = exc.detail if isinstance(exc, TrainingError) else f"{type(exc).__name__}{place_of(exc)}: {text_of(exc)}"
    if isinstance(exc, TrainingError) and exc.reason != "error":
        return exc.reason, said
    reason, words = shortage(exc)
    if reason:
        return reason, f"{words}: {said}"
    return "error", said


def _entry(name: str) -> Entry:
    module, _, function = name.partition(":")
    # A job names code of ours only: records on disk must not be able to name anybody's.
    if not module.startswith("anew."):
        raise SettingsError(f"{name!r} is no entry of anew")
    return cast("Entry", getattr(importlib.import_module(module), function))


def _say(account: int, reason: str, detail: str) -> None:
    try:
        JobRecord.say(account, reason, detail)
    except OSError:
        traceback.print_exc()  # the exit code says the reason


def die_with(parent: int) -> None:
    """Have the kernel kill us when our parent dies: without it nobody would bound our wall time."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)  # on Linux; elsewhere the CPU limit has to do
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
