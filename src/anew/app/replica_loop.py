"""The loop's half of gateways on other hosts: tells them what to serve, and brings home what they answered."""

import hashlib
import json
import re
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from typing import Final, Self

import msgspec

from anew.adapters.file_traffic import routing_file, status_file
from anew.adapters.journal_shipping import JournalReceiver
from anew.adapters.replica_bucket import ProjectWord, ReplicaBucket, Said
from anew.adapters.s3_bucket import S3Bucket
from anew.adapters.signing import Signer
from anew.adapters.system_clock import SystemClock
from anew.app.accepted import accepted, accepted_folder
from anew.app.repeating import repeating
from anew.app.settings import FILE, Settings
from anew.domain.errors import AnewError, UnavailableError

__all__ = ["Replicas", "replicas", "tell_routing"]

_LOOK_S: Final = 0.1
_TURN_S: Final = 1.0
_PATIENCE_S: Final = 15.0
_WORKER: Final = re.compile(r"[a-z0-9]{1,32}")
_NONE: Final = "none"


class Replicas:
    """Threads that tell the replicas and hear them while entered; the loop neither waits for them nor ends with them.

    Parameters
    ----------
    signer
        The project's key.
    """

    def __init__(self, settings: Settings, signer: Signer) -> None:
        self._settings = settings
        self._place = _place(settings, signer)
        self._stop = Event()
        self._threads: list[Thread] = []
        self._routing: tuple[int, ...] = ()
        self._files = ""
        self._looked = float("-inf")
        self._said: dict[str, tuple[str, Said]] = {}
        self._last: dict[str, Said] = {}
        self._reported: dict[str, Said] = {}
        self._receiver = JournalReceiver(self._place, settings.state / "journal", SystemClock().now)

    def __enter__(self) -> Self:
        """Begin."""
        self._threads = [
            repeating(f"replicas-tell-{self._settings.model}", self.tell, _LOOK_S, self._stop),
            repeating(f"replicas-hear-{self._settings.model}", self.hear, _TURN_S, self._stop),
        ]
        return self

    def __exit__(self, *_: object) -> None:
        """Let each finish what it does, and end."""
        self._stop.set()
        for thread in self._threads:
            thread.join(_PATIENCE_S)

    def tell(self) -> None:
        """Put the routing, and now and then the settings, where they have changed."""
        file = routing_file(self._settings.state, self._settings.model)
        try:
            found = file.stat()
        except FileNotFoundError:
            return  # it never served
        mark = (found.st_mtime_ns, found.st_ino, found.st_size)
        if mark != self._routing:
            self._place.put_routing(file.read_bytes())
            self._routing = mark
        if time.monotonic() - self._looked >= _TURN_S:
            self._looked = time.monotonic()
            self._tell_project()

    def hear(self) -> None:
        """Take over what each host says of its workers, and then what it has shipped, until that is all.

        What fails with one host is raised after the others were heard.
        """
        while self._heard() and not self._stop.is_set():
            pass

    def _heard(self) -> bool:
        """Do a part of it; is there more at once?"""
        known, _ = self._place.look()
        said: dict[str, Said] = {}
        problems: list[AnewError | OSError] = []
        for host, tag in known.items():
            try:
                word = self._word_of(host, tag)
                if word is not None:
                    said[host] = word
                    self._report(host, word)
            except (AnewError, OSError) as exc:
                problems.append(exc)
        _, chunks = self._place.look()  # after what they said, so that all of what they had shipped is there
        more = False
        for host, word in said.items():
            mine = tuple(each for each in chunks if each.host == host)
            if self._last.get(host) == word and not mine:
                continue
            try:
                more |= self._receiver.turn(host, mine, heard=word.heard, whole=word.at)
                self._last[host] = word
            except (AnewError, OSError) as exc:
                problems.append(exc)
        if problems:
            raise problems[0]
        return more

    def _word_of(self, host: str, tag: str) -> Said | None:
        """Return what a host said last; one that says nothing new, or never again, is not asked."""
        before = self._said.get(host)
        if tag and before is not None and before[0] == tag:
            return before[1]
        word = self._place.said(host)
        if word is not None:
            self._said[host] = (tag, word)
        return word

    def _report(self, host: str, said: Said) -> None:
        """Put down what a host says anew; what it said before keeps none of its workers alive."""
        if self._reported.get(host) == said:
            return
        for each in said.workers:
            if not _WORKER.fullmatch(each.worker) or each.model != self._settings.model:
                continue
            named = replace(each, host=host, worker=f"{host}.{each.worker}")
            path = status_file(self._settings.state, named)
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            draft = path.with_name(f".{path.name}")
            draft.write_bytes(msgspec.json.encode(named))
            draft.replace(path)
        self._reported[host] = said

    def _tell_project(self) -> None:
        files = _files(self._settings)
        digest = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()
        if digest == self._files:
            return
        before = self._place.project()
        if before is None or before.files != files:
            serial = max(time.time_ns(), 0 if before is None else before.serial + 1)
            artifacts = self._settings.policy.stores.artifacts
            self._place.put_project(
                ProjectWord(serial=serial, model=self._settings.model, artifacts=artifacts, files=dict(files))
            )
        self._files = digest


def replicas(settings: Settings, signer: Signer) -> AbstractContextManager[object]:
    """Return what tells the replicas and hears them while it is entered; nothing where the settings know of none."""
    return nullcontext() if settings.policy.stores.replicas == _NONE else Replicas(settings, signer)


def tell_routing(project: Path, signer: Signer) -> str:
    """Put the routing in force where the replicas look, whether a loop runs or not; return why that failed, or nothing.

    Replicas ignore one that is older than what they have.
    """
    try:
        settings = accepted(project)
        if settings.policy.stores.replicas != _NONE:
            data = routing_file(settings.state, settings.model).read_bytes()
            _place(settings, signer).put_routing(data)
    except (AnewError, OSError) as exc:
        return str(exc)
    return ""


def _place(settings: Settings, signer: Signer) -> ReplicaBucket:
    return ReplicaBucket(S3Bucket(settings.policy.stores.replicas, hasty=True), signer.verifier, signer)


def _files(settings: Settings) -> Mapping[str, bytes]:
    """Return what replicas need of the project, by place in its ``.anew`` folder; of people not what proves them."""
    folder, access = accepted_folder(settings.root), settings.state / "access"
    files = {f"run/accepted/{name}": folder / name for name in (settings.policy.pipeline, FILE)}
    files |= {"access/tokens.json": access / "tokens.json"}
    found = {name: path.read_bytes() for name, path in files.items() if path.is_file()}
    if f"run/accepted/{FILE}" not in found:
        raise UnavailableError("no settings were accepted yet")
    people = access / "users.json"
    if people.is_file():
        found["access/users.json"] = _without_passwords(people.read_bytes())
    return found


def _without_passwords(data: bytes) -> bytes:
    """Return the file of people without their hashes: a gateway asks nobody for a password."""
    said = json.loads(data)
    for each in said["users"]:
        each["hash"] = ""
    return json.dumps(said, sort_keys=True).encode()
