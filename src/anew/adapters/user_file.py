"""People of an installation, in a file that only its owner may read: who they are, wherever they come from."""

import base64
import hashlib
import re
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
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
    created, expires, revoked
        ISO 8601 instants in UTC; the last two are empty when they never came.
    accounts
        Users of this machine who are this person.
    subjects
        What providers of identity call this person, each as issuer, a space, and subject.
    aliases
        What else this person was called on record, before it was said who that is.
    provided
        Is what this person may the word of such a provider?
    """

    id: str
    name: str
    role: str
    created: str
    hash: str = ""
    expires: str = ""
    revoked: str = ""
    accounts: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    provided: bool = False

    def problem(self, now: datetime) -> str:
        """Say why this person is not let in at `now`; empty for one who is."""
        if self.revoked:
            return f"{self.name} was revoked {self.revoked[:16]}"
        expired = self.expires and datetime.fromisoformat(self.expires) <= now
        return f"{self.name} expired {self.expires[:16]}" if expired else ""

    def is_good(self, now: datetime) -> bool:
        """Is this person let in at `now`?"""
        return not self.problem(now)

    @property
    def principal(self) -> Principal:
        """Who it is, under an id that a new password ends."""
        turn = hashlib.sha256(self.hash.encode()).hexdigest()[:16]
        return Principal(id=f"{_PREFIX}.{self.id}.{turn}", name=self.name, role=Role(self.role))


class UserFile:
    """The people of an installation, in one JSON file. Thread- and process-safe.

    Whoever was revoked or has expired stays in it with all that was theirs: a name, an account and a subject lead to
    one person at most, good or not, so that nobody who was sent away is taken for somebody new.
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
        account: str = "",
        subject: str = "",
        told: Callable[[UserRecord], object] = lambda _: None,
    ) -> UserRecord:
        """Make a person known; under a name of somebody who is let in no more, without what was theirs.

        Parameters
        ----------
        kept
            What is kept of the password; empty for none.
        account
            A user of this machine who this person is; empty for none.
        subject
            What the provider calls a person whom it brings.
        told
            Hears of the person before anything is kept; when it raises, nothing is.

        Raises
        ------
        PolicyError
            That is no name.
        ConflictError
            The name, the account or the subject is somebody's.
        """
        if not _NAME.fullmatch(name):
            raise PolicyError(
                f"{name!r} is no name: small letters, digits and . _ @ + - after the first, 128 at most, so that no "
                "two names look alike"
            )
        with self._file.changing() as records:
            for each in records.values():
                if (each.name == name and each.is_good(now)) or name in each.aliases:
                    raise ConflictError(f"{name} is known already; revoke that one first, or choose another name")
                if subject in each.subjects:
                    raise ConflictError(f"{subject} is {each.name} already, and nobody is two persons")
            _take_account(records, account, now)
            record = UserRecord(
                id=base64.b32encode(secrets.token_bytes(10)).decode().lower(),
                name=name,
                role=role.value,
                created=now.isoformat(),
                hash=kept,
                expires=expires.isoformat() if expires else "",
                accounts=_with((), account),
                subjects=_with((), subject),
                provided=bool(subject),
            )
            told(record)
            records[record.id] = record
            return record

    def set_password(self, name: str, kept: str, *, now: datetime) -> UserRecord:
        """Take another password, which ends every session of the old one.

        Raises
        ------
        NotFoundError
            There is nobody of this name who is let in.
        PolicyError
            A provider vouches for this person, whom a password would let in after it does so no more.
        """
        return self._change(name, now, lambda old: replace(_own(old), hash=kept))

    def set_role(self, name: str, role: Role, *, now: datetime) -> UserRecord:
        """Trust somebody with something else; raises as `set_password`: a provider's word would undo it."""
        return self._change(name, now, lambda old: replace(_own(old), role=role.value))

    def set_provided_role(self, name: str, role: Role, *, now: datetime) -> UserRecord:
        """Trust somebody with what the provider says now."""
        return self._change(name, now, lambda old: replace(old, role=role.value))

    def link(self, name: str, *, now: datetime, account: str = "", subject: str = "") -> UserRecord:
        """Say that a user of this machine, or somebody whom a provider knows, is this person.

        An account is taken from who is let in no more. Whom a provider brought under another name is one with this
        person from now on, with all that was theirs, and is remembered under that name.

        Raises
        ------
        NotFoundError
            There is nobody of this name who is let in.
        ConflictError
            It is somebody else already.
        """
        with self._file.changing() as records:
            mine = _good(records, name, now)
            other = next((each for each in records.values() if subject in each.subjects and each.id != mine.id), None)
            if other is not None:
                if other.is_good(now) and not other.provided:
                    raise ConflictError(f"{subject} is {other.name} already, and nobody is two persons")
                del records[other.id]
                mine = replace(
                    mine,
                    accounts=_with(mine.accounts, *other.accounts),
                    subjects=_with(mine.subjects, *other.subjects),
                    aliases=_with(mine.aliases, *({other.name, *other.aliases} - {mine.name})),
                )
            if account not in mine.accounts:
                _take_account(records, account, now)
            mine = replace(mine, accounts=_with(mine.accounts, account), subjects=_with(mine.subjects, subject))
            records[mine.id] = mine
            return mine

    def revoke(self, name: str, *, now: datetime) -> UserRecord:
        """Let somebody in no more; once more changes nothing. Raises NotFoundError for nobody's name."""
        with self._file.changing() as records:
            old = _called(records.values(), name)
            if old is None:
                raise _nobody(name)
            records[old.id] = old if old.revoked else replace(old, revoked=now.isoformat())
            return records[old.id]

    def records(self) -> Sequence[UserRecord]:
        """Return what is kept of everybody, in order of creation."""
        return sorted(self._file.held().values(), key=lambda each: each.created)

    def named(self, name: str, *, now: datetime) -> UserRecord | None:
        """Return who is let in under a name; None for nobody."""
        found = _called(self._file.held().values(), name)
        return found if found is not None and found.name == name and found.is_good(now) else None

    def known(self, name: str, *, now: datetime, own: bool = False) -> UserRecord:
        """Return who is let in under a name, `own` if only whom no provider decides about; raises as `set_role`."""
        found = _good(self._file.held(), name, now)
        return _own(found) if own else found

    def called(self, name: str) -> UserRecord | None:
        """Return who is or was called so, let in or not; None for nobody ever known."""
        return _called(self._file.held().values(), name)

    def of_account(self, account: str) -> UserRecord | None:
        """Return the person that a user of this machine is, let in or not; None for nobody ever known."""
        return next((each for each in self._file.held().values() if account in each.accounts), None)

    def of_subject(self, subject: str) -> UserRecord | None:
        """Return the person whom a provider calls so, let in or not; None for nobody ever known."""
        return next((each for each in self._file.held().values() if subject in each.subjects), None)

    def holder(self, id: str, *, now: datetime) -> Principal | None:
        """Return the person with the id of a principal; None once the password is another, or nobody is let in."""
        prefix, _, rest = id.partition(".")
        found = self._file.held().get(rest.partition(".")[0]) if prefix == _PREFIX else None
        return found.principal if found is not None and found.is_good(now) and found.principal.id == id else None

    def _change(self, name: str, now: datetime, change: Callable[[UserRecord], UserRecord]) -> UserRecord:
        with self._file.changing() as records:
            made = change(_good(records, name, now))
            records[made.id] = made
            return made


