"""Tokens and people of a project: made known, changed and revoked, each time with a fact on record."""

import secrets
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from anew.adapters.access_file import TokenRecord
from anew.adapters.password import check_password, hash_password
from anew.adapters.sql_database import SQLDatabase
from anew.adapters.sql_inbox import SQLInbox
from anew.adapters.system_clock import SystemClock
from anew.adapters.user_file import UserRecord
from anew.app.accepted import accepted
from anew.app.person import PROGRAMS, access_file, person_here, user_file
from anew.app.record import open_record
from anew.app.secret import read_secret
from anew.app.settings import Settings
from anew.domain.access import Permission, Role
from anew.domain.errors import ConflictError, ForbiddenError, NotFoundError, PolicyError
from anew.domain.fact import Fact
from anew.domain.facts import AccessChanged, AccessGranted, AccessRevoked
from anew.governance import may

__all__ = [
    "NewUser",
    "add_user",
    "create_token",
    "link_user",
    "people",
    "revoke_access",
    "set_password",
    "set_role",
    "token_holder",
    "tokens",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUser:
    """A person to be made known.

    Attributes
    ----------
    password
        Where it is, ``env:NAME`` or ``file:PATH``; empty: one is made.
    without
        Is there none, because tokens or a provider of identity prove who it is?
    account
        User of this machine who this person is; empty: none.
    """

    name: str
    role: Role
    expires: timedelta | None = None
    password: str = ""
    without: bool = False
    account: str = ""


def create_token(
    project: Path, name: str, role: Role, *, expires: timedelta | None = None, user: str = ""
) -> tuple[str, TokenRecord]:
    """Make a token and record that it was; returns it, to be shown once, and what is kept of it.

    Parameters
    ----------
    user
        The person whose it is; empty: nobody but its name, unless that is a person's.

    Raises
    ------
    NotFoundError
        The project was never brought up, or there is no such person.
    ConflictError
        Somebody of this name has a token already, or is called all but so.
    """
    settings, now = accepted(project), SystemClock().now()
    users = user_file(settings.state)
    if user and users.named(user, now=now) is None:
        raise NotFoundError(f"there is nobody called {user!r}; `anew access users` shows who there is")
    _check_name(settings.state, name)
    until = None if expires is None else now + expires
    with closing(open_record(settings.state)) as database:
        token, record = access_file(settings.state).create(name, role, now=now, expires=until, user=user)
        by = person_here(settings.state)
        granted = AccessGranted(
            model=settings.model, at=now, token=record.id, name=name, role=role.value, by=by, expires=until
        )
        _post(database, granted)
    return token, record


def add_user(project: Path, new: NewUser) -> tuple[str, UserRecord]:
    """Make a person known; returns the password that was made for it, empty where there is none or it was given.

    Raises
    ------
    NotFoundError
        The project was never brought up.
    PolicyError
        That is no name, or no password.
    ConflictError
        The name or the account is somebody's.
    """
    settings, now = accepted(project), SystemClock().now()
    _check_name(settings.state, new.name)
    password, made = ("", "") if new.without else _password(new.password)
    if password.casefold() == new.name.casefold():
        raise PolicyError("a password that is the name is none")
    kept = "" if new.without else hash_password(password)
    until = None if new.expires is None else now + new.expires
    users, by = user_file(settings.state), person_here(settings.state)
    with closing(open_record(settings.state)) as database:
        taken = users.of_account(new.account, now=now) if new.account else None
        if taken is not None:
            raise ConflictError(f"{new.account} is {taken.name} already, and nobody is two persons")
        record = users.add(new.name, new.role, now=now, kept=kept, expires=until)
        granted = AccessGranted(
            model=settings.model, at=now, token=record.id, name=record.name, role=record.role, by=by, expires=until,
        )  # fmt: skip
        _post(database, granted)
        if new.account:
            record = users.link(new.name, now=now, account=new.account)
            _post(database, _changed(settings, record, f"account {new.account}", by, now))
    return made, record


def set_password(project: Path, name: str, reference: str) -> tuple[str, UserRecord]:
    """Give somebody another password, which signs out whoever used the old one; returns one that was made."""
    settings = accepted(project)
    password, made = _password(reference)
    old = next((each.hash for each in user_file(settings.state).records() if each.name == name), "")
    if old and check_password(old, password):
        raise PolicyError(f"that is the password that {name} has")
    kept = hash_password(password)
    return made, _change(settings, "password", lambda: user_file(settings.state).set_password(name, kept))


def set_role(project: Path, name: str, role: Role) -> UserRecord:
    """Trust somebody with something else; raises NotFoundError for nobody's name."""
    settings = accepted(project)
    return _change(settings, f"role {role}", lambda: user_file(settings.state).set_role(name, role))


def link_user(project: Path, name: str, *, account: str = "", subject: str = "") -> UserRecord:
    """Say that a user of this machine, or somebody whom the provider of identity knows by `subject`, is this person.

    Raises
    ------
    NotFoundError
        There is nobody of this name.
    ConflictError
        It is somebody else already.
    """
    settings, now = accepted(project), SystemClock().now()
    if subject and settings.policy.access.oidc is not None:
        subject = f"{settings.policy.access.oidc.issuer} {subject}"
    elif subject:
        raise PolicyError("no provider of identity is set; see access.oidc in anew.yaml")
    change = " and ".join(filter(None, [account and f"account {account}", subject and f"subject {subject}"]))
    users = user_file(settings.state)
    return _change(settings, change, lambda: users.link(name, now=now, account=account, subject=subject))


def revoke_access(project: Path, who: str) -> TokenRecord | UserRecord:
    """Refuse a token, by its id, or a person by name, with all their tokens; raises NotFoundError for neither."""
    settings, now = accepted(project), SystemClock().now()
    users, access, by = user_file(settings.state), access_file(settings.state), person_here(settings.state)
    revoked: list[TokenRecord | UserRecord] = []
    with closing(open_record(settings.state)) as database:
        if any(each.name == who for each in users.records()):
            revoked.append(users.revoke(who, now=now))
            theirs = [each for each in access.records() if each.person == who and each.is_good(now)]
            revoked += [access.revoke(each.id, now=now) for each in theirs]
        else:
            revoked.append(access.revoke(who, now=now))
        for each in revoked:
            _post(database, AccessRevoked(model=settings.model, at=now, token=each.id, name=each.name, by=by))
    return revoked[0]


def tokens(project: Path) -> Sequence[TokenRecord]:
    """Return what is kept of the project's tokens."""
    return access_file(accepted(project).state).records()


def people(project: Path) -> Sequence[UserRecord]:
    """Return what is kept of the project's people."""
    return user_file(accepted(project).state).records()


def token_holder(settings: Settings, reference: str, what: Permission) -> str:
    """Return the name of whoever holds the token at `reference`, ``env:NAME`` or ``file:PATH``, and may do `what`.

    Raises
    ------
    ForbiddenError
        The token is none, or its role may not.
    SettingsError
        There is nothing where the reference points.
    """
    token = read_secret(reference, Path.cwd())
    who = access_file(settings.state).verify(token, now=SystemClock().now())
    if who is None:
        raise ForbiddenError(f"what is at {reference} is no good token of this project; `anew access list` shows them")
    if not may(who, what, settings.model):
        raise ForbiddenError(f"{who.name} is {who.role.value}, who may not {what.value} here")
    return who.name


def _check_name(state: Path, name: str) -> None:
    """Refuse a name that a program has, or that differs from another's in nothing but the size of its letters."""
    if name in PROGRAMS:
        raise ConflictError(f"{name!r} is what a program of anew is called on record; choose another name")
    known = {each.name for each in access_file(state).records()} | {each.name for each in user_file(state).records()}
    twin = next((each for each in known if each != name and each.casefold() == name.casefold()), "")
    if twin:
        raise ConflictError(f"{name!r} would be taken for {twin!r}; choose another name")


def _password(reference: str) -> tuple[str, str]:
    """Return the password to be set, and it once more where it was made here and has to be shown."""
    if reference:
        return read_secret(reference, Path.cwd()), ""
    made = secrets.token_urlsafe(15)
    return made, made


def _change(settings: Settings, change: str, make: Callable[[], UserRecord]) -> UserRecord:
    by, now = person_here(settings.state), SystemClock().now()
    with closing(open_record(settings.state)) as database:
        record = make()
        _post(database, _changed(settings, record, change, by, now))
    return record


def _changed(settings: Settings, record: UserRecord, change: str, by: str, now: datetime) -> AccessChanged:
    return AccessChanged(model=settings.model, at=now, user=record.id, name=record.name, change=change, by=by)


def _post(database: SQLDatabase, fact: Fact) -> None:
    """Hand a fact to the loop, which records it at its next turn, or when it next runs."""
    SQLInbox(database, clock=SystemClock()).post(fact.caused_by(""))
