"""The process that watches over one job; started as ``-m anew.adapters.job_supervisor FOLDER LEASE_S``.

It outlives whoever submitted the job, so that a crash of the control plane costs no training. It does not live for
ever: it ends the worker at its wall limit, when it is cancelled, and when nobody has asked for the job for the time of
its lease. How the worker ended, a signal included, is known to its parent alone; that is why there are two processes.
"""

import ctypes
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import IO

from anew.adapters.job_record import Ended, JobRecord
from anew.adapters.job_worker import EXITS
from anew.ports.compute import Limits

__all__ = ["job_environment", "main"]

LOG_BYTES = 1 << 20
_LOOK_S = 0.2
_GRACE_S = 2.0
_SIZE_S = 1.0
_GENERATIONS = 100
_WARNING = re.compile(r"^\S.*:\d+: \w*Warning: .*\n?(?:[ \t]+.*\n?)?", re.MULTILINE)
_PR_SET_CHILD_SUBREAPER = 36
_KEPT = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "PYTHONPATH", "TZ", "VIRTUAL_ENV")
_THREADS = ("MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS")


def main(folder: Path, lease_s: float) -> int:
    """Detach, run the job unless another supervisor does or did, and record its end. Returns when it has begun."""
    record = JobRecord(folder)
    lock = _lock(record)
    if lock is None or record.ended() is not None:
        return 0
    begun = record.begun()
    if begun > record.job().restarts:
        return 0
    record.begin({"pid": 0, "at": time.time(), "begun": begun + 1})
    if os.fork():
        return 0  # the lock lives on in the child
    os.setsid()
    _let_go(record)
    _supervise(record, lease_s)
    return 0


def _lock(record: JobRecord) -> int | None:
    """Take the lock; somebody who looks whether it is held holds it for an instant, hence more than one try."""
    for _ in range(50):
        lock = record.lock()
        if lock is not None or record.begun() > record.job().restarts:
            return lock
        time.sleep(0.02)
    return None


