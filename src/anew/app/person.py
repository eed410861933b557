"""Which person stands behind an account of this machine, a token, or a name on record: the same one, whatever way."""

from pathlib import Path

from anew.adapters.access_file import AccessFile
from anew.adapters.system_clock import SystemClock
from anew.adapters.user_file import UserFile, UserRecord
from anew.app.asker import who_asks

__all__ = ["PROGRAMS", "access_file", "account_holder", "is_taken", "person_here", "person_named", "user_file"]

PROGRAMS = frozenset({"anew up", "demo", "policy", "webhook"})
"""Who acts on record without being anybody."""


def access_file(state: Path) -> AccessFile:
    """Return the tokens of the project whose ``.anew`` folder is `state`."""
    return AccessFile(state / "access" / "tokens.json")


def user_file(state: Path) -> UserFile:
    """Return the people of the project whose ``.anew`` folder is `state`."""
    return UserFile(state / "access" / "users.json")


def account_holder(state: Path) -> UserRecord | None:
    """Return the person that the user who runs this program is; None where nobody has said who that is."""
    return user_file(state).of_account(who_asks(), now=SystemClock().now())


def person_here(state: Path) -> str:
    """Return the name of the person who runs this program; of the account where nobody has said whose that is."""
    found = account_holder(state)
    return who_asks() if found is None else found.name


def person_named(state: Path, name: str) -> str:
    """Return the person whom a name on record means; empty for an account of which nobody has said whose it is."""
    users = user_file(state).records()
    if name in PROGRAMS or any(each.name == name for each in users):
        return name
    of_account = next((each.name for each in reversed(users) if name in each.accounts), "")
    if of_account:
        return of_account
    return next((each.person for each in access_file(state).records() if name in (each.name, each.person)), "")


def is_taken(state: Path, name: str) -> bool:
    """Does anybody or anything go by this name, or by one that differs in the size of its letters alone?"""
    tokens, users = access_file(state).records(), user_file(state).records()
    accounts = {account for each in users for account in each.accounts}
    names = {each.name for each in users} | {each.name for each in tokens} | {each.user for each in tokens}
    return name.casefold() in {each.casefold() for each in names | accounts | PROGRAMS}
