"""Tokens of a project: made and revoked, each time with a fact on record."""

from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from anew.adapters.access_file import AccessFile, TokenRecord
from anew.adapters.sql_database import SQLDatabase
from anew.adapters.sql_inbox import SQLInbox
from anew.adapters.system_clock import SystemClock
from anew.app.accepted import accepted
from anew.app.asker import who_asks
from anew.app.record import open_record
from anew.app.secret import read_secret
from anew.app.settings import Settings
from anew.domain.access import Permission, Role
from anew.domain.errors import ForbiddenError
from anew.domain.fact import Fact
from anew.domain.facts import AccessGranted, AccessRevoked
from anew.governance import may

__all__ = ["access_file", "create_token", "revoke_token", "token_holder", "tokens"]


def access_file(state: Path) -> AccessFile:
    """Return the tokens of the project whose ``.anew`` folder is `state`."""
    return AccessFile(state / "access" / "tokens.json")


def create_token(
    project: Path, name: str, role: Role, *, models: Sequence[str] = (), expires: timedelta | None = None
) -> tuple[str, TokenRecord]:
    """Make a token and record that it was; returns it, to be shown once, and what is kept of it.

    Raises
    ------
    NotFoundError
        The project was never brought up.
    ConflictError
        Somebody of this name has a token already.
    """
    settings, now = accepted(project), SystemClock().now()
    until = None if expires is None else now + expires
    with closing(open_record(settings.state)) as database:
        token, record = access_file(settings.state).create(name, role, now=now, models=models, expires=until)
        _post(
            database,
            AccessGranted(
                model=settings.model, at=now, token=record.id, name=name, role=role.value, by=who_asks(), expires=until
            ),
        )
    return token, record


def revoke_token(project: Path, id: str) -> TokenRecord:
    """Refuse a token from now on and record it; raises NotFoundError when there is none."""
    settings, now = accepted(project), SystemClock().now()
    with closing(open_record(settings.state)) as database:
        record = access_file(settings.state).revoke(id, now=now)
        _post(database, AccessRevoked(model=settings.model, at=now, token=id, name=record.name, by=who_asks()))
    return record


def tokens(project: Path) -> Sequence[TokenRecord]:
    """Return what is kept of the project's tokens."""
    return access_file(accepted(project).state).records()


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


def _post(database: SQLDatabase, fact: Fact) -> None:
    """Hand a fact to the loop, which records it at its next turn, or when it next runs."""
    SQLInbox(database, clock=SystemClock()).post(fact.caused_by(""))
