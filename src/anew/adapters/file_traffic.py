"""Routing as signed files, and what the workers say of themselves: control and serving share nothing but a folder."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from anew.adapters.fact_codec import decode, encode
from anew.adapters.file_lock import locked
from anew.adapters.local_disk import LocalDisk
from anew.adapters.process_table import process_started
from anew.adapters.signing import Signer, Verifier
from anew.domain.errors import AnewError, IntegrityError, NotFoundError, PolicyError, UnavailableError
from anew.domain.facts.rollout import Arm, Stage, TrafficOrdered, TrafficShifted
from anew.ports.disk import Disk
from anew.ports.traffic import WorkerStatus

__all__ = ["FileTraffic", "is_living", "routing_file", "status_file"]

SCHEMA: Final = 3
_READ: Final = (1, 2, SCHEMA)
"""Schema numbers that are read; 1 knew no orders, 2 no trials."""
_CONTEXT: Final = b"anew.routing/1\n"
_HEARD_S: Final = 5.0
"""How long after it was last heard of a worker of another host counts as alive; it is heard of each second."""


class _Ordered(msgspec.Struct, kw_only=True):
    """A TrafficOrdered as it stands in the file of the routing that it made."""

    schema: int
    body: msgspec.Raw


class _Routing(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A TrafficShifted as it stands in its file, with the orders that the record has not heard of."""

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
    arms: tuple[Arm, ...] = ()
    trial: str = ""
    orders: tuple[_Ordered, ...] = ()


class _File(msgspec.Struct, kw_only=True):
    schema: int
    routing: msgspec.Raw
    signature: str


class _Home(msgspec.Struct):
    """In whose folder a worker said what it said, beside its status; empty where an earlier release wrote it."""

    home: str = ""


