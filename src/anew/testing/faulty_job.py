"""Jobs that go wrong in all the ways that jobs go wrong: entries for tests of a compute."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from anew.domain.errors import TrainingError

__all__ = [
    "abort_out_of_memory",
    "allocate",
    "chatter",
    "count",
    "exit_with",
    "fill_disk",
    "kill",
    "leave_child",
    "refuse",
    "show_environment",
    "sleep",
    "spin",
    "write_much",
]


def count(arguments: Mapping[str, str], folder: Path) -> None:
    """Add a line to the file `arguments` names as ``tally``, wait ``seconds``, and write a result."""
    with Path(arguments["tally"]).open("a", encoding="ascii") as file:
        file.write(f"{os.getpid()}\n")
    time.sleep(float(arguments.get("seconds", "0")))
    (folder / "made.txt").write_text("made", encoding="ascii")


def kill(arguments: Mapping[str, str], folder: Path) -> None:  # noqa: ARG001 - an entry's arguments
    """End by the signal that `arguments` names as ``signal``."""
    os.kill(os.getpid(), signal.Signals[arguments["signal"]])
    time.sleep(60)


def exit_with(arguments: Mapping[str, str], folder: Path) -> None:  # noqa: ARG001 - an entry's arguments
    """End at once with the exit code ``code``, as a container's runtime or a C library does."""
    os._exit(int(arguments["code"]))


def allocate(arguments: Mapping[str, str], folder: Path) -> None:  # noqa: ARG001 - an entry's arguments
    """Take ``bytes`` bytes of memory."""
    bytearray(int(arguments["bytes"]))


def abort_out_of_memory(arguments: Mapping[str, str], folder: Path) -> None:  # noqa: ARG001 - an entry's arguments
    """Die as programs in Rust do when memory runs out."""
    sys.stderr.write("memory allocation of 123456 bytes failed\n")
    sys.stderr.flush()
    os.abort()


def sleep(arguments: Mapping[str, str], folder: Path) -> None:  # noqa: ARG001 - an entry's arguments
    """Wait ``seconds``; with ``stubborn``, through SIGTERM too. Writes its process id to the file ``pid``."""
    if arguments.get("stubborn"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "pid" in arguments:
        Path(arguments["pid"]).write_text(f"{os.getpid()} {os.getppid()}", encoding="ascii")
    time.sleep(float(arguments["seconds"]))


def spin(arguments: Mapping[str, str], folder: Path) -> None:  # noqa: ARG001 - an entry's arguments
    """Burn CPU for ever."""
    while True:
        pass


def write_much(arguments: Mapping[str, str], folder: Path) -> None:
    """Write ``bytes`` bytes into a result."""
    (folder / "big.bin").write_bytes(bytes(int(arguments["bytes"])))


def fill_disk(arguments: Mapping[str, str], folder: Path) -> None:
    """Write until the disk of the results is full, or pretend that it is with ``pretend``."""
    if arguments.get("pretend"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with (folder / "all.bin").open("wb") as file:
        while True:
            file.write(bytes(1 << 16))


def chatter(arguments: Mapping[str, str], folder: Path) -> None:  # noqa: ARG001 - an entry's arguments
    """Write ``bytes`` bytes to each of stdout and stderr."""
    for stream in (sys.stdout, sys.stderr):
        stream.write("x" * int(arguments["bytes"]))


def refuse(arguments: Mapping[str, str], folder: Path) -> None:  # noqa: ARG001 - an entry's arguments
    """Raise the TrainingError of this ``reason``, or any error without one."""
    if "reason" in arguments:
        raise TrainingError(arguments["reason"], "as asked")
    raise RuntimeError("something odd")


def leave_child(arguments: Mapping[str, str], folder: Path) -> None:  # noqa: ARG001 - an entry's arguments
    """End well and leave a process behind that holds our pipes; its id goes to the file ``pid``."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(arguments["pid"]).write_text(str(child.pid), encoding="ascii")


def show_environment(arguments: Mapping[str, str], folder: Path) -> None:  # noqa: ARG001 - an entry's arguments
    """Write the environment and the import path as seen inside a job."""
    lines = [*(f"{name}={value}" for name, value in sorted(os.environ.items())), *sys.path, str(Path.cwd())]
    (folder / "environment.txt").write_text("\n".join(lines), encoding="utf-8")
