"""One process for each data folder."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from anew.domain.errors import ConflictError

__all__ = ["alone", "lock_of", "turned", "turning"]

_TURN_S = 30.0


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the lock of this data folder, or say who does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            lock.seek(0)
            raise ConflictError(
                f"{path.parent.parent} is in use by the process with pid {lock.read().strip() or '?'}; stop it first"
            ) from exc
        lock.seek(0)
        lock.truncate()
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def lock_of(state: Path) -> Path:
    """Return the lock of whoever runs the loop of this data folder."""
    return state / "run" / "up.lock"


def turned(state: Path) -> None:
    """Say, by the age of the lock's file, that the loop does not hang; it says so with its database away, too."""
    with suppress(OSError):
        lock_of(state).touch()


def turning(state: Path) -> int | None:
    """Return the pid of the loop that last said so half a minute ago or less; None for none here."""
    lock = lock_of(state)
    with suppress(OSError, ValueError):
        if time.time() - lock.stat().st_mtime <= _TURN_S:
            pid = int(lock.read_text("ascii"))
            os.kill(pid, 0)
            return pid
    return None
