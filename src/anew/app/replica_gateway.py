"""`anew gateway --from`: the gateway of a project on another host, which has nothing but a bucket and a public key."""

import json
import logging
import os
import re
import secrets
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from threading import Event
from typing import Any, Final

from anew.adapters.file_traffic import FileTraffic
from anew.adapters.journal_shipping import JournalShipper
from anew.adapters.replica_bucket import ProjectWord, ReplicaBucket, Said
from anew.adapters.s3_bucket import S3Bucket
from anew.adapters.signing import Verifier
from anew.adapters.system_clock import SystemClock
from anew.app.accepted import accepted, accepted_folder
from anew.app.alone import alone
from anew.app.backup_copy import ACCESS
from anew.app.door import rules
from anew.app.gateway_parts import GatewayParts
from anew.app.gateway_wiring import gateway_of, parts_by
from anew.app.loopback import is_loopback
from anew.app.record_place import SQLITE, put_down
from anew.app.repeating import repeating
from anew.app.secret import read_secret
from anew.app.settings import FILE, Settings
from anew.app.workers import GatewayProcesses, free_port
from anew.domain.errors import AnewError, ConflictError, IntegrityError, SettingsError, UnavailableError

__all__ = ["ReplicaOptions", "replica_parts", "serve_replica"]

_LOG = logging.getLogger("anew.replica")
_PARTS: Final = "anew.app.replica_gateway:replica_parts"
_FILE: Final = "replica.json"
_LOOK_S: Final = 0.2
_TURN_S: Final = 1.0
_PATIENCE_S: Final = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaOptions:
    """What a replica is told.

    Attributes
    ----------
    folder
        Its own, with its journal and its copies; empty at first.
    url
        ``stores.replicas`` of the project.
    key
        Where the project's public key is: ``env:NAME`` or ``file:PATH``.
    host, port
        What to bind; a port of 0 is a free one.
    workers
        Processes; None: as many as the project has, or one.
    """

    folder: Path
    url: str
    key: str
    host: str = "127.0.0.1"
    port: int | None = None
    workers: int | None = None


def serve_replica(
    options: ReplicaOptions, stop: Event, *, ready: Callable[[str, int], None] = lambda _host, _port: None
) -> None:
    """Serve until `stop` is set: by what the bucket says, and by what is in the folder while it says nothing.

    Raises
    ------
    SettingsError
        There is no key where the reference points, or others could reach the host and nobody asks who they are.
    ConflictError
        The folder is a project's own, in use, or a copy of it is in use on another host.
    IntegrityError
        The key is none.
    """
    state = options.folder.resolve() / ".anew"
    verifier = Verifier.pin(state / "keys", read_secret(options.key, Path.cwd()))
    with alone(state / "run" / "replica.lock"):
        _Replica(options, state, verifier).run(stop, ready)


def replica_parts(project: Path, worker: str) -> GatewayParts:
    """Make the parts of the worker called `worker`: without what only the loop's own host has.

    The secrets of sources that sign are there, too: signed messages are taken on that host alone, and what is said here
    in the name of such a source without a signature is refused as it is there.

    Raises
    ------
    SettingsError
        Others could reach it, and nobody would be asked who they are.
    """
    host = str(_kept(project / ".anew")["host"])
    settings = _checked(accepted(project), host)
    quiet = replace(settings, policy=_without_desks(settings))
    return replace(parts_by(quiet, worker, signed=False), host=host, meter=None, rules=rules(settings, host))