def _let_go(record: JobRecord) -> None:
    """Close the pipes to whoever started us; it waits for their end."""
    nothing = os.open(os.devnull, os.O_RDWR)
    log = os.open(record.folder / "supervisor.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    for standard, target in ((0, nothing), (1, log), (2, log)):
        os.dup2(target, standard)


def _supervise(record: JobRecord, lease_s: float) -> None:
    """Run one step after the other until one comes to nothing; those that were done before are not repeated."""
    began, before = time.monotonic(), record.used()
    _adopt_orphans()
    job = record.job()
    watch = _Watch(record=record, limits=job.limits, lease_s=lease_s, before=before)
    reason, detail = "", ""
    for step in range(len(job.steps)):
        if not reason and record.said(step) != ("", ""):
            reason, detail = _step(record, step, watch)
    used = before + _ended_children_s()
    record.end(Ended(reason=reason, detail=detail, wall_s=time.monotonic() - began, cpu_s=used))


def _step(record: JobRecord, step: int, watch: "_Watch") -> tuple[str, str]:
    """Run one step to its end, and return why it came to nothing; ("", "") when it is done."""
    killed_before = _oom_kills()
    temporary = record.folder / "tmp"
    temporary.mkdir(exist_ok=True, mode=0o700)
    worker = subprocess.Popen(  # noqa: S603 - our own interpreter on our own module
        [sys.executable, "-P", "-m", "anew.adapters.job_worker", str(record.folder), str(step), str(os.getpid())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=job_environment(temporary),
        process_group=0,
        cwd=record.results,
    )
    pumps = [
        Thread(target=_pump, args=(pipe, record.folder / f"{name}.log"), daemon=True)
        for name, pipe in (("stdout", worker.stdout), ("stderr", worker.stderr))
    ]
    for pump in pumps:
        pump.start()
    stopped = watch.until_the_end_of(worker)
    _kill_group(worker.pid, signal.SIGKILL)  # what the worker itself started
    _end_orphans()
    for pump in pumps:
        pump.join(timeout=1.0)
    return stopped or _account(record, step, worker.returncode, _oom_kills() > killed_before)


@dataclass(slots=True, kw_only=True)
class _Watch:
    """Bounds on a job as a whole, whichever of its steps runs; `before` are CPU seconds of earlier supervisors."""

    record: JobRecord
    limits: Limits
    lease_s: float
    before: float
    deadline: float = field(init=False)
    wanted_until: float = field(init=False)
    seen: int = -1
    sized: float = 0.0

    def __post_init__(self) -> None:
        self.deadline = time.monotonic() + self.limits.wall_s
        self.wanted_until = self.deadline

    def until_the_end_of(self, worker: "subprocess.Popen[bytes]") -> tuple[str, str] | None:
        """Wait for the worker's end, and bring it about when it must; returns why, if it was us."""
        while True:
            try:
                worker.wait(timeout=_LOOK_S)
            except subprocess.TimeoutExpired:
                why = self._over(time.monotonic(), worker.pid)
                if why:
                    _stop(worker)
                    return why
            else:
                return None

    def _over(self, now: float, worker: int) -> tuple[str, str] | None:
        touched = self.record.lease.stat().st_mtime_ns
        if touched != self.seen:  # by our own clock, which no one sets back
            self.seen, self.wanted_until = touched, now + self.lease_s
        cancelled = self.record.cancelled
        if now >= self.deadline:
            return "timeout", f"it ran longer than its limit of {self.limits.wall_s:g} s"
        if cancelled is not None:
            return "cancelled", cancelled or "it was cancelled"
        if now >= self.wanted_until:
            return "cancelled", f"nobody asked for it for {self.lease_s:g} s"
        if now - self.sized >= _SIZE_S:
            self.sized = now
            with suppress(OSError):  # a full disk: then what was noted last has to do
                self.record.use(self.before + _ended_children_s() + _running_s(worker))
            size = _size(self.record.results) + _size(self.record.folder / "tmp")
            if size > self.limits.output_bytes:
                return "disk_full", f"it wrote {size} bytes; its limit on output is {self.limits.output_bytes}"
        return None


def _ended_children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _running_s(pid: int) -> float:
    """Return the CPU seconds of a process that runs, and of its children that have ended; 0 where nothing tells."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text("ascii", errors="replace").rpartition(")")[2].split()
        return sum(map(int, told[11:15])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError):
        return 0.0


def _size(folder: Path) -> int:
    """Return the bytes in a folder; what goes while we look is not counted."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += (Path(place) / name).lstat().st_size
    return total


def _adopt_orphans() -> None:
    """Become the parent of what our descendants leave behind, so that it can be found, whatever group it joined."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)  # on Linux; elsewhere the process group has to do
    if prctl is not None:
        prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _end_orphans() -> None:
    """Kill what is still there of a worker's descendants, until nothing is."""
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    for _ in range(_GENERATIONS):
        try:
            found = [int(pid) for pid in children.read_text("ascii").split()]
        except OSError:
            return
        if not found:
            return
        for pid in found:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def _stop(worker: "subprocess.Popen[bytes]") -> None:
    _kill_group(worker.pid, signal.SIGTERM)
    try:
        worker.wait(timeout=_GRACE_S)
    except subprocess.TimeoutExpired:
        _kill_group(worker.pid, signal.SIGKILL)
        worker.wait()


def _kill_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return


def _account(record: JobRecord, step: int, code: int, oom_kill: bool) -> tuple[str, str]:
    """Say why a worker that was not stopped by us ended; ("", "") when it is done."""
    said = record.said(step)
    if said is not None and (code == 0) is (said[0] == ""):
        return said
    if code in EXITS:
        return EXITS[code], f"exit code {code}; {_last_words(record)}"
    number = -code if code < 0 else code - 128 if code > 128 else 0
    if number == signal.SIGXCPU:
        return "timeout", f"it used more than its limit of {record.job().limits.cpu_s:g} CPU seconds"
    words = _last_words(record)
    if number == signal.SIGABRT and ("memory allocation" in words or "bad_alloc" in words):
        return "oom", f"out of memory: {words}"
    if number == signal.SIGKILL and oom_kill:
        return "oom", "the kernel killed it because the machine ran out of memory"
    if number:
        known = number in set(signal.Signals)
        return "killed", f"it was killed by {signal.Signals(number).name if known else f'signal {number}'}; {words}"
    return "error", f"it ended with exit code {code} and without a result; {words}"


def _last_words(record: JobRecord) -> str:
    """Return the last line that it wrote, warnings left out: a line of code, which nobody ended by, follows each."""
    log = record.folder / "stderr.log"
    said = log.read_text("utf-8", errors="replace") if log.exists() else ""
    lines = [line.strip() for line in _WARNING.sub("", said).split("\n")]
    return next((line[:300] for line in reversed(lines) if line), "it said nothing")


def _pump(pipe: IO[bytes] | None, log: Path) -> None:
    """Copy up to `LOG_BYTES`; the rest is read, so that the worker never waits for us, counted and dropped."""
    if pipe is None:
        return
    left, dropped = LOG_BYTES, 0
    with log.open("ab", buffering=0) as file:
        while chunk := os.read(pipe.fileno(), 65536):
            kept, left = chunk[:left], max(0, left - len(chunk))
            dropped += len(chunk) - len(kept)
            try:
                file.write(kept)
            except OSError:  # a full disk: the job goes on, its log does not
                left, dropped = 0, dropped + len(kept)
        if dropped:
            file.write(f"\n[{dropped} more bytes were dropped]\n".encode())


def job_environment(temporary: Path) -> Mapping[str, str]:
    """Return what the user's code may see: nothing of the control plane's, hence no secrets; one thread per library."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return kept | dict.fromkeys(_THREADS, "1") | {"PYTHONHASHSEED": "0", "TMPDIR": str(temporary)}


def _oom_kills() -> int:
    try:
        counters = Path("/proc/vmstat").read_text("ascii")
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in counters.splitlines() if line.startswith("oom_kill ")), 0)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), float(sys.argv[2])))
