"""Run the project's gates on a version of its registry, as CI does: exit 3 when they refuse it, 8 when one asks."""

from pathlib import Path
from typing import Annotated

import typer

from anew.app.alias import version_of
from anew.app.gate_check import check_gates
from anew.app.record_place import has_record
from anew.app.settings import load
from anew.app.status import state_folder
from anew.cli._output import emit_json, say
from anew.domain.errors import NotFoundError

__all__ = ["run"]


def run(
    version: Annotated[str, typer.Argument(help="a version (v3), or champion, challenger or fallback")],
    project: Annotated[Path, typer.Option(help="the project's folder")] = Path(),
    card: Annotated[Path | None, typer.Option(help="write the version's model card into this file")] = None,
    json: Annotated[bool, typer.Option("--json", help="print anew.gate/1")] = False,
) -> None:
    """Measure and judge; nothing is recorded and no traffic moves."""
    settings = load(project)
    if not has_record(state_folder(project)):
        raise NotFoundError(f"{project} was never brought up (anew up), so there is no registry to look into")
    version = version_of(project, version)
    check = check_gates(settings, version)
    if card is not None:
        card.write_text(check.card, encoding="utf-8")
    if json:
        verdicts = [
            {
                "gate": each.gate,
                "mode": "ask" if each.ask else "required" if each.required else "advisory",
                "verdict": each.verdict.name,
                "reason": each.reason,
                "evidence": [
                    {
                        "subject": one.subject,
                        "value": one.value,
                        "low": one.low,
                        "high": one.high,
                        "n": one.n,
                        "reference": one.reference,
                        "problem": one.problem,
                    }
                    for one in each.evidence
                ],
            }
            for each in check.verdicts
        ]
        data = {"version": version, "champion": check.champion, "outcome": check.outcome, "verdicts": verdicts}
        emit_json("anew.gate/1", data)
    else:
        for each in check.verdicts:
            mode = " (asks)" if each.ask else "" if each.required else " (advisory)"
            say(f"{each.verdict.name:<13}{each.gate}{mode}: {each.reason}")
            for one in each.evidence:
                if one.problem and one.problem not in each.reason:
                    say(f"{'':<13}  {one.subject or 'evidence'}: {one.problem}")
        say(f"{version} is {check.outcome}, compared with {check.champion or 'nobody'}")
    code = {"refused": 3, "waiting": 8}.get(check.outcome, 0)
    if code:
        raise typer.Exit(code)
