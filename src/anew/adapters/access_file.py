"""Tokens in a file that only its owner may read: secrets as hashes, read again when it has changed."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from anew.adapters.private_file import PrivateFile
from anew.adapters.user_file import UserFile
from anew.domain.access import Principal, Role
from anew.domain.errors import ConflictError, NotFoundError

__all__ = ["AccessFile", "TokenRecord"]

_PREFIX = "anew"
_SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRecord:
    """What is kept of a token; `hash` is the sha256 of its secret, which has 256 bits of chance and needs no salt.

    `created`, `expires` and `revoked` are ISO 8601 instants in UTC; the last two are empty when they never came. `user`
    is whose it is where that is somebody with a name of his own; empty: nobody but its `name`.
    """

    id: str
    name: str
    role: str
    hash: str
    created: str
    models: tuple[str, ...] = ()
    expires: str = ""
    revoked: str = ""
    user: str = ""

    @property
    def person(self) -> str:
        """In whose name it acts."""
        return self.user or self.name

    def is_good(self, now: datetime) -> bool:
        """Is it accepted at `now`?"""
        return not self.revoked and (not self.expires or now < datetime.fromisoformat(self.expires))


class AccessFile:
    """The tokens of an installation, in one JSON file. Thread- and process-safe.

    A change replaces the file as a whole; readers see it at their next `verify`. A person's token is good while that
    person is one of `users` who is let in, and may no more than the person may.
    """

    def __init__(self, path: Path, users: UserFile) -> None:
        self._users = users
        self._file: PrivateFile[dict[str, TokenRecord]] = PrivateFile(
            path, "tokens", read=_records, write=_plain, none=dict
        )

    def create(
        self,
        name: str,
        role: Role,
        *,
        now: datetime,
        models: Sequence[str] = (),
        expires: datetime | None = None,
        user: str = "",
    ) -> tuple[str, TokenRecord]:
        """Make a token; returns it, which is the only time it can be seen, and what is kept of it.

        Raises
        ------
        ConflictError
            Somebody of this name has a good token already.
        """
        with self._file.changing() as records:
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
                user=user,
            )
            records[id] = record
        return f"{_PREFIX}_{id}_{secret}", record

    def link(self, id: str, user: str) -> TokenRecord:
        """Say whose a token is; raises NotFoundError for none with this id."""
        return self._change(id, lambda old: replace(old, user=user))

    def revoke(self, id: str, *, now: datetime) -> TokenRecord:
        """Refuse a token from now on; once more changes nothing.

        Raises
        ------
        NotFoundError
            There is no token with this id.
        """
        return self._change(id, lambda old: old if old.revoked else replace(old, revoked=now.isoformat()))

    def record(self, id: str) -> TokenRecord:
        """Return what is kept of the token with this id; raises NotFoundError."""
        if (found := self._file.held().get(id)) is None:
            raise _no_token(id)
        return found

    def records(self) -> Sequence[TokenRecord]:
        """Return what is kept of every token, in order of creation."""
        return sorted(self._file.held().values(), key=lambda each: each.created)

    def verify(self, token: str, *, now: datetime) -> Principal | None:
        """Return whose token it is; None for any that is unknown, expired, revoked or no token at all."""
        prefix, _, rest = token.partition("_")
        id, _, secret = rest.partition("_")
        record = self._file.held().get(id)
        expected = record.hash if record is not None else "0" * 64
        same = hmac.compare_digest(_hash(secret), expected)  # compared for unknown ids too, which then take as long
        if record is None or not same or prefix != _PREFIX or not record.is_good(now):
            return None
        return self._holder(record, now)

    def holder(self, id: str, *, now: datetime) -> Principal | None:
        """Return who holds the token with this id; None when it is unknown, expired or revoked."""
        record = self._file.held().get(id)
        return None if record is None or not record.is_good(now) else self._holder(record, now)

    def _holder(self, record: TokenRecord, now: datetime) -> Principal | None:
        person = self._users.called(record.person)
        if (person is None and record.user) or (person is not None and not person.is_good(now)):
            return None
        return Principal(
            id=record.id,
            name=record.name if person is None else person.name,
            role=Role(record.role),
            models=frozenset(record.models),
            person=None if person is None else Role(person.role),
        )

    def _change(self, id: str, change: Callable[[TokenRecord], TokenRecord]) -> TokenRecord:
        with self._file.changing() as records:
            if id not in records:
                raise _no_token(id)
            records[id] = change(records[id])
            return records[id]


def _no_token(id: str) -> NotFoundError:
    return NotFoundError(f"there is no token {id!r}; `anew access list` shows them")


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _records(plain: Any) -> dict[str, TokenRecord]:
    if plain["schema"] != _SCHEMA:
        raise ValueError(f"schema {plain['schema']}")
    records = [TokenRecord(**{**each, "models": tuple(each["models"])}) for each in plain["tokens"]]
    return {each.id: each for each in records}


def _plain(records: Mapping[str, TokenRecord]) -> object:
    return {"schema": _SCHEMA, "tokens": [asdict(each) for each in records.values()]}
