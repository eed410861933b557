"""Ask for a retrain now; the policy's cooldown and budget do not hold a person's command."""

from pathlib import Path
from typing import Annotated

import typer

from anew.app.accepted import accepted
from anew.app.command import command, told_waiting
from anew.app.narration import narrate
from anew.cli._changing import changing
from anew.cli._intent import Intent, agreed, check_champion, serving
from anew.cli._output import emit_json, say
from anew.domain.facts import RetrainCommanded, RetrainWithheld

__all__ = ["run"]


@changing
def run(
    intent: Intent,
    project: Annotated[Path, typer.Argument(help="the project's folder")] = Path(),
    reason: Annotated[str, typer.Option(help="why, for the record")] = "asked for at the command line",
    json: Annotated[bool, typer.Option("--json", help="print anew.retrain/1")] = False,
) -> None:
    """Post the command and say what the loop decided."""
    settings = accepted(project)
    check_champion(project, intent)
    if not agreed(intent, f"ask for a retrain; {serving(project) or 'nobody'} serves meanwhile", as_json=json):
        if json:
            emit_json("anew.retrain/1", {"taken": False, "withheld": False, "asked": False, "facts": []})
        return
    taken, facts = command(
        settings,
        lambda id, by, at: RetrainCommanded(model=settings.model, at=at, command=id, by=by, reason=reason),
    )
    withheld = any(isinstance(fact, RetrainWithheld) for fact in facts)
    if json:
        emit_json(
            "anew.retrain/1",
            {"taken": taken, "withheld": withheld, "asked": True, "facts": [narrate(fact) for fact in facts]},
        )
    elif not taken:
        say(told_waiting(settings.state))
    for fact in () if json else facts:
        say(narrate(fact))
    if withheld:
        raise typer.Exit(3)
