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
from anew.app.person import ACCOUNT, PROGRAMS, access_file, person_here, person_of, user_file
from anew.app.record import open_record
from anew.app.secret import read_secret
from anew.app.settings import Settings
from anew.domain.access import Permission, Role
from anew.domain.errors import ConflictError, ForbiddenError, NotFoundError, PolicyError, SettingsError
from anew.domain.fact import Fact
from anew.domain.facts import AccessChanged, AccessGranted, AccessRevoked
from anew.governance import PERMISSIONS, may

__all__ = [
    "NewUser",
    "account_holder",
    "add_user",
    "check_role",
    "create_token",
    "known_person",
    "link_token",
    "link_user",
    "people",
    "refused_with",
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
    PolicyError
        The person whose it is may not what its role may.
    SettingsError
        It would have expired already.
    """
    settings, now = accepted(project), SystemClock().now()
    users = user_file(settings.state)
    if user and users.named(user, now=now) is None:
        raise NotFoundError(f"there is nobody called {user!r}; `anew access users` shows who there is")
    _check_name(settings.state, name)
    person = users.named(user or name, now=now)
    if person is not None and not PERMISSIONS[role] <= PERMISSIONS[Role(person.role)]:
        raise PolicyError(
            f"{person.name} is {person.role}, and a token of theirs may no more than they: not what a token of the "
            f"role {role.value} is for"
        )
    until = _until(expires, now)
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
    SettingsError
        It would have expired already.
    """
    settings, now = accepted(project), SystemClock().now()
    _check_name(settings.state, new.name)
    password, made = ("", "") if new.without else _password(new.password, new.name)
    kept = "" if new.without else hash_password(password)
    until = _until(new.expires, now)
    users, by = user_file(settings.state), person_here(settings.state)
    with closing(open_record(settings.state)) as database:

        def told(record: UserRecord) -> None:
            granted = AccessGranted(
                model=settings.model, at=now, token=record.id, name=record.name, role=record.role, by=by, expires=until
            )
            _post(database, granted)
            if new.account:
                _post(database, _changed(settings, record, f"account {new.account}", by, now))

        _revoke_tokens(settings, database, new.name, now)
        record = users.add(new.name, new.role, now=now, kept=kept, expires=until, account=new.account, told=told)
    return made, record


def _until(expires: timedelta | None, now: datetime) -> datetime | None:
    """Return until when access is good; None: until it is revoked."""
    try:
        until = None if expires is None else now + expires
    except OverflowError as exc:
        raise SettingsError("that is longer than any date reaches; say how long it is good, e.g. 90d") from exc
    if until == now:
        raise SettingsError("it would have expired already; say how long it is good, e.g. 90d")
    return until


def set_password(project: Path, name: str, reference: str) -> tuple[str, UserRecord]:
    """Give somebody another password, which signs out whoever used the old one; returns one that was made."""
    settings, now = accepted(project), SystemClock().now()
    users = user_file(settings.state)
    password, made = _password(reference, name)
    old = users.named(name, now=now)
    if old is not None and old.hash and check_password(old.hash, password):
        raise PolicyError(f"that is the password that {name} has")
    kept = hash_password(password)
    return made, _change(settings, "password", lambda: users.set_password(name, kept, now=now))


def set_role(project: Path, name: str, role: Role) -> UserRecord:
    """Trust somebody with something else; raises as `UserFile.set_role`."""
    settings, now = accepted(project), SystemClock().now()
    return _change(settings, f"role {role}", lambda: user_file(settings.state).set_role(name, role, now=now))


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
    users, by = user_file(settings.state), person_here(settings.state)
    old = users.called(name)
    with closing(open_record(settings.state)) as database:
        record = users.link(name, now=now, account=account, subject=subject)
        changes = [f"account {account}"] if account else []
        changes += [f"subject {subject}"] if subject else []
        changes += [f"name {each}" for each in record.aliases if old is None or each not in old.aliases]
        for each in changes:
            _post(database, _changed(settings, record, each, by, now))
    return record


def link_token(project: Path, name: str, token: str) -> UserRecord:
    """Say that the token with this id is a person's, and that what was done with it was done by that person.

    Raises
    ------
    NotFoundError
        There is nobody of this name, or no such token.
    ConflictError
        It is somebody else's already.
    """
    settings, now = accepted(project), SystemClock().now()
    users, access = user_file(settings.state), access_file(settings.state)
    person, record = users.named(name, now=now), next((each for each in access.records() if each.id == token), None)
    if person is None:
        raise NotFoundError(f"there is nobody called {name!r}; `anew access users` shows who there is")
    holder = None if record is None else users.called(record.person)
    if record is not None and (holder or person).id != person.id:
        raise ConflictError(f"the token {token} is {record.person}'s already, and nobody is two persons")

    def link() -> UserRecord:
        access.link(token, name)
        return person

    return _change(settings, f"token {token}", link)


def revoke_access(project: Path, who: str) -> TokenRecord | UserRecord:
    """Refuse a token, by its id, or a person by name, with all their tokens; raises NotFoundError for neither."""
    settings, now = accepted(project), SystemClock().now()
    users, access, by = user_file(settings.state), access_file(settings.state), person_here(settings.state)
    with closing(open_record(settings.state)) as database:
        if users.called(who) is None:
            token = access.revoke(who, now=now)
            _post(database, _revoked(settings, token, by, now))
            return token
        person = users.revoke(who, now=now)
        _post(database, _revoked(settings, person, by, now))
        _revoke_tokens(settings, database, person.name, now)
    return person


def refused_with(project: Path, who: str) -> Sequence[TokenRecord | UserRecord]:
    """Return whom `revoke_access` would refuse: a token, or a person and then their tokens; raises as it does."""
    settings, now = accepted(project), SystemClock().now()
    users, access = user_file(settings.state), access_file(settings.state)
    person = users.called(who)
    if person is None:
        return [access.record(who)]
    return [person, *(each for each in access.records() if users.called(each.person) == person and each.is_good(now))]


def known_person(project: Path, name: str, *, own: bool = False) -> UserRecord:
    """Return somebody who is let in; raises as `UserFile.known`."""
    return user_file(accepted(project).state).known(name, now=SystemClock().now(), own=own)


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


def account_holder(settings: Settings, what: Permission) -> str:
    """Return the name of whoever runs this program; raises as `check_role` where it is known who that is."""
    name = person_here(settings.state)
    person = person_of(settings.state, name)
    if person is not None:
        check_role(settings, person, what)
    return name


def check_role(settings: Settings, person: UserRecord, what: Permission) -> None:
    """Refuse a person who is let in no more, or whose role may not do `what`.

    Raises
    ------
    ForbiddenError
        The message says which.
    """
    if problem := person.problem(SystemClock().now()):
        raise ForbiddenError(f"{problem}, and may not {what.value} here")
    if not may(person.principal, what, settings.model):
        raise ForbiddenError(f"{person.name} is {person.role}, who may not {what.value} here")


def _revoke_tokens(settings: Settings, database: SQLDatabase, name: str, now: datetime) -> None:
    """Refuse the tokens of whoever bears or bore a name, unless that person is let in."""
    users, access = user_file(settings.state), access_file(settings.state)
    person = users.called(name)
    if person is None or person.is_good(now):
        return
    theirs = [each for each in access.records() if users.called(each.person) == person and each.is_good(now)]
    for each in theirs:
        token, by = access.revoke(each.id, now=now), person_here(settings.state)
        _post(database, _revoked(settings, token, by, now))


def _check_name(state: Path, name: str) -> None:
    """Refuse a name that a program has, or that differs from another's in nothing but the size of its letters."""
    if name in PROGRAMS or name.startswith(ACCOUNT):
        raise ConflictError(f"{name!r} is what a program or an account is called on record; choose another name")
    known = {each.name for each in access_file(state).records()} | {each.name for each in user_file(state).records()}
    twin = next((each for each in known if each != name and each.casefold() == name.casefold()), "")
    if twin:
        raise ConflictError(f"{name!r} would be taken for {twin!r}; choose another name")


def _password(reference: str, name: str) -> tuple[str, str]:
    """Return the password to be set, and it once more where it was made here and has to be shown."""
    if not reference:
        made = secrets.token_urlsafe(15)
        return made, made
    password = read_secret(reference, Path.cwd())
    if password.casefold() == name.casefold():
        raise PolicyError("a password that is the name is none")
    return password, ""


def _change(settings: Settings, change: str, make: Callable[[], UserRecord]) -> UserRecord:
    by, now = person_here(settings.state), SystemClock().now()
    with closing(open_record(settings.state)) as database:
        record = make()
        _post(database, _changed(settings, record, change, by, now))
    return record


def _changed(settings: Settings, record: UserRecord, change: str, by: str, now: datetime) -> AccessChanged:
    return AccessChanged(model=settings.model, at=now, user=record.id, name=record.name, change=change, by=by)


def _revoked(settings: Settings, record: TokenRecord | UserRecord, by: str, now: datetime) -> AccessRevoked:
    return AccessRevoked(model=settings.model, at=now, token=record.id, name=record.name, by=by)


def _post(database: SQLDatabase, fact: Fact) -> None:
    """Hand a fact to the loop, which records it at its next turn, or when it next runs."""
    SQLInbox(database, clock=SystemClock()).post(fact.caused_by(""))
