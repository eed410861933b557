"""What the machine has to offer a project that lies in some folder: Python, packages, disk, clock, limits."""

import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from packaging.requirements import Requirement

import anew
from anew.adapters.file_system import MEMORY, NETWORK, mounted_on
from anew.domain.errors import AnewError
from anew.domain.health import Finding

__all__ = ["MACHINE"]

_MB = 1 << 20
_OLDEST_PYTHON = (3, 11)
_LEAST_FREE_MB, _LITTLE_FREE_MB = 256, 2048
_LEAST_FILES, _LITTLE_FILES = 256, 1024
_SLOW_SYNC_MS = 50.0
_SYNCS = 7
_LITTLE_MEMORY_MB = 1024
_CHILD_S = 60.0


def _python(_: Path) -> Finding:
    found = platform.python_version()
    if sys.version_info < _OLDEST_PYTHON:
        return Finding.bad("python", found, "install Python 3.11 or newer and make the environment anew with it")
    return Finding.good("python", f"{found} ({platform.machine()}, {os.cpu_count()} processors)")


def _packages(_: Path) -> Finding:
    wrong, count = [], 0
    for text in requires("anew") or ():
        needed = Requirement(text)
        if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
            continue
        count += 1
        try:
            found = version(needed.name)
        except PackageNotFoundError:
            wrong.append(f"{needed.name} is missing")
            continue
        if not needed.specifier.contains(found, prereleases=True):
            wrong.append(f"{needed.name} {found} is not {needed.specifier}")
    if wrong:
        return Finding.bad("packages", "; ".join(wrong), "pip install --upgrade anew, in an environment of its own")
    return Finding.good("packages", f"anew {anew.__version__}, {count} packages as it needs them")


def _lightgbm(_: Path) -> Finding:
    done = _child("import lightgbm")
    if done.returncode:
        fix = "install the system's OpenMP: apt-get install libgomp1, dnf install libgomp, or brew install libomp"
        return Finding.bad("openmp", _last_line(done.stderr), fix)
    return Finding.good("openmp", "LightGBM loads")


def _file_system(folder: Path) -> Finding:
    kind, point = mounted_on(folder)
    if kind in NETWORK:
        fix = "put the project on a local disk: SQLite cannot keep facts safe on a network file system"
        return Finding.bad("file system", f"{kind} at {point}", fix)
    if kind in MEMORY:
        return Finding.warning("file system", f"{kind} at {point}: gone with the power", "put the project on a disk")
    return (
        Finding.good("file system", f"{kind} at {point}") if kind else Finding.skipped("file system", "not told here")
    )


