"""Tokens in a file that only its owner may read: secrets as hashes, read again when it has changed."""

import base64
import fcntl
import hashlib
import hmac
import json
import os
import secrets
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from anew.domain.access import Principal, Role
from anew.domain.errors import ConflictError, IntegrityError, NotFoundError

__all__ = ["AccessFile", "TokenRecord"]

_PREFIX = "anew"
_SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRecord:
    """What is kept of a token; `hash` is the sha256 of its secret, which has 256 bits of chance and needs no salt.

    `created`, `expires` and `revoked` are ISO 8601 instants in UTC; the last two are empty when they never came.
    """

    id: str
    name: str
    role: str
    hash: str
    created: str
    models: tuple[str, ...] = ()
    expires: str = ""
    revoked: str = ""

    def is_good(self, now: datetime) -> bool:
        """Is it accepted at `now`?"""
        return not self.revoked and (not self.expires or now < datetime.fromisoformat(self.expires))


class AccessFile:
    """The tokens of an installation, in one JSON file. Thread- and process-safe.

    A change replaces the file as a whole; readers see it at their next `verify`. A file that others could read or
    write is refused: whoever can write it can let himself in.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._records: Mapping[str, TokenRecord] = {}

    def create(
        self, name: str, role: Role, *, now: datetime, models: Sequence[str] = (), expires: datetime | None = None
    ) -> tuple[str, TokenRecord]:
        """Make a token; returns it, which is the only time it can be seen, and what is kept of it.

        Raises
        ------
        ConflictError
            Somebody of this name has a good token already.
        """
        with self._changing() as records:
            if any(each.name == name and each.is_good(now) for each in records.values()):
                raise ConflictError(f"{name!r} has a token already; revoke it first, or choose another name")
            id = base64.b32encode(secrets.token_bytes(10)).decode().lower()
            secret = secrets.token_urlsafe(32)
            record = TokenRecord(
                id=id,
                name=name,
                role=role.value,
                hash=_hash(secret),
                created=now.isoformat(),
                models=tuple(models),
                expires=expires.isoformat() if expires else "",
            )
            records[id] = record
        return f"{_PREFIX}_{id}_{secret}", record

    def revoke(self, id: str, *, now: datetime) -> TokenRecord:
        """Refuse a token from now on; once more changes nothing.

        Raises
        ------
        NotFoundError
            There is no token with this id.
        """
        with self._changing() as records:
            if id not in records:
                raise NotFoundError(f"there is no token {id!r}; `anew access list` shows them")
            record = records[id]
            records[id] = record if record.revoked else replace(record, revoked=now.isoformat())
            return records[id]

    def records(self) -> Sequence[TokenRecord]:
        """Return what is kept of every token, in order of creation."""
        self._refresh()
        return sorted(self._records.values(), key=lambda each: each.created)

    def verify(self, token: str, *, now: datetime) -> Principal | None:
        """Return whose token it is; None for any that is unknown, expired, revoked or no token at all."""
        self._refresh()
        prefix, _, rest = token.partition("_")
        id, _, secret = rest.partition("_")
        record = self._records.get(id)
        expected = record.hash if record is not None else "0" * 64
        same = hmac.compare_digest(_hash(secret), expected)  # compared for unknown ids too, which then take as long
        if record is None or not same or prefix != _PREFIX or not record.is_good(now):
            return None
        return _holder(record)

    def holder(self, id: str, *, now: datetime) -> Principal | None:
        """Return who holds the token with this id; None when it is unknown, expired or revoked."""
        self._refresh()
        record = self._records.get(id)
        return None if record is None or not record.is_good(now) else _holder(record)

    def _refresh(self) -> None:
        """Read the file if it is another than the one that was read last.

        Raises
        ------
        IntegrityError
            Others may read it, or it holds something else.
        """
        try:
            found = self._path.stat()
        except FileNotFoundError:
            self._seen, self._records = None, {}
            return
        seen = (found.st_ino, found.st_mtime_ns, found.st_size)
        if seen != self._seen:
            self._records, self._seen = _read(self._path), seen

    @contextmanager
    def _changing(self) -> Iterator[dict[str, TokenRecord]]:
        """Give the records to be changed, and replace the file by them; one process at a time."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(self._path.with_suffix(".lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            records = dict(_read(self._path)) if self._path.exists() else {}
            yield records
            _replace(self._path, records)
        finally:
            os.close(lock)


def _holder(record: TokenRecord) -> Principal:
    return Principal(id=record.id, name=record.name, role=Role(record.role), models=frozenset(record.models))


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _read(path: Path) -> Mapping[str, TokenRecord]:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, encoding="utf-8") as file:
        if stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o077:
            raise IntegrityError(f"others than its owner may read {path}; if nobody did, run: chmod 600 {path}")
        try:
            plain = json.load(file)
            if plain["schema"] != _SCHEMA:
                raise ValueError(f"schema {plain['schema']}")
            records = [TokenRecord(**{**each, "models": tuple(each["models"])}) for each in plain["tokens"]]
            return {each.id: each for each in records}
        except (ValueError, KeyError, TypeError) as exc:
            raise IntegrityError(f"{path} holds no tokens ({exc!r}); restore it from a copy") from exc


def _replace(path: Path, records: Mapping[str, TokenRecord]) -> None:
    draft = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"schema": _SCHEMA, "tokens": [asdict(each) for each in records.values()]}, file, indent=1)
        file.flush()
        os.fsync(descriptor)
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
