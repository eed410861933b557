"""Runs ``anew up`` in forked children, each to be killed at a boundary: ``loop_launcher.py PROJECT PORT``.

The imports, two seconds of them, are made once, here, where no thread has begun; each child is a process of its own.
"""

import importlib
import os
import signal
import sys
import time
from pathlib import Path

from anew.cli import main

PATIENCE_S = 60.0


def launch(project: Path, port: str) -> None:
    """Bring the project up for each boundary read, and say the code with which it ended; none for not at all."""
    for module in ("anew.cli.up", "anew.adapters.dbos_runtime"):
        importlib.import_module(module)
    for kill in map(str.strip, sys.stdin):
        child = os.fork()
        if not child:
            os.environ["ANEW_KILL"] = kill
            for name, standard in (("out", 1), ("err", 2)):
                os.dup2(os.open(project / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT), standard)
            sys.argv = ["anew", "up", str(project), "--port", port, "--json"]
            main()
            os._exit(0)
        print(_code(child), flush=True)  # noqa: T201 - the test reads it


def _code(child: int) -> int | None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


if __name__ == "__main__":
    launch(Path(sys.argv[1]), sys.argv[2])
