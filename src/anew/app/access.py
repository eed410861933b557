"""Tokens of a project: made and revoked, each time with a fact on record."""

from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from anew.adapters.access_file import AccessFile, TokenRecord
from anew.adapters.sql_engine import Database
from anew.adapters.sql_inbox import SQLInbox
from anew.adapters.system_clock import SystemClock
from anew.app.accepted import accepted
from anew.app.asker import who_asks
from anew.domain.access import Role
from anew.domain.fact import Fact
from anew.domain.facts import AccessGranted, AccessRevoked

__all__ = ["access_file", "create_token", "revoke_token", "tokens"]


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
    with closing(Database(settings.state / "anew.db", create=False)) as database:
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
    with closing(Database(settings.state / "anew.db", create=False)) as database:
        record = access_file(settings.state).revoke(id, now=now)
        _post(database, AccessRevoked(model=settings.model, at=now, token=id, name=record.name, by=who_asks()))
    return record


def tokens(project: Path) -> Sequence[TokenRecord]:
    """Return what is kept of the project's tokens."""
    return access_file(accepted(project).state).records()


def _post(database: Database, fact: Fact) -> None:
    """Hand a fact to the loop, which records it at its next turn, or when it next runs."""
    SQLInbox(database, clock=SystemClock()).post(fact.caused_by(""))
