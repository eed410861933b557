"""Routing as signed files, and what the workers say of themselves: control and serving share nothing but a folder."""

import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from anew.adapters.local_disk import LocalDisk
from anew.adapters.process_table import process_started
from anew.adapters.signing import Signer, Verifier
from anew.domain.errors import AnewError, IntegrityError, PolicyError, UnavailableError
from anew.domain.facts.rollout import Stage, TrafficShifted
from anew.ports.disk import Disk
from anew.ports.traffic import WorkerStatus

__all__ = ["FileTraffic"]

SCHEMA: Final = 1
_CONTEXT: Final = b"anew.routing/1\n"


class _Routing(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A TrafficShifted as it stands in its file."""

    model: str
    at: datetime
    id: str
    cause: str
    epoch: int
    stage: Stage
    share: float
    champion: tuple[str, str]
    challenger: tuple[str, str]
    fallback: tuple[str, str]


class _File(msgspec.Struct, kw_only=True):
    schema: int
    routing: msgspec.Raw
    signature: str


_FIELDS: Final = _Routing.__struct_fields__


@dataclass(slots=True)
class FileTraffic:
    """A `Traffic` in the ``.anew`` folder of a project: ``routing/``, ``workers/`` and ``run/control``.

    Thread- and process-safe. Publishing needs a `signer`; reading needs only the `verifier`.

    Parameters
    ----------
    state
        The ``.anew`` folder.
    """

    state: Path
    verifier: Verifier
    signer: Signer | None = None
    disk: Disk = field(default_factory=LocalDisk)
    _seen: dict[str, tuple[tuple[int, int, int], TrafficShifted]] = field(default_factory=dict, init=False)

    def publish(self, routing: TrafficShifted) -> None:
        """Write the routing unless one of its epoch or a greater one is in force; see `anew.ports.traffic.Traffic`."""
        if self.signer is None:
            raise PolicyError("this process may not publish routing: it was given no signing key")
        path = self._routing(routing.model)
        body = msgspec.json.encode({name: getattr(routing, name) for name in _FIELDS})
        file = _File(schema=SCHEMA, routing=msgspec.Raw(body), signature=self.signer.sign(_CONTEXT + body))
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with _locked(path.with_suffix(".lock")):
                present = self.published(routing.model)
                if present is None or present.epoch < routing.epoch:
                    self._write(path, msgspec.json.encode(file), durable=True)
        except OSError as exc:
            if isinstance(exc, AnewError):
                raise
            raise UnavailableError(f"routing {routing.epoch} of {routing.model} was not published: {exc}") from exc

    def published(self, model: str) -> TrafficShifted | None:
        """Return the order in force, verified; cheap while the file does not change."""
        path = self._routing(model)
        try:
            found = path.stat()
            mark = (found.st_mtime_ns, found.st_ino, found.st_size)
            seen = self._seen.get(model)
            if seen is not None and seen[0] == mark:
                return seen[1]
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise UnavailableError(f"routing of {model} cannot be read: {exc}") from exc
        routing = self._verified(path, data)
        if routing.model != model:
            raise IntegrityError(f"{path} routes {routing.model}, not {model}; restore the file, or publish again")
        self._seen[model] = (mark, routing)
        return routing

    def applied(self, model: str) -> tuple[int, int]:
        """Return (workers alive, smallest epoch that they answer by)."""
        alive = self.workers(model)
        return len(alive), min((status.epoch for status in alive), default=0)

    def report(self, status: WorkerStatus) -> None:
        """Replace the worker's file at once; a report needs no sync: after a crash there is no worker."""
        path = self.state / "workers" / f"{status.model}-{status.worker}.json"
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._write(path, msgspec.json.encode(status), durable=False)
        except OSError as exc:
            raise UnavailableError(f"the status of worker {status.worker} cannot be written: {exc}") from exc

    def workers(self, model: str) -> Sequence[WorkerStatus]:
        """Return the reports of living workers; a file that cannot be read counts as no worker's."""
        found: list[WorkerStatus] = []
        for path in sorted((self.state / "workers").glob("*.json")):
            try:
                status = msgspec.json.decode(path.read_bytes(), type=WorkerStatus)
            except (OSError, msgspec.MsgspecError):
                continue
            if status.model == model and process_started(status.pid) == status.started:
                found.append(status)
        return sorted(found, key=lambda status: status.worker)

    def beat(self) -> None:
        """Touch ``run/control``."""
        path = self.state / "run" / "control"
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch()

    def beaten_s(self) -> float | None:
        """Return the age of ``run/control``."""
        try:
            return max(0.0, time.time() - (self.state / "run" / "control").stat().st_mtime)
        except OSError:
            return None

    def _routing(self, model: str) -> Path:
        return self.state / "routing" / f"{model}.json"

    def _verified(self, path: Path, data: bytes) -> TrafficShifted:
        try:
            file = msgspec.json.decode(data, type=_File)
            self.verifier.verify(_CONTEXT + bytes(file.routing), file.signature)
            if file.schema != SCHEMA:
                raise IntegrityError(f"it has schema {file.schema}, this program reads {SCHEMA}")
            routing = msgspec.json.decode(file.routing, type=_Routing)
        except (IntegrityError, msgspec.MsgspecError, UnicodeDecodeError) as exc:
            raise IntegrityError(f"{path} is not a routing that this project signed: {exc}") from exc
        fields: dict[str, Any] = {name: getattr(routing, name) for name in _FIELDS}
        return TrafficShifted(**fields)

    def _write(self, path: Path, data: bytes, *, durable: bool) -> None:
        temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
        descriptor = self.disk.create(temporary)
        try:
            view = memoryview(data)
            while view:
                view = view[self.disk.write(descriptor, bytes(view)) :]
            if durable:
                self.disk.sync(descriptor)
        except OSError:
            self.disk.remove(temporary)
            raise
        finally:
            self.disk.close(descriptor)
        self.disk.replace(temporary, path)
        if durable:
            self.disk.sync_folder(path.parent)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
