"""Let programs and people use this project: give, list and take back tokens; people sign in with passwords."""

from pathlib import Path
from typing import Annotated

import typer

from anew.adapters.access_file import TokenRecord
from anew.adapters.system_clock import SystemClock
from anew.adapters.user_file import UserRecord
from anew.app.access import (
    NewUser,
    add_user,
    create_token,
    known_person,
    link_token,
    link_user,
    people,
    refused_with,
    revoke_access,
    set_password,
    set_role,
    tokens,
)
from anew.app.duration import parse_duration
from anew.cli._changing import changing
from anew.cli._intent import Intent, agreed, check_champion
from anew.cli._output import emit_json, minute, say
from anew.domain.access import Role

__all__ = ["COMMANDS"]

Project = Annotated[Path, typer.Option(help="the project's folder")]
Name = Annotated[str, typer.Argument(help="who it is, as `anew access users` shows it")]
Expires = Annotated[str, typer.Option(help="how long it is good, e.g. 90d; empty: until revoked")]
Password = Annotated[
    str, typer.Option(help="where the password is, env:NAME or file:PATH; without, one is made and shown once")
]


def _create(
    name: Annotated[str, typer.Argument(help="who it is for, e.g. checkout or ann")],
    role: Annotated[Role, typer.Option(help="what it may do")] = Role.MACHINE,
    expires: Expires = "",
    user: Annotated[str, typer.Option(help="the person whose it is, where the token is called otherwise")] = "",
    project: Project = Path(),
    json: Annotated[bool, typer.Option("--json", help="print anew.access.create/1")] = False,
) -> None:
    """Make a token. It is shown this once; only its hash is kept."""
    until = parse_duration(expires) if expires else None
    token, record = create_token(project, name, role, expires=until, user=user)
    if json:
        emit_json("anew.access.create/1", {"token": token, **_plain(record)})
        return
    say(token)
    typer.echo(f"for {name}, {role.value}; send it as: Authorization: Bearer TOKEN. It is not shown again.", err=True)


def _list(
    project: Project = Path(),
    json: Annotated[bool, typer.Option("--json", help="print anew.access.list/1")] = False,
) -> None:
    """List the tokens, never their secrets."""
    found = tokens(project)
    if json:
        emit_json("anew.access.list/1", {"tokens": [_plain(each) for each in found]})
        return
    if not found:
        say("no token was ever made: anew access create NAME")
    for each in found:
        say(f"{each.id}  {each.role:<9}  {each.name:<20}  made {minute(each.created)}  {_state(each)}")


@changing
def _revoke(
    intent: Intent,
    who: Annotated[str, typer.Argument(help="id of a token, or name of a person: with all tokens that are theirs")],
    project: Project = Path(),
    json: Annotated[bool, typer.Option("--json", help="print anew.access.revoke/1")] = False,
) -> None:
    """Refuse a token or let a person in no more, from now on; gateways and sessions follow at the next request."""
    check_champion(project, intent)
    record, *theirs = refused_with(project, who)
    also = f", with {len(theirs)} of their tokens" if theirs else ""
    kind = "the token of " if isinstance(record, TokenRecord) else ""
    done = agreed(intent, f"refuse {kind}{record.name} ({record.role}){also}", as_json=json)
    if done:
        record = revoke_access(project, who)
    if json:
        plain = _plain(record) if isinstance(record, TokenRecord) else _person(record)
        emit_json("anew.access.revoke/1", {"changed": done, **plain})
        return
    if not done:
        return
    what = f"the token of {record.name} is" if isinstance(record, TokenRecord) else f"{record.name} is"
    say(f"{what} refused since {record.revoked[:19]}")


def _add_user(
    name: Annotated[str, typer.Argument(help="a name in small letters, e.g. ann or ann@example.org")],
    role: Annotated[Role, typer.Option(help="what this person may do")] = Role.VIEWER,
    expires: Expires = "",
    password: Password = "",
    no_password: Annotated[
        bool, typer.Option("--no-password", help="tokens or a provider of identity prove who it is")
    ] = False,
    account: Annotated[str, typer.Option(help="user of this machine who this person is")] = "",
    project: Project = Path(),
    json: Annotated[bool, typer.Option("--json", help="print anew.access.add-user/1")] = False,
) -> None:
    """Make a person known, who signs in to the dashboard with a password."""
    if password and no_password:
        raise typer.BadParameter("either there is a password or there is none", param_hint="--no-password")
    until = parse_duration(expires) if expires else None
    new = NewUser(name=name, role=role, expires=until, password=password, without=no_password, account=account)
    made, record = add_user(project, new)
    _tell_password("anew.access.add-user/1", record, made, as_json=json)