def _sync(folder: Path) -> Finding:
    probe = folder / f".anew-probe-{os.getpid()}"
    took = []
    try:
        descriptor = os.open(probe, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            for number in range(_SYNCS):
                began = time.perf_counter()
                os.write(descriptor, bytes([number]) * 4096)
                os.fdatasync(descriptor)
                took.append(1000 * (time.perf_counter() - began))
            kept = os.pread(descriptor, 4096 * _SYNCS, 0)
        finally:
            os.close(descriptor)
    except OSError as exc:
        fix = "look at the disk and at the folder's permissions: nothing can be acknowledged without a sync"
        return Finding.bad("fsync", f"{exc.strerror} in {folder}", fix)
    finally:
        probe.unlink(missing_ok=True)
    if kept != b"".join(bytes([number]) * 4096 for number in range(_SYNCS)):
        return Finding.bad("fsync", "what was written and synced is read back otherwise", "replace the disk")
    median = statistics.median(took)
    found = f"{median:.2f} ms for 4 KB (median of {_SYNCS})"
    if median > _SLOW_SYNC_MS:
        return Finding.warning("fsync", found, "use a faster disk: every acknowledgement waits for a sync")
    return Finding.good("fsync", found)


def _disk(folder: Path) -> Finding:
    usage = shutil.disk_usage(folder)
    free = usage.free // _MB
    found = f"{free:,} MB free of {usage.total // _MB:,} MB"
    fix = "free some space: a full disk stops acknowledging and training"
    if free < _LEAST_FREE_MB:
        return Finding.bad("disk space", found, fix)
    return Finding.warning("disk space", found, fix) if free < _LITTLE_FREE_MB else Finding.good("disk space", found)


def _inodes(folder: Path) -> Finding:
    found = os.statvfs(folder)
    if not found.f_files:
        return Finding.skipped("inodes", "this file system does not count them")
    share = found.f_favail / found.f_files
    said = f"{found.f_favail:,} free of {found.f_files:,}"
    if share < 0.01:
        return Finding.bad("inodes", said, "delete small files: no new file can be made soon")
    return Finding.good("inodes", said)


def _open_files(_: Path) -> Finding:
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return Finding.good("open files", "no limit")
    fix = "raise it: ulimit -n 4096, or LimitNOFILE=4096 in the service's unit"
    if soft < _LEAST_FILES:
        return Finding.bad("open files", f"at most {soft}", fix)
    if soft < _LITTLE_FILES:
        return Finding.warning("open files", f"at most {soft}", fix)
    return Finding.good("open files", f"at most {soft:,}")


def _file_size(_: Path) -> Finding:
    soft, _hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    if soft == resource.RLIM_INFINITY:
        return Finding.good("file size", "no limit")
    return Finding.warning("file size", f"at most {soft:,} bytes", "raise it: ulimit -f unlimited")


def _memory(_: Path) -> Finding:
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:
        return Finding.skipped("memory", "not told here")
    told = {name: int(value.split()[0]) for name, _, value in (line.partition(":") for line in lines)}
    free = told.get("MemAvailable", 0) // 1024
    said = f"{free:,} MB available of {told.get('MemTotal', 0) // 1024:,} MB"
    if free < _LITTLE_MEMORY_MB:
        return Finding.warning("memory", said, "end other programs: a training run needs about 1 GB")
    return Finding.good("memory", said)


def _clock(folder: Path) -> Finding:
    now = datetime.now(UTC)
    installed = datetime.fromtimestamp(Path(anew.__file__).stat().st_mtime, UTC)
    probe = folder / f".anew-clock-{os.getpid()}"
    try:
        probe.touch()
        apart = abs(probe.stat().st_mtime - time.time())
    finally:
        probe.unlink(missing_ok=True)
    fix = "set the clock (timedatectl set-ntp true): event time and leases follow it"
    if now < installed:
        return Finding.bad("clock", f"{now:%Y-%m-%d %H:%M} UTC, before anew was installed ({installed:%Y-%m-%d})", fix)
    if apart > 60:
        return Finding.bad("clock", f"the disk's clock is {apart:.0f} s away from this machine's", fix)
    return Finding.good("clock", f"{now:%Y-%m-%d %H:%M:%S} UTC, later than the installation")


def _zones(_: Path) -> Finding:
    try:
        ZoneInfo("Europe/Berlin")
    except (ZoneInfoNotFoundError, OSError):
        return Finding.warning("time zones", "no database of zones", "apt-get install tzdata, or pip install tzdata")
    return Finding.good("time zones", "known")


def _sandbox(_: Path) -> Finding:
    done = _child("from anew.adapters.confinement import confine; print(*confine([], []))")
    held = done.stdout.split()
    if len(held) == 2:
        return Finding.good("sandbox", f"training is confined by {' and '.join(held)}")
    fix = "use Linux 5.13 or newer, or train in a container; train: {sandbox: required} refuses to train without"
    return Finding.warning("sandbox", f"this kernel gives {' and '.join(held) or 'nothing'}", fix)


def _child(code: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603  our own interpreter and code
            [sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=_CHILD_S, check=False
        )
    except subprocess.TimeoutExpired as exc:
        raise AnewError(f"{code!r} took more than {_CHILD_S:.0f} s; try again when the machine is less busy") from exc


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it failed and said nothing"])[-1]


MACHINE: Mapping[str, Callable[[Path], Finding]] = {
    "python": _python,
    "packages": _packages,
    "openmp": _lightgbm,
    "file system": _file_system,
    "fsync": _sync,
    "disk space": _disk,
    "inodes": _inodes,
    "open files": _open_files,
    "file size": _file_size,
    "memory": _memory,
    "clock": _clock,
    "time zones": _zones,
    "sandbox": _sandbox,
}
"""What is looked at, by the name of its finding; each is given the folder that a project lies in, or is to lie in."""
