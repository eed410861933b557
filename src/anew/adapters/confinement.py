"""Keeps this process, and all that it starts, from files and from the network: by Landlock and seccomp.

It needs no privileges, and gives up those that it has. It holds for threads that start later, hence has to come before
anything is imported that starts some. There is no way back.
"""

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["LANDLOCK", "SECCOMP", "confine", "interpreter_paths"]

LANDLOCK, SECCOMP = "landlock", "seccomp"

_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2
_CAPABILITIES = 0x20080522
_CREATE, _ADD, _RESTRICT = 444, 445, 446

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = (1 << bit for bit in range(4))
_MAKE_DEVICES = 1 << 6 | 1 << 11
_FIRST_RIGHTS, _REFER, _TRUNCATE, _IOCTL = (1 << 13) - 1, 1 << 13, 1 << 14, 1 << 15
_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL
_READING = _EXECUTE | _READ_FILE | _READ_DIR
_TCP = 0b11  # bind and connect
_OUTSIDE = 0b11  # abstract Unix sockets, signals

_SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/etc", "/proc", "/sys/devices", "/sys/fs/cgroup")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")

_MACHINES = {"x86_64": (0xC000003E, (41, 101, 310, 311, 425)), "aarch64": (0xC00000B7, (198, 117, 270, 271, 425))}
"""By machine: its name to the kernel, and the numbers of socket, ptrace, process_vm_readv, process_vm_writev and
io_uring_setup, which opens sockets too."""


def interpreter_paths() -> tuple[str, ...]:
    """Return what a Python program has to read: the system's libraries, the interpreter, and the import path."""
    libraries = os.environ.get("LD_LIBRARY_PATH", "").split(":")
    own = {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix, *sys.path, *libraries}
    return (*_SYSTEM, *sorted(filter(os.path.isabs, own)))


def confine(reads: Sequence[str], writes: Sequence[str]) -> tuple[str, ...]:
    """Leave this process `reads` to read and run, `writes` to do anything with, and no network.

    Returns what holds: `LANDLOCK` for files, `SECCOMP` for the network (no socket can be made, Unix ones included).
    What this kernel cannot do is missing. Paths that are not there are left out.
    """
    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, "prctl") or library.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        return ()
    # Landlock keeps the memory and the environment of other processes from us, unless we may look by a capability.
    library.capset(struct.pack("Ii", _CAPABILITIES, 0), bytes(24))
    held = (LANDLOCK, _restrict_files(library, reads, writes)), (SECCOMP, _forbid_sockets(library))
    return tuple(name for name, done in held if done)


def _restrict_files(library: ctypes.CDLL, reads: Sequence[str], writes: Sequence[str]) -> bool:
    version = library.syscall(_CREATE, None, 0, 1)
    if version < 1:
        return False
    rights = _FIRST_RIGHTS | (_REFER if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    rights |= _IOCTL if version >= 5 else 0
    handled = struct.pack("QQQ", rights, _TCP if version >= 4 else 0, _OUTSIDE if version >= 6 else 0)
    handled = handled[: 8 if version < 4 else 16 if version < 6 else 24]
    rules = library.syscall(_CREATE, handled, len(handled), 0)
    if rules < 0:
        return False
    try:
        for path in (*interpreter_paths(), *reads):
            _allow(library, rules, path, _READING & rights)
        for path in _DEVICES:
            _allow(library, rules, path, (_READ_FILE | _WRITE_FILE) & rights)
        for path in writes:
            _allow(library, rules, path, rights & ~_MAKE_DEVICES)
        return not library.syscall(_RESTRICT, rules, 0)
    finally:
        os.close(rules)


def _allow(library: ctypes.CDLL, rules: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        allowed = rights if Path(path).is_dir() else rights & _ON_FILES
        rule = struct.pack("=Qi", allowed, place)
        if library.syscall(_ADD, rules, 1, rule, 0):
            raise OSError(ctypes.get_errno(), f"Landlock takes no rule for {path}")
    finally:
        os.close(place)


def _forbid_sockets(library: ctypes.CDLL) -> bool:
    """Have the kernel answer EACCES to a list of calls; calls of another architecture are all refused."""
    if platform.machine() not in _MACHINES:
        return False
    machine, calls = _MACHINES[platform.machine()]
    count = len(calls)
    load, equal, at_least, end = 0x20, 0x15, 0x35, 0x06
    program = [
        (load, 0, 0, 4),
        (equal, 0, count + 3, machine),
        (load, 0, 0, 0),
        (at_least, count + 1, 0, 0x40000000),
        *((equal, count - k, 0, number) for k, number in enumerate(calls)),
        (end, 0, 0, 0x7FFF0000),
        (end, 0, 0, 0x00050000 | errno.EACCES),
    ]
    code = b"".join(struct.pack("HBBI", *line) for line in program)
    kept = ctypes.create_string_buffer(code, len(code))
    told = struct.pack("HxxxxxxP", len(program), ctypes.addressof(kept))
    return not library.prctl(_SET_SECCOMP, _FILTER, ctypes.c_char_p(told), 0, 0)
