"""What a project and the replicas of its gateway on other hosts say to each other, as objects in a bucket.

``routing``                             the signed routing, as `FileTraffic` wrote it
``project``                             settings, code and who is let in, signed
``hosts/HOST/owner``                    which folder has this name; put once, never over another
``hosts/HOST/run``                      which start of it was the last
``hosts/HOST/word``                     what the project has of this host's journals, signed
``hosts/HOST/said``                     what the host's workers say of themselves
``hosts/HOST/journal/WORKER/SEG-OFFSET``  bytes of a segment from an offset on, until the project has them

Whoever may write to the bucket can hold a project and its replicas apart. To make a replica serve something else, or
delete what is stored nowhere else, takes the project's key.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, TypeVar

import msgspec

from anew.adapters.s3_bucket import S3Bucket
from anew.adapters.signing import Signer, Verifier
from anew.domain.errors import IntegrityError
from anew.ports.traffic import WorkerStatus

__all__ = ["NOTHING", "Chunk", "Held", "ProjectWord", "ReplicaBucket", "Said", "Word"]

T = TypeVar("T", bound=msgspec.Struct)

_Instant = Annotated[datetime, msgspec.Meta(tz=True)]

SCHEMA: Final = 1
_CONTEXT: Final = b"anew.replica/1\n"
_HOST: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_CHUNK: Final = re.compile(r"hosts/([a-z0-9-]+)/journal/([a-z0-9]{1,32})/([0-9]{20})-([0-9]{12})")


class ProjectWord(msgspec.Struct, kw_only=True, frozen=True):
    """What a replica has to know of its project; `files` by their place in the project's ``.anew`` folder.

    `serial` grows with each: an older one is not believed.
    """

    serial: int
    model: str
    artifacts: str
    files: dict[str, bytes]


class Held(msgspec.Struct, kw_only=True, frozen=True, order=True):
    """How far the project has a journal: `size` bytes of the segment `first`; it needs none up to record `trimmed`."""

    first: int = 0
    size: int = 0
    trimmed: int = 0


NOTHING: Final = Held()
"""Of a journal that the project has never seen."""


class Word(msgspec.Struct, kw_only=True, frozen=True):
    """What the project says to one host, again and again: `at` by its own clock, and how far it has each journal."""

    host: str
    at: datetime
    journals: dict[str, Held]


class Said(msgspec.Struct, kw_only=True, frozen=True):
    """What a host says, again and again.

    `at`, by its own clock: everything written before was shipped. `heard` is `Word.at` of the last one it obeyed.
    """

    at: _Instant
    heard: _Instant | None
    workers: tuple[WorkerStatus, ...]


class _Signed(msgspec.Struct, kw_only=True):
    schema: int
    kind: str
    body: bytes
    signature: str


@dataclass(frozen=True, slots=True, order=True)
class Chunk:
    """Where bytes of a journal belong; `name` is their object."""

    host: str
    worker: str
    first: int
    offset: int

    @property
    def name(self) -> str:
        """Name of the object."""
        return f"hosts/{self.host}/journal/{self.worker}/{self.first:020d}-{self.offset:012d}"


@dataclass(frozen=True, slots=True)
class ReplicaBucket:
    """The objects under one prefix. Thread-safe; raises as `S3Bucket` does.

    Parameters
    ----------
    verifier
        Of the project's key: what it did not sign raises IntegrityError.
    signer
        The project's own; a host has none.
    """

    bucket: S3Bucket
    verifier: Verifier
    signer: Signer | None = None

    def routing(self) -> bytes | None:
        """Return the routing's bytes, which `FileTraffic` verifies; None before the first."""
        return self.bucket.read("routing")

    def put_routing(self, data: bytes) -> None:
        """Put the routing's bytes over the former ones."""
        self.bucket.put("routing", data)

    def tag(self, name: str) -> str | None:
        """Return what changes with an object; None for none."""
        return self.bucket.tag(name)

    def project(self) -> ProjectWord | None:
        """Return what the project said last."""
        return self._signed("project", ProjectWord)

    def put_project(self, word: ProjectWord) -> None:
        """Say it."""
        self._sign("project", word)

    def own(self, host: str, folder: str) -> bool:
        """Take the name `host` for `folder` where nobody has it; returns whether it is that folder's."""
        _check(host)
        name, mine = f"hosts/{host}/owner", folder.encode()
        return self.bucket.read(name) == mine or self.bucket.create(name, mine)

    def begin(self, host: str, run: str) -> None:
        """Say that this is the last start of a host."""
        _check(host)
        self.bucket.put(f"hosts/{host}/run", run.encode())

    def take(self, host: str, run: str) -> bool:
        """Say so where no start of it is known; returns whether it is this one then."""
        return self.bucket.create(f"hosts/{host}/run", run.encode())

    def begun(self, host: str) -> str:
        """Return the last start of a host; empty for none."""
        return (self.bucket.read(f"hosts/{host}/run") or b"").decode(errors="replace")

    def word(self, host: str) -> Word | None:
        """Return what the project said to `host` last."""
        found = self._signed(f"hosts/{host}/word", Word)
        if found is not None and found.host != host:
            raise IntegrityError(f"what the project says to {host} in {self.bucket.url} was said to {found.host}")
        return found

    def put_word(self, word: Word) -> None:
        """Say it to a host."""
        _check(word.host)
        self._sign(f"hosts/{word.host}/word", word)

    def said(self, host: str) -> Said | None:
        """Return what a host said last; None for nothing.

        Raises
        ------
        IntegrityError
            It cannot be read, or has an instant without an offset from UTC.
        """
        data = self.bucket.read(f"hosts/{host}/said")
        try:
            found = None if data is None else msgspec.msgpack.decode(data, type=Said)
        except (msgspec.MsgspecError, RecursionError) as exc:
            raise IntegrityError(f"what {host} says in {self.bucket.url} cannot be read ({exc})") from exc
        if found is not None and any(each.at.tzinfo is None for each in found.workers):
            raise IntegrityError(f"what {host} says in {self.bucket.url} has an instant without an offset from UTC")
        return found

    def put_said(self, host: str, said: Said) -> None:
        """Say it."""
        self.bucket.put(f"hosts/{host}/said", msgspec.msgpack.encode(said))

    def look(self) -> tuple[Mapping[str, str], tuple[Chunk, ...]]:
        """Return the hosts that there are, and what they have shipped, oldest first; names that are none are none.

        With each host goes what changes with what it says; empty when it has said nothing.
        """
        found, hosts = self.bucket.tree("hosts"), dict[str, str]()
        for name, tag in found.items():
            parts = name.split("/")
            if len(parts) == 3 and _HOST.fullmatch(parts[1]):
                hosts[parts[1]] = tag if parts[2] == "said" else hosts.get(parts[1], "")
        return hosts, tuple(sorted(chunk for each in found if (chunk := _chunk(each)) and chunk.host in hosts))

    def shipped(self, host: str, worker: str) -> tuple[Chunk, ...]:
        """Return what is there of one journal, oldest first."""
        names = self.bucket.tree(f"hosts/{host}/journal/{worker}")
        return tuple(sorted(chunk for each in names if (chunk := _chunk(each))))

    def ship(self, chunk: Chunk, data: bytes) -> bool:
        """Put a chunk; False where another one, of other bytes, has its place."""
        return self.bucket.create(chunk.name, data)

    def shipment(self, chunk: Chunk) -> bytes | None:
        """Return the bytes of a chunk; None when it is gone."""
        return self.bucket.read(chunk.name)

    def remove(self, chunk: Chunk) -> None:
        """Delete a chunk."""
        self.bucket.remove(chunk.name)

    def _sign(self, name: str, word: msgspec.Struct) -> None:
        assert self.signer is not None, "a host says nothing that has to be signed"  # noqa: S101  an invariant of ours
        body, kind = msgspec.msgpack.encode(word), type(word).__name__
        signed = _Signed(schema=SCHEMA, kind=kind, body=body, signature=self.signer.sign(_said(kind, body)))
        self.bucket.put(name, msgspec.msgpack.encode(signed))

    def _signed(self, name: str, kind: type[T]) -> T | None:
        data = self.bucket.read(name)
        if data is None:
            return None
        try:
            found = msgspec.msgpack.decode(data, type=_Signed)
            self.verifier.verify(_said(kind.__name__, found.body), found.signature)
            if found.schema != SCHEMA:
                raise IntegrityError(f"it has schema {found.schema}, this program reads {SCHEMA}")
            return msgspec.msgpack.decode(found.body, type=kind)
        except (IntegrityError, msgspec.MsgspecError) as exc:
            raise IntegrityError(f"{self.bucket.url}/{name} is nothing that this project signed: {exc}") from exc


def _said(kind: str, body: bytes) -> bytes:
    return _CONTEXT + kind.encode() + b"\n" + body


def _check(host: str) -> None:
    if not _HOST.fullmatch(host):
        raise IntegrityError(f"{host!r} names no host: small letters, digits and dashes, at most 63")


def _chunk(name: str) -> Chunk | None:
    found = _CHUNK.fullmatch(name)
    return Chunk(found[1], found[2], int(found[3]), int(found[4])) if found else None
