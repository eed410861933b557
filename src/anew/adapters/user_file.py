"""People of an installation, in a file that only its owner may read: who they are, wherever they come from."""

import base64
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from anew.adapters.private_file import PrivateFile
from anew.domain.access import Principal, Role
from anew.domain.errors import ConflictError, NotFoundError, PolicyError

__all__ = ["UserFile", "UserRecord"]

_SCHEMA = 1
_PREFIX: Final = "u"
_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,127}")


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRecord:
    """What is kept of a person.

    Attributes
    ----------
    hash
        Of the password, by Argon2id; empty for somebody without.
    turn
        How often the password was set: a session names it, and ends with the next.
    created, expires, revoked
        ISO 8601 instants in UTC; the last two are empty when they never came.
    accounts
        Users of this machine who are this person.
    subjects
        What providers of identity call this person, each as issuer, a space, and subject.
    provided
        Is what this person may the word of such a provider?
    """

    id: str
    name: str
    role: str
    created: str
    hash: str = ""
    turn: int = 0
    expires: str = ""
    revoked: str = ""
    accounts: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    provided: bool = False

    def is_good(self, now: datetime) -> bool:
        """Is this person let in at `now`?"""
        return not self.revoked and (not self.expires or now < datetime.fromisoformat(self.expires))

    @property
    def principal(self) -> Principal:
        """Who it is, under an id that a new password ends."""
        return Principal(id=f"{_PREFIX}.{self.id}.{self.turn}", name=self.name, role=Role(self.role))


class UserFile:
    """The people of an installation, in one JSON file. Thread- and process-safe.

    A name is one person's for ever, and so are an account and a subject while the person is good.
    """

    def __init__(self, path: Path) -> None:
        self._file: PrivateFile[dict[str, UserRecord]] = PrivateFile(
            path, "users", read=_records, write=_plain, none=dict
        )

    def add(
        self,
        name: str,
        role: Role,
        *,
        now: datetime,
        kept: str = "",
        expires: datetime | None = None,
        subject: str = "",
    ) -> UserRecord:
        """Make a person known, or somebody who was revoked known again, without what was theirs before.

        Parameters
        ----------
        kept
            What is kept of the password; empty for none.
        subject
            What the provider calls a person whom it brings.

        Raises
        ------
        PolicyError
            That is no name.
        ConflictError
            It is somebody's.
        """
        if not _NAME.fullmatch(name):
            raise PolicyError(
                f"{name!r} is no name: small letters, digits and . _ @ + - after the first, 128 at most, so that no "
                "two names look alike"
            )
        with self._file.changing() as records:
            old = records.get(name)
            if old is not None and old.is_good(now):
                raise ConflictError(f"{name} is known already; revoke that one first, or choose another name")
            records[name] = UserRecord(
                id=base64.b32encode(secrets.token_bytes(10)).decode().lower(),
                name=name,
                role=role.value,
                created=now.isoformat(),
                hash=kept,
                expires=expires.isoformat() if expires else "",
                subjects=(subject,) if subject else (),
                provided=bool(subject),
            )
            return records[name]

    def set_password(self, name: str, kept: str) -> UserRecord:
        """Take another password, which ends every session of the old one; raises NotFoundError for nobody's name."""
        return self._change(name, lambda old: replace(old, hash=kept, turn=old.turn + 1))

    def set_role(self, name: str, role: Role) -> UserRecord:
        """Trust somebody with something else; raises NotFoundError for nobody's name."""
        return self._change(name, lambda old: replace(old, role=role.value))

    def link(self, name: str, *, now: datetime, account: str = "", subject: str = "") -> UserRecord:
        """Say that a user of this machine, or somebody whom a provider knows, is this person.

        Raises
        ------
        NotFoundError
            There is nobody of this name.
        ConflictError
            It is somebody else already.
        """
        with self._file.changing() as records:
            for each in records.values():
                if each.name != name and each.is_good(now) and (account in each.accounts or subject in each.subjects):
                    raise ConflictError(f"{account or subject} is {each.name} already, and nobody is two persons")
            old = _found(records, name)
            records[name] = replace(
                old,
                accounts=tuple(dict.fromkeys([*old.accounts, *filter(None, [account])])),
                subjects=tuple(dict.fromkeys([*old.subjects, *filter(None, [subject])])),
            )
            return records[name]

    def revoke(self, name: str, *, now: datetime) -> UserRecord:
        """Let somebody in no more; once more changes nothing. Raises NotFoundError for nobody's name."""
        return self._change(name, lambda old: old if old.revoked else replace(old, revoked=now.isoformat()))

    def records(self) -> Sequence[UserRecord]:
        """Return what is kept of everybody, in order of creation."""
        return sorted(self._file.held().values(), key=lambda each: each.created)

    def named(self, name: str, *, now: datetime) -> UserRecord | None:
        """Return who is let in under a name; None for nobody."""
        found = self._file.held().get(name)
        return found if found is not None and found.is_good(now) else None

    def of_account(self, account: str, *, now: datetime) -> UserRecord | None:
        """Return the person that a user of this machine is; None for nobody known."""
        return next((each for each in self.records() if account in each.accounts and each.is_good(now)), None)

    def of_subject(self, subject: str, *, now: datetime) -> UserRecord | None:
        """Return the person whom a provider calls so; None for nobody known."""
        return next((each for each in self.records() if subject in each.subjects and each.is_good(now)), None)

    def holder(self, id: str, *, now: datetime) -> Principal | None:
        """Return the person with the id of a principal; None once the password is another, or nobody is let in."""
        prefix, _, rest = id.partition(".")
        if prefix != _PREFIX:
            return None
        inside, _, turn = rest.partition(".")
        found = next((each for each in self.records() if each.id == inside), None)
        return found.principal if found is not None and found.is_good(now) and str(found.turn) == turn else None

    def _change(self, name: str, change: Callable[[UserRecord], UserRecord]) -> UserRecord:
        with self._file.changing() as records:
            records[name] = change(_found(records, name))
            return records[name]


def _found(records: Mapping[str, UserRecord], name: str) -> UserRecord:
    if name not in records:
        raise NotFoundError(f"there is nobody called {name!r}; `anew access users` shows who there is")
    return records[name]


def _records(plain: Any) -> dict[str, UserRecord]:
    if plain["schema"] != _SCHEMA:
        raise ValueError(f"schema {plain['schema']}")
    found = [
        UserRecord(**{**each, "accounts": tuple(each["accounts"]), "subjects": tuple(each["subjects"])})
        for each in plain["users"]
    ]
    return {each.name: each for each in found}


def _plain(records: Mapping[str, UserRecord]) -> object:
    return {"schema": _SCHEMA, "users": [asdict(each) for each in records.values()]}