def _called(records: Iterable[UserRecord], name: str) -> UserRecord | None:
    """Return who bears a name, the newest of those who did; or who bore it before it was said who that is."""
    named = [each for each in records if each.name == name]
    aliased = [each for each in records if name in each.aliases]
    found = named or aliased
    return found[-1] if found else None


def _good(records: Mapping[str, UserRecord], name: str, now: datetime) -> UserRecord:
    found = _called(records.values(), name)
    if found is None or found.name != name:
        raise _nobody(name)
    if problem := found.problem(now):
        raise NotFoundError(f"{problem}; `anew access add-user` makes somebody of this name known anew")
    return found


def _nobody(name: str) -> NotFoundError:
    return NotFoundError(f"there is nobody called {name!r}; `anew access users` shows who there is")


def _own(record: UserRecord) -> UserRecord:
    """Refuse to say of somebody what a provider says."""
    if record.provided:
        raise PolicyError(
            f"a provider of identity vouches for {record.name}, says what {record.name} may, and alone lets "
            f"{record.name} in: change it there, or revoke {record.name} here"
        )
    return record


def _take_account(records: dict[str, UserRecord], account: str, now: datetime) -> None:
    """Take a user of this machine from whoever it was, or say that it is somebody."""
    for each in [each for each in records.values() if account in each.accounts]:
        if each.is_good(now):
            raise ConflictError(f"{account} is {each.name} already, and nobody is two persons")
        records[each.id] = replace(each, accounts=tuple(other for other in each.accounts if other != account))


def _with(old: tuple[str, ...], *more: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*old, *sorted(filter(None, more))]))


def _records(plain: Any) -> dict[str, UserRecord]:
    if plain["schema"] != _SCHEMA:
        raise ValueError(f"schema {plain['schema']}")
    found = [_record(each) for each in plain["users"]]
    return {each.id: each for each in found}


def _record(plain: Mapping[str, Any]) -> UserRecord:
    lists = {name: tuple(plain.get(name, ())) for name in ("accounts", "subjects", "aliases")}
    return UserRecord(**{name: value for name, value in plain.items() if name != "turn"} | lists)


def _plain(records: Mapping[str, UserRecord]) -> object:
    return {"schema": _SCHEMA, "users": [asdict(each) for each in records.values()]}
