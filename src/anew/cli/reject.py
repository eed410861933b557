"""Say no to a promotion that waits for persons: the candidate does not go to traffic."""

from pathlib import Path
from typing import Annotated

import typer

from anew.cli._changing import changing
from anew.cli._consent import Asked, Token, sign
from anew.cli._intent import Intent
from anew.domain.facts import RejectionSigned
from anew.governance import PROMOTION

__all__ = ["run"]


@changing
def run(
    intent: Intent,
    version: Annotated[str, typer.Argument(help="name of the candidate, e.g. v3")],
    reason: Annotated[str, typer.Option(help="why, for the record")],
    token: Token = "",
    project: Annotated[Path, typer.Option(help="the project's folder")] = Path(),
    json: Annotated[bool, typer.Option("--json", help="print anew.reject/1")] = False,
) -> None:
    """Sign the refusal; exit code 3 says that it does not count."""
    asked = Asked(version=version, gate=PROMOTION, reason=reason, token=token)
    sign(intent, RejectionSigned, project, asked, json=json)
