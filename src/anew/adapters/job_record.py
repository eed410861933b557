"""The records of one job on disk, shared by who submits it, who supervises it and who does the work.

``job.json`` what to do · ``lock`` held (flock) by the supervisor as long as it lives · ``started.json`` that it began,
and when · ``lease`` touched by whoever still wants the result · ``cancel`` wish to end it · ``work.json`` what the
worker says of its end · ``result.json`` how it ended, final · ``results/`` what it made · ``stdout.log``,
``stderr.log``, ``supervisor.log``.
"""

import fcntl
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from anew.ports.compute import Job, Limits

__all__ = ["Ended", "JobRecord"]

_RESERVED = 8192
_DETAIL = 2000
_OPEN = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a job ended: `reason` is empty when it is done."""

    reason: str = ""
    detail: str = ""
    wall_s: float = 0.0
    cpu_s: float = 0.0


@dataclass(frozen=True, slots=True)
class JobRecord:
    """The folder of one job."""

    folder: Path

    @property
    def results(self) -> Path:
        """Where the job writes."""
        return self.folder / "results"

    @property
    def lease(self) -> Path:
        """File that shows by its change that somebody wants the result."""
        return self.folder / "lease"

    @property
    def cancelled(self) -> bool:
        """Has somebody asked to end it?"""
        return (self.folder / "cancel").exists()

    def create(self, job: Job) -> None:
        """Write what to do, unless it is written: the first submission counts."""
        self.results.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.touch()
        if not (self.folder / "job.json").exists():
            plain = {"id": job.id, "entry": job.entry, "arguments": dict(job.arguments), "limits": asdict(job.limits)}
            self._write("job.json", json.dumps(plain))

    def job(self) -> Job:
        """Return what to do."""
        plain = json.loads((self.folder / "job.json").read_text("utf-8"))
        return Job(**plain | {"limits": Limits(**plain["limits"])})

    def touch(self) -> None:
        """Show that the result is still wanted."""
        self.lease.touch()

    def cancel(self) -> None:
        """Ask the supervisor to end the job."""
        (self.folder / "cancel").touch()

    def lock(self) -> int | None:
        """Take the lock and return its descriptor; None when another has it. The kernel frees it when we die."""
        descriptor = os.open(self.folder / "lock", _OPEN, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def locked(self) -> bool:
        """Does a supervisor live?"""
        descriptor = os.open(self.folder / "lock", _OPEN, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def begin(self, started: Mapping[str, float]) -> None:
        """Record that the job begins; reserves the room of its result, so that a full disk cannot hide its end."""
        draft = self.folder / ".result"
        with draft.open("wb") as file:
            file.write(b" " * _RESERVED)
            file.flush()
            os.fsync(file.fileno())
        self._write("started.json", json.dumps(dict(started)))

    def started(self) -> Mapping[str, float] | None:
        """Return what `begin` recorded, or None."""
        found = self._read("started.json")
        return None if found is None else {key: float(str(value)) for key, value in found.items()}

    def end(self, ended: Ended) -> None:
        """Record how it ended, whole or not at all, in the room that was reserved."""
        plain = asdict(ended) | {"detail": ended.detail[:_DETAIL]}
        draft = self.folder / ".result"
        with draft.open("r+b") as file:
            file.write(json.dumps(plain).encode().ljust(_RESERVED))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.folder / "result.json")
        self._sync()

    def ended(self) -> Ended | None:
        """Return how it ended, or None while it has not."""
        found = self._read("result.json")
        return None if found is None else Ended(**found)  # type: ignore[arg-type]  # written by `end`

    def say(self, reason: str, detail: str) -> None:
        """Record the worker's own account of its end."""
        self._write("work.json", json.dumps({"reason": reason, "detail": detail[:_DETAIL]}))

    def said(self) -> tuple[str, str] | None:
        """Return the worker's own account: reason (empty: done) and detail."""
        found = self._read("work.json")
        return None if found is None else (str(found["reason"]), str(found["detail"]))

    def _read(self, name: str) -> dict[str, object] | None:
        try:
            text = (self.folder / name).read_text("utf-8")
        except FileNotFoundError:
            return None
        found: dict[str, object] = json.loads(text)
        return found

    def _write(self, name: str, text: str) -> None:
        draft = self.folder / f".{name}.{os.getpid()}"
        with draft.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.folder / name)
        self._sync()

    def _sync(self) -> None:
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