class _Replica:
    """One run of it."""

    def __init__(self, options: ReplicaOptions, state: Path, verifier: Verifier) -> None:
        self._options = options
        self._state = state
        self._place = ReplicaBucket(S3Bucket(options.url, hasty=True), verifier)
        kept = _named(state, options.host)
        self._name, self._folder = str(kept["name"]), str(kept["folder"])
        self._serial, self._model = int(kept.get("serial", 0)), str(kept.get("model", ""))
        self._traffic = FileTraffic(state, verifier=verifier)
        self._shipper = JournalShipper(self._place, self._name, state / "journal")
        self._tags: dict[str, str | None] = {}
        self._owned = False
        self._refused: AnewError | None = None
        self._heard: object = None

    def run(self, stop: Event, ready: Callable[[str, int], None]) -> None:
        ended = Event()
        threads = [
            repeating("replica-follow", self.follow, _LOOK_S, ended, refused=self._refuse),
            repeating("replica-settle", self.settle, _TURN_S, ended, refused=self._refuse),
            repeating("replica-ship", self.ship, _TURN_S, ended, refused=self._refuse),
        ]
        try:
            if self._begun(stop):
                self._serve(stop, ready)
        finally:
            ended.set()
            for thread in threads:
                thread.join(_PATIENCE_S)
        if self._refused is not None:
            raise self._refused
        try:
            self.ship()  # what was answered last, unless the bucket is away: then the next start does
        except AnewError as exc:
            _LOG.warning("not shipped at the end problem=%s", exc)

    def _begun(self, stop: Event) -> bool:
        """Wait until there is something to serve; False when it has to end before."""
        while self._refused is None:
            if (accepted_folder(self._options.folder) / FILE).is_file() and self._routed():
                return True
            if stop.wait(_LOOK_S):
                return False
        return False

    def _routed(self) -> bool:
        return bool(self._model) and self._traffic.published(self._model) is not None

    def _serve(self, stop: Event, ready: Callable[[str, int], None]) -> None:
        options = self._options
        settings = _checked(accepted(options.folder), options.host)
        serving = settings.policy.serving
        processes = GatewayProcesses(
            projects=[options.folder.resolve()],
            log=self._state / "logs",
            host=options.host,
            port=(serving.port if options.port is None else options.port) or free_port(options.host),
            count=options.workers or max(1, serving.workers),
            living=lambda: self._traffic.workers(self._model),
            parts=_PARTS,
        )
        processes.start()
        told = gateway_of(settings)
        try:
            ready(options.host, processes.port)
            while not stop.wait(_LOOK_S) and self._refused is None:
                told = self._kept_up(processes, told)
        finally:
            processes.stop()

    def _kept_up(self, processes: GatewayProcesses, told: tuple[object, ...]) -> tuple[object, ...]:
        """Start again who died, and let workers by changed settings take over; return what these were told."""
        try:
            for sentence in processes.keep():
                _LOG.warning("%s", sentence)
            wanted = gateway_of(accepted(self._options.folder))
        except AnewError as exc:
            _LOG.error("%s", exc)
            return told
        if wanted != told:
            processes.renew(processes.count)
        return wanted

    def follow(self) -> None:
        """Take over the newest routing; on a thread of its own, for a rollback waits for no settings."""
        if self._model:
            self._changed("routing", self._take_routing)

    def settle(self) -> None:
        """Take over the newest settings."""
        self._changed("project", self._take_project)

    def ship(self) -> None:
        """Ship what was written until now, and say how the workers are."""
        if not self._owned and not (self._place.own(self._name, self._folder)):
            raise ConflictError(f"{self._name} in {self._options.url} is another host; begin with an empty folder")
        self._owned = True
        now = SystemClock().now()
        self._shipper.turn()
        workers = tuple(self._traffic.workers(self._model)) if self._model else ()
        self._place.put_said(self._name, Said(at=now, heard=self._shipper.heard, workers=workers))
        if self._shipper.heard != self._heard:
            self._heard = self._shipper.heard
            self._traffic.beat()

    def _changed(self, name: str, take: Callable[[], None]) -> None:
        tag = self._place.tag(name)
        if tag is not None and tag != self._tags.get(name):
            take()
            self._tags[name] = tag

    def _take_routing(self) -> None:
        data = self._place.routing()
        if data is not None and self._traffic.admit(self._model, data):
            _LOG.info("routing taken over model=%s", self._model)

    def _take_project(self) -> None:
        word = self._place.project()
        if word is None or word.serial <= self._serial:
            return
        if self._model not in ("", word.model):
            raise ConflictError(f"this folder served {self._model}, and {self._options.url} is of {word.model}")
        for name, data in sorted(word.files.items(), key=lambda each: each[0].endswith(FILE)):
            _write(self._state / _inside(name), data)
        for gone in set(ACCESS) - set(word.files):
            (self._state / gone).unlink(missing_ok=True)
        put_down(self._state, SQLITE, word.model, artifacts=word.artifacts)
        self._remember(word)
        _LOG.info("settings taken over model=%s serial=%d", word.model, word.serial)

    def _remember(self, word: ProjectWord) -> None:
        kept = {**_kept(self._state), "serial": word.serial, "model": word.model}
        _write(self._state / _FILE, json.dumps(kept).encode())
        self._serial, self._model = word.serial, word.model

    def _refuse(self, problem: ConflictError) -> None:
        self._refused = problem  # what is answered under another's name would never be stored


def _checked(settings: Settings, host: str) -> Settings:
    if settings.policy.access.anonymous != "nobody" and not is_loopback(host):
        raise SettingsError(
            f"others could reach {host!r}, and the gateway would ask nobody who they are; write access: {{anonymous: "
            "nobody} into the project's anew.yaml and give tokens (anew access create), or use 127.0.0.1"
        )
    return settings


def _without_desks(settings: Settings) -> Any:
    """Return the policy without what needs the record at hand: the hook for retrains, and people's review."""
    policy = settings.policy
    triggers = tuple(each for each in policy.triggers if "webhook" not in each)
    feedback = policy.feedback.model_copy(update={"review": None})
    return policy.model_copy(update={"triggers": triggers, "feedback": feedback})


def _named(state: Path, host: str) -> Mapping[str, Any]:
    """Return what this folder is called in the bucket, made up at its first start."""
    file = state / _FILE
    kept = _kept(state) if file.is_file() else {}
    if "name" not in kept:
        folder = secrets.token_hex(16)
        short = re.sub(r"[^a-z0-9]+", "-", socket.gethostname().partition(".")[0].lower()).strip("-")[:40] or "host"
        kept = {"name": f"{short}-{folder[:8]}", "folder": folder}
    _write(file, json.dumps({**kept, "host": host}).encode())
    return _kept(state)


def _kept(state: Path) -> Mapping[str, Any]:
    try:
        found = json.loads((state / _FILE).read_text("utf-8"))
        return {str(name): value for name, value in found.items()}
    except (OSError, ValueError, AttributeError) as exc:
        raise IntegrityError(f"{state / _FILE} cannot be read ({exc!r}); begin with an empty folder") from exc


def _inside(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or path.parts[0] not in ("run", "access"):
        raise IntegrityError(f"the project's word has a file {name!r}, which belongs nowhere here")
    return path


def _write(path: Path, data: bytes) -> None:
    """Replace a file as a whole, durable on return, for its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.new")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        draft.replace(path)
    except OSError as exc:
        raise UnavailableError(f"{path} cannot be written: {exc}") from exc