_FIELDS: Final = tuple(name for name in _Routing.__struct_fields__ if name != "orders")
_Published = tuple[TrafficShifted, tuple[TrafficOrdered, ...]]


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
    _seen: dict[str, tuple[tuple[int, int, int], _Published]] = field(default_factory=dict, init=False)

    def publish(self, routing: TrafficShifted) -> None:
        """Write the routing unless one of its epoch or a greater one is in force; see `anew.ports.traffic.Traffic`."""
        with self._changing(routing.model) as present:
            if present is None or present[0].epoch < routing.epoch:
                self._put(routing, ())

    def order(self, model: str, make: Callable[[TrafficShifted], TrafficOrdered]) -> TrafficOrdered:
        """Replace the routing in force by the order that is made of it; see `anew.ports.traffic.Traffic`."""
        if not self._routing(model).exists():
            raise NotFoundError(f"{model} was never served here: there is no routing in {self._routing(model).parent}")
        with self._changing(model) as present:
            if present is None:
                raise NotFoundError(f"{model} was never served here")
            order = make(present[0])
            self._put(order.shifted(), (*present[1], order))
        return order

    def admit(self, model: str, data: bytes) -> bool:
        """Put a routing into force that the project published elsewhere; returns whether it is newer than the present.

        Raises
        ------
        IntegrityError
            It is not signed with the project's key, or routes another model.
        UnavailableError
            It cannot be written.
        """
        path = routing_file(self.state, model)
        routing, _ = self._verified(path, data)
        if routing.model != model:
            raise IntegrityError(f"what was published routes {routing.model}, not {model}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with locked(path.with_suffix(".lock")):
                present = self._found(model)
                if present is not None and present[0].epoch >= routing.epoch:
                    return False
                self._write(path, data, durable=True)
        except OSError as exc:
            if isinstance(exc, AnewError):
                raise
            raise UnavailableError(f"routing of {model} was not taken over: {exc}") from exc
        return True

    def published(self, model: str) -> TrafficShifted | None:
        """Return the order in force, verified; cheap while the file does not change."""
        found = self._found(model)
        return None if found is None else found[0]

    def ordered(self, model: str) -> Sequence[TrafficOrdered]:
        """Return the orders since the last `publish`, oldest first."""
        found = self._found(model)
        return () if found is None else found[1]

    @contextmanager
    def _changing(self, model: str) -> Iterator[_Published | None]:
        """Give what is published now, while nobody else can change it."""
        if self.signer is None:
            raise PolicyError("this process may not publish routing: it was given no signing key")
        path = self._routing(model)
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with locked(path.with_suffix(".lock")):
                yield self._found(model)
        except OSError as exc:
            if isinstance(exc, AnewError):
                raise
            raise UnavailableError(f"routing of {model} was not published: {exc}") from exc

    def _put(self, routing: TrafficShifted, orders: tuple[TrafficOrdered, ...]) -> None:
        assert self.signer is not None, "looked after by _changing"  # noqa: S101  an invariant of ours
        kept = [_Ordered(schema=each.schema, body=msgspec.Raw(encode(each))) for each in orders]
        body = msgspec.json.encode({name: getattr(routing, name) for name in _FIELDS} | {"orders": kept})
        file = _File(schema=SCHEMA, routing=msgspec.Raw(body), signature=self.signer.sign(_CONTEXT + body))
        self._write(self._routing(routing.model), msgspec.json.encode(file), durable=True)

    def _found(self, model: str) -> _Published | None:
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
        try:
            published = self._verified(path, data)
        except IntegrityError as exc:
            raise IntegrityError(
                f"{exc}; move it away, and anew up publishes what is on record again (where .anew/keys was lost or "
                "changed, put that back from a backup instead)"
            ) from exc
        if published[0].model != model:
            raise IntegrityError(f"{path} routes {published[0].model}, not {model}; restore the file, or publish again")
        self._seen[model] = (mark, published)
        return published

    def applied(self, model: str) -> tuple[int, int]:
        """Return (workers alive, smallest epoch that they answer by)."""
        alive = self.workers(model)
        return len(alive), min((status.epoch for status in alive), default=0)

    def report(self, status: WorkerStatus) -> None:
        """Replace the worker's file at once; a report needs no sync: after a crash there is no worker."""
        path = status_file(self.state, status)
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            said = msgspec.to_builtins(status) | {"home": _home(path)}
            self._write(path, msgspec.json.encode(said), durable=False)
        except OSError as exc:
            raise UnavailableError(f"the status of worker {status.worker} cannot be written: {exc}") from exc

    def workers(self, model: str) -> Sequence[WorkerStatus]:
        """Return the reports of living workers; a file that cannot be read counts as no worker's."""
        found: list[WorkerStatus] = []
        for path in sorted((self.state / "workers").glob("*.json")):
            try:
                said = path.read_bytes()
                status, home = msgspec.json.decode(said, type=WorkerStatus), msgspec.json.decode(said, type=_Home).home
            except (OSError, msgspec.MsgspecError):
                continue
            if status.model == model and is_living(path, status.host, status.pid, status.started, home):
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
        return routing_file(self.state, model)

    def _verified(self, path: Path, data: bytes) -> _Published:
        try:
            file = msgspec.json.decode(data, type=_File)
            self.verifier.verify(_CONTEXT + bytes(file.routing), file.signature)
            if file.schema not in _READ:
                raise IntegrityError(f"it has schema {file.schema}, this program reads {SCHEMA}")
            routing = msgspec.json.decode(file.routing, type=_Routing)
            orders = [decode("TrafficOrdered", each.schema, bytes(each.body)) for each in routing.orders]
        except (IntegrityError, msgspec.MsgspecError, UnicodeDecodeError) as exc:
            raise IntegrityError(f"{path} is not a routing that this project signed: {exc}") from exc
        fields: dict[str, Any] = {name: getattr(routing, name) for name in _FIELDS}
        return TrafficShifted(**fields), tuple(each for each in orders if isinstance(each, TrafficOrdered))

    def _write(self, path: Path, data: bytes, *, durable: bool) -> None:
        temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
        descriptor = self.disk.create(temporary)
        try:
            at = 0
            while at < len(data):
                at += self.disk.write(descriptor, data[at:], at)
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


def routing_file(state: Path, model: str) -> Path:
    """Return where the routing of a model is."""
    return state / "routing" / f"{model}.json"


def status_file(state: Path, status: WorkerStatus) -> Path:
    """Return where a worker's status is."""
    return state / "workers" / f"{status.model}-{status.worker}.json"


def is_living(file: Path, host: str, pid: int, started: int, home: str) -> bool:
    """Is the worker alive whose status is in `file`, and does it serve from there?

    One of another host is alive while its status is written again. In the copy of a folder the status of a living
    worker is that of one that serves from the original: `home` tells.
    """
    try:
        if host:
            return time.time() - file.stat().st_mtime < _HEARD_S
        return process_started(pid) == started and home in ("", _home(file))
    except OSError:
        return False


def _home(file: Path) -> str:
    """Return device and number of the folder that has a status: they stay when it is moved, and no copy has both."""
    found = file.parent.stat()
    return f"{found.st_dev}:{found.st_ino}"
