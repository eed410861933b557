"""Which person stands behind an account of this machine, a token, or a name on record: the same one, whatever way."""

from pathlib import Path

from anew.adapters.access_file import AccessFile
from anew.adapters.fact_reader import read_facts
from anew.adapters.user_file import UserFile, UserRecord
from anew.app.asker import who_asks
from anew.app.record_place import has_record, record_place

__all__ = [
    "ACCOUNT",
    "PROGRAMS",
    "access_file",
    "names_on_record",
    "person_here",
    "person_of",
    "user_file",
]

PROGRAMS = frozenset({"anew up", "demo", "policy", "webhook"})
"""Who acts on record without being anybody."""

ACCOUNT = "account:"
"""What a user of this machine is called on record, before the name; no person's name has a colon."""

_SAID = ("RetrainCommanded", "OverrideSigned", "ApprovalSigned", "RejectionSigned")


def access_file(state: Path) -> AccessFile:
    """Return the tokens of the project whose ``.anew`` folder is `state`."""
    return AccessFile(state / "access" / "tokens.json", user_file(state))


def user_file(state: Path) -> UserFile:
    """Return the people of the project whose ``.anew`` folder is `state`."""
    return UserFile(state / "access" / "users.json")


def person_of(state: Path, name: str) -> UserRecord | None:
    """Return the person whom a name on record means, let in or not; None for nobody of whom it was said who that is.

    It may be a person's name or what one was called before, ``account:NAME``, or the name of a token; and of what was
    recorded before accounts were told apart, an account's.
    """
    users = user_file(state)
    if name.startswith(ACCOUNT):
        return users.of_account(name.removeprefix(ACCOUNT))
    found = users.called(name)
    if found is not None:
        return found
    owners = {each.user for each in access_file(state).records() if each.name == name}
    if owners:  # of two tokens of one name that are not both theirs, it is not known whose did it
        return users.called(owners.pop()) if len(owners) == 1 else None
    return users.of_account(name)


def person_here(state: Path) -> str:
    """Return the name of the person who runs this program; ``account:NAME`` where nobody has said who that is."""
    account = f"{ACCOUNT}{who_asks()}"
    found = person_of(state, account)
    return account if found is None else found.name


def names_on_record(state: Path) -> frozenset[str]:
    """Return in whose names there were retrains asked for and candidates signed for."""
    facts = read_facts(record_place(state), kinds=frozenset(_SAID)) if has_record(state) else ()
    return frozenset(str(getattr(each.fact, "by", "")) for each in facts) - {""}
