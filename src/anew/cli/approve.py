"""Approve a gate that asks a person, for exactly the candidate that is waiting."""

from pathlib import Path
from typing import Annotated

import typer

from anew.cli._consent import sign
from anew.domain.facts import ApprovalSigned

__all__ = ["run"]


def run(
    version: Annotated[str, typer.Argument(help="name of the candidate, e.g. v3")],
    gate: Annotated[str, typer.Argument(help="name of the gate, as `anew explain` shows it")],
    reason: Annotated[str, typer.Option(help="why, for the record")],
    project: Annotated[Path, typer.Option(help="the project's folder")] = Path(),
    json: Annotated[bool, typer.Option("--json", help="print anew.approve/1")] = False,
) -> None:
    """Sign for it and say what the loop decided."""
    sign("approve", ApprovalSigned, project, (version, gate, reason), json)
