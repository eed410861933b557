"""The process that watches over one job; started as ``-m anew.adapters.job_supervisor FOLDER LEASE_S``.

It outlives whoever submitted the job, so that a crash of the control plane costs no training. It does not live for
ever: it ends the worker at its wall limit, when it is cancelled, and when nobody has asked for the job for the time of
its lease. How the worker ended, a signal included, is known to its parent alone; that is why there are two processes.
"""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from threading import Thread
from typing import IO

from anew.adapters.job_record import Ended, JobRecord
from anew.adapters.job_worker import EXITS

__all__ = ["main"]

LOG_BYTES = 1 << 20
_LOOK_S = 0.2
_GRACE_S = 2.0
_KEPT = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "PYTHONPATH", "TZ", "VIRTUAL_ENV")
_THREADS = ("MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS")


def main(folder: Path, lease_s: float) -> int:
    """Detach, run the job unless another supervisor does or did, and record its end. Returns when it has begun."""
    record = JobRecord(folder)
    lock = _lock(record)
    if lock is None or record.started() is not None or record.ended() is not None:
        return 0
    record.begin({"pid": 0, "at": time.time()})
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
        if lock is not None or record.started() is not None:
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
    began, killed_before = time.monotonic(), _oom_kills()
    temporary = record.folder / "tmp"
    temporary.mkdir(exist_ok=True, mode=0o700)
    worker = subprocess.Popen(  # noqa: S603 - our own interpreter on our own module
        [sys.executable, "-P", "-m", "anew.adapters.job_worker", str(record.folder), str(os.getpid())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_environment(temporary),
        process_group=0,
        cwd=record.results,
    )
    pumps = [
        Thread(target=_pump, args=(pipe, record.folder / f"{name}.log"), daemon=True)
        for name, pipe in (("stdout", worker.stdout), ("stderr", worker.stderr))
    ]
    for pump in pumps:
        pump.start()
    stopped = _watch(record, worker, lease_s)
    _kill_group(worker.pid, signal.SIGKILL)  # what the worker itself started
    for pump in pumps:
        pump.join(timeout=1.0)
    reason, detail = stopped or _account(record, worker.returncode, _oom_kills() > killed_before)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    record.end(
        Ended(reason=reason, detail=detail, wall_s=time.monotonic() - began, cpu_s=used.ru_utime + used.ru_stime)
    )


def _watch(record: JobRecord, worker: "subprocess.Popen[bytes]", lease_s: float) -> tuple[str, str] | None:
    """Wait for the worker's end, and bring it about when it must; returns why, if it was us."""
    wall_s = record.job().limits.wall_s
    deadline = wanted_until = time.monotonic() + wall_s
    seen = -1
    while True:
        try:
            worker.wait(timeout=_LOOK_S)
        except subprocess.TimeoutExpired:
            now, touched = time.monotonic(), record.lease.stat().st_mtime_ns
            if touched != seen:  # by our own clock, which no one sets back
                seen, wanted_until = touched, now + lease_s
            why = None
            if now >= deadline:
                why = "timeout", f"it ran longer than its limit of {wall_s:g} s"
            elif record.cancelled:
                why = "cancelled", "it was cancelled"
            elif now >= wanted_until:
                why = "cancelled", f"nobody asked for it for {lease_s:g} s"
            if why:
                _stop(worker)
                return why
        else:
            return None


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


def _account(record: JobRecord, code: int, oom_kill: bool) -> tuple[str, str]:
    """Say why a worker that was not stopped by us ended; ("", "") when it is done."""
    said = record.said()
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
    log = record.folder / "stderr.log"
    lines = log.read_text("utf-8", errors="replace").split("\n") if log.exists() else []
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "it said nothing")


def _pump(pipe: IO[bytes] | None, log: Path) -> None:
    """Copy up to `LOG_BYTES`; the rest is read, so that the worker never waits for us, counted and dropped."""
    if pipe is None:
        return
    left, dropped = LOG_BYTES, 0
    with log.open("wb", buffering=0) as file:
        while chunk := os.read(pipe.fileno(), 65536):
            kept, left = chunk[:left], max(0, left - len(chunk))
            dropped += len(chunk) - len(kept)
            try:
                file.write(kept)
            except OSError:  # a full disk: the job goes on, its log does not
                left, dropped = 0, dropped + len(kept)
        if dropped:
            file.write(f"\n[{dropped} more bytes were dropped]\n".encode())


def _environment(temporary: Path) -> Mapping[str, str]:
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
