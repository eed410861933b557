"""Override a required gate that did not pass, for exactly this candidate; the signed reason stays on record."""

from pathlib import Path
from typing import Annotated

import typer

from anew.cli._changing import changing
from anew.cli._consent import Asked, Token, sign
from anew.cli._intent import Intent
from anew.domain.facts import OverrideSigned

__all__ = ["run"]


@changing
def run(
    intent: Intent,
    version: Annotated[str, typer.Argument(help="name of the candidate, e.g. v3")],
    gate: Annotated[str, typer.Argument(help="name of the gate, as `anew explain` shows it")],
    reason: Annotated[str, typer.Option(help="why, for the record")],
    token: Token = "",
    project: Annotated[Path, typer.Option(help="the project's folder")] = Path(),
    json: Annotated[bool, typer.Option("--json", help="print anew.override/1")] = False,
) -> None:
    """Sign for it and say what the loop decided."""
    asked = Asked(version=version, gate=gate, reason=reason, token=token)
    sign(intent, OverrideSigned, project, asked, json=json)
