"""The records of one job on disk, shared by who submits it, who supervises it and who does the work.

``job.json`` what to do · ``lock`` held (flock) by the supervisor as long as it lives · ``started.json`` that it began,
and when and how often · ``used.json`` the CPU time so far · ``lease`` touched by whoever still wants the result ·
``cancel`` wish to end it · ``work.N.json`` what the worker of step N says of its end · ``result.json`` how it ended,
final · ``results/`` what it made · ``stdout.log``, ``stderr.log``, ``supervisor.log``.
"""

import fcntl
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from anew.domain.errors import IntegrityError
from anew.ports.compute import Job, Limits, Request, Step

__all__ = ["Ended", "JobRecord", "job_from_json", "job_to_json"]

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
    def cancelled(self) -> str | None:
        """Return why somebody asked to end it, None when nobody did."""
        try:
            return (self.folder / "cancel").read_text("utf-8", errors="replace")
        except FileNotFoundError:
            return None

    def create(self, job: Job) -> None:
        """Write what to do, unless it is written: the first submission counts."""
        self.results.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.touch()
        if not (self.folder / "job.json").exists():
            self._write("job.json", job_to_json(job))

    def job(self) -> Job:
        """Return what to do."""
        return job_from_json((self.folder / "job.json").read_text("utf-8"))

    def touch(self) -> None:
        """Show that the result is still wanted."""
        self.lease.touch()

    def cancel(self, why: str) -> None:
        """Ask the supervisor to end the job."""
        if not (self.folder / "cancel").exists():
            self._write("cancel", why[:_DETAIL])

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

    def begun(self) -> int:
        """Return how often it was begun."""
        found = self.started()
        return 0 if found is None else int(found["begun"])

    def use(self, cpu_s: float) -> None:
        """Note the CPU seconds used so far, by earlier supervisors too; not durable, since it is noted again soon."""
        draft = self.folder / ".used.json"
        draft.write_text(json.dumps({"cpu_s": cpu_s}), encoding="utf-8")
        draft.replace(self.folder / "used.json")

    def used(self) -> float:
        """Return what `use` noted last; 0 of nothing that can be read."""
        try:
            found = json.loads((self.folder / "used.json").read_text("utf-8"))
            return float(found["cpu_s"])
        except (FileNotFoundError, KeyError, TypeError, ValueError):
            return 0.0

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

    def account(self, step: int) -> int:
        """Open the file for the account of a step's worker, which may open none in this folder once it is confined."""
        return os.open(self._account(step), os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600)

    @staticmethod
    def say(account: int, reason: str, detail: str) -> None:
        """Record the worker's own account of its end."""
        os.write(account, json.dumps({"reason": reason, "detail": detail[:_DETAIL]}).encode())
        os.fsync(account)

    def said(self, step: int) -> tuple[str, str] | None:
        """Return the account of a step's worker, reason (empty: done) and detail; None when there is no whole one."""
        try:
            found = json.loads(self._account(step).read_text("utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return str(found["reason"]), str(found["detail"])

    def _account(self, step: int) -> Path:
        return self.folder / f"work.{step}.json"

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


def job_to_json(job: Job) -> str:
    """Write what to do as JSON."""
    return json.dumps(asdict(job) | {"arguments": dict(job.arguments)})


def job_from_json(text: str) -> Job:
    """Read what `job_to_json` wrote, now or before there were `files`, `request` and `trial`.

    Raises
    ------
    IntegrityError
        It is no job.
    """
    try:
        plain = json.loads(text)
        read = {
            "limits": Limits(**plain["limits"]),
            "reads": _paths(plain["reads"]),
            "then": tuple(Step(entry=each["entry"], reads=_paths(each["reads"])) for each in plain["then"]),
            "files": _paths(plain.get("files")),
            "request": Request(**plain.get("request", {})),
        }
        return Job(**plain | read)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as exc:
        raise IntegrityError(f"what a job is to do cannot be read ({exc}); submit it again") from exc


def _paths(plain: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if plain is None else tuple(plain)
