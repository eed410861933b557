"""Give, list and take back the tokens that programs and people use this project with."""

from pathlib import Path
from typing import Annotated

import typer

from anew.adapters.access_file import TokenRecord
from anew.app.access import create_token, revoke_token, tokens
from anew.app.duration import parse_duration
from anew.cli._output import emit_json, say
from anew.domain.access import Role

__all__ = ["COMMANDS"]

Project = Annotated[Path, typer.Option(help="the project's folder")]


def _create(
    name: Annotated[str, typer.Argument(help="who it is for, e.g. checkout or ann")],
    role: Annotated[Role, typer.Option(help="what it may do")] = Role.MACHINE,
    expires: Annotated[str, typer.Option(help="how long it is good, e.g. 90d; empty: until revoked")] = "",
    project: Project = Path(),
    json: Annotated[bool, typer.Option("--json", help="print anew.access.create/1")] = False,
) -> None:
    """Make a token. It is shown this once; only its hash is kept."""
    token, record = create_token(project, name, role, expires=parse_duration(expires) if expires else None)
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
    for each in found:
        state = f"revoked {each.revoked[:16]}" if each.revoked else f"expires {each.expires[:16] or 'never'}"
        say(f"{each.id}  {each.role:<9}  {each.name:<20}  made {each.created[:16]}  {state}")


def _revoke(
    token: Annotated[str, typer.Argument(help="id of the token, as `anew access list` shows it")],
    project: Project = Path(),
    json: Annotated[bool, typer.Option("--json", help="print anew.access.revoke/1")] = False,
) -> None:
    """Refuse a token from now on; gateways follow within a second."""
    record = revoke_token(project, token)
    if json:
        emit_json("anew.access.revoke/1", _plain(record))
        return
    say(f"the token of {record.name} is refused since {record.revoked[:19]}")


def _plain(record: TokenRecord) -> dict[str, object]:
    return {
        "id": record.id,
        "name": record.name,
        "role": record.role,
        "models": list(record.models),
        "created": record.created,
        "expires": record.expires,
        "revoked": record.revoked,
    }


COMMANDS = {"create": _create, "list": _list, "revoke": _revoke}
"""The commands of `anew access` by name."""