def _users(
    project: Project = Path(),
    json: Annotated[bool, typer.Option("--json", help="print anew.access.users/1")] = False,
) -> None:
    """List the people, never their passwords."""
    found = people(project)
    if json:
        emit_json("anew.access.users/1", {"users": [_person(each) for each in found]})
        return
    if not found:
        say("nobody is known yet: anew access add-user NAME")
    for each in found:
        how = [*(["password"] if each.hash else []), *each.accounts, *each.subjects]
        say(f"{each.name:<24}  {each.role:<9}  {', '.join(how) or 'no password'}  {_state(each)}")


@changing
def _set_password(
    intent: Intent,
    name: Name,
    password: Password = "",
    project: Project = Path(),
    json: Annotated[bool, typer.Option("--json", help="print anew.access.set-password/1")] = False,
) -> None:
    """Give a person another password; whoever is signed in with the old one is signed out."""
    check_champion(project, intent)
    record, made = known_person(project, name, own=True), ""
    done = agreed(intent, f"give {name} another password, and sign {name} out", as_json=json)
    if done:
        made, record = set_password(project, name, password)
    if done or json:
        _tell_password("anew.access.set-password/1", record, made, as_json=json, changed=done)


@changing
def _set_role(
    intent: Intent,
    name: Name,
    role: Annotated[Role, typer.Argument(help="what this person may do")],
    project: Project = Path(),
    json: Annotated[bool, typer.Option("--json", help="print anew.access.set-role/1")] = False,
) -> None:
    """Trust a person with something else from now on."""
    check_champion(project, intent)
    record = known_person(project, name, own=True)
    done = agreed(intent, f"make {name} {role}, who is {record.role} now", as_json=json)
    if done:
        record = set_role(project, name, role)
    if json:
        emit_json("anew.access.set-role/1", {"changed": done, **_person(record)})
    elif done:
        say(f"{record.name} is {record.role} now")


@changing
def _link(
    intent: Intent,
    name: Name,
    account: Annotated[str, typer.Option(help="user of this machine who this person is")] = "",
    subject: Annotated[str, typer.Option(help="`sub` by which the provider of identity knows this person")] = "",
    token: Annotated[str, typer.Option(help="id of a token that is this person's; see `anew access list`")] = "",
    project: Project = Path(),
    json: Annotated[bool, typer.Option("--json", help="print anew.access.link/1")] = False,
) -> None:
    """Say who a user of this machine is, or somebody whom the provider of identity knows, or whose a token is."""
    if not account and not subject and not token:
        raise typer.BadParameter("say which: --account USER, --subject SUB or --token ID", param_hint="--account")
    check_champion(project, intent)
    record = known_person(project, name)
    who = " and ".join(each for each in (account, subject, token and f"whoever holds {token}") if each)
    done = agreed(intent, f"say that {who} is {name}, which is not taken back", as_json=json)
    if token and done:
        record = link_token(project, name, token)
    if (account or subject) and done:
        record = link_user(project, name, account=account, subject=subject)
    if json:
        emit_json("anew.access.link/1", {"changed": done, **_person(record)})
    if json or not done:
        return
    also = [*record.aliases, *record.accounts, *record.subjects, *([f"who holds {token}"] if token else [])]
    say(f"{record.name} is also {', '.join(also)}")


def _tell_password(schema: str, record: UserRecord, made: str, *, as_json: bool, changed: bool | None = None) -> None:
    if as_json:
        done = {} if changed is None else {"changed": changed}
        emit_json(schema, {**done, "password": made, **_person(record)})
        return
    if made:
        say(made)
    told = "the password; it is not shown again" if made else "known"
    typer.echo(f"{record.name}, {record.role}: {told}", err=True)


def _state(record: TokenRecord | UserRecord) -> str:
    if record.revoked:
        return f"revoked {minute(record.revoked)}"
    good = record.is_good(SystemClock().now())
    return f"{'expires' if good else 'expired'} {minute(record.expires) or 'never'}"


def _plain(record: TokenRecord) -> dict[str, object]:
    return {
        "id": record.id,
        "name": record.name,
        "role": record.role,
        "models": list(record.models),
        "user": record.user,
        "created": record.created,
        "expires": record.expires,
        "revoked": record.revoked,
    }


def _person(record: UserRecord) -> dict[str, object]:
    return {
        "id": record.id,
        "name": record.name,
        "role": record.role,
        "has_password": bool(record.hash),
        "accounts": list(record.accounts),
        "subjects": list(record.subjects),
        "aliases": list(record.aliases),
        "created": record.created,
        "expires": record.expires,
        "revoked": record.revoked,
    }


COMMANDS = {
    "create": _create,
    "list": _list,
    "revoke": _revoke,
    "add-user": _add_user,
    "users": _users,
    "set-password": _set_password,
    "set-role": _set_role,
    "link": _link,
}
"""The commands of `anew access` by name."""
