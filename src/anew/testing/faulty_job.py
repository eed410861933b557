"""Jobs that go wrong in all the ways that jobs go wrong: entries for tests of a compute."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
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
    "leave_daemon",
    "refuse",
    "relay",
    "resume",
    "scatter",
    "second",
    "show_environment",
    "sleep",
    "spin",
    "trespass",
    "write",
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
    """Burn CPU for ever; ``pid`` is a file for its own and its parent's process id."""
    if "pid" in arguments:
        Path(arguments["pid"]).write_text(f"{os.getpid()} {os.getppid()}", encoding="ascii")
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


def write(arguments: Mapping[str, str], folder: Path) -> None:
    """Write ``text`` into the result called ``file``."""
    (folder / arguments["file"]).write_text(arguments["text"], encoding="utf-8")


def second(arguments: Mapping[str, str], folder: Path) -> None:
    """Say in a result what the step before left."""
    (folder / "seen.txt").write_text((folder / arguments["file"]).read_text("utf-8"), encoding="utf-8")


def resume(arguments: Mapping[str, str], folder: Path) -> None:
    """Add a line to a result; wait ``seconds`` the first time."""
    with (folder / "begun.txt").open("a", encoding="ascii") as file:
        file.write(f"{os.getpid()} {os.getppid()}\n")
    if len((folder / "begun.txt").read_text("ascii").splitlines()) <= int(arguments["times"]):
        time.sleep(float(arguments["seconds"]))


def relay(arguments: Mapping[str, str], folder: Path) -> None:
    """Say in a result what the order ``run`` names, and what is in the file that it calls ``rows``."""
    order = json.loads(Path(arguments["run"]).read_text("utf-8"))
    said = {**order, "text": Path(order["rows"]).read_text("utf-8")}
    (folder / "relayed.json").write_text(json.dumps(said), encoding="utf-8")


def scatter(arguments: Mapping[str, str], folder: Path) -> None:
    """Write ``files`` files of ``bytes`` bytes each, then wait."""
    for k in range(int(arguments["files"])):
        (folder / f"{k}.bin").write_bytes(bytes(int(arguments["bytes"])))
    time.sleep(60)


def leave_daemon(arguments: Mapping[str, str], folder: Path) -> None:  # noqa: ARG001 - an entry's arguments
    """End well and leave a process of another session behind, as a daemon would be; its id goes to the file ``pid``."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    Path(arguments["pid"]).write_text(str(child.pid), encoding="ascii")


def trespass(arguments: Mapping[str, str], folder: Path) -> None:
    """Try what user code is not to do, and say in ``said.json`` what became of each attempt."""
    outside, secret, peer = Path(arguments["outside"]), Path(arguments["secret"]), int(arguments["peer"])
    code = f"import socket; socket.create_connection(('127.0.0.1', {arguments['port']}), timeout=5)"
    attempts: Mapping[str, Callable[[], object]] = {
        "write": lambda: (outside / "new").write_text("x", encoding="ascii"),
        "change": lambda: secret.write_text("x", encoding="ascii"),
        "delete": secret.unlink,
        "move": lambda: secret.rename(folder / "moved"),
        "link": lambda: os.link(secret, folder / "linked"),
        "list": lambda: list(outside.iterdir()),
        "read": secret.read_bytes,
        "read_by_link": lambda: _read_by_link(secret, folder / "symbolic"),
        "environment": Path(f"/proc/{peer}/environ").read_bytes,
        "memory": Path(f"/proc/{peer}/mem").read_bytes,
        "signal": lambda: os.kill(peer, 0),
        "connect": lambda: socket.create_connection(("127.0.0.1", int(arguments["port"])), timeout=5),
        "datagram": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
        "unix": lambda: socket.socket(socket.AF_UNIX),
        "child": lambda: subprocess.run([sys.executable, "-c", code], check=True, stderr=subprocess.DEVNULL),  # noqa: S603 - ours
        "own": lambda: (folder / "own").write_text("x", encoding="ascii"),
        "temporary": lambda: tempfile.TemporaryFile().close(),
        "allowed": Path(arguments["allowed"]).read_bytes,
        "change_allowed": lambda: Path(arguments["allowed"]).write_text("x", encoding="ascii"),
    }
    said = {}
    for name, attempt in attempts.items():
        try:
            attempt()
            said[name] = "done"
        except (OSError, subprocess.CalledProcessError) as exc:
            said[name] = type(exc).__name__
    (folder / "said.json").write_text(json.dumps(said), encoding="ascii")


def _read_by_link(secret: Path, link: Path) -> bytes:
    link.symlink_to(secret)
    return link.read_bytes()
