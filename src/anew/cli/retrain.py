"""Ask for a retrain now; the policy's cooldown and budget do not hold a person's command."""

from pathlib import Path
from typing import Annotated

import typer

from anew.app.accepted import accepted
from anew.app.command import command
from anew.app.narration import narrate
from anew.app.status import project_status
from anew.cli._output import emit_json, say
from anew.domain.errors import ConflictError
from anew.domain.facts import RetrainCommanded, RetrainWithheld

__all__ = ["run"]


def run(
    project: Annotated[Path, typer.Argument(help="the project's folder")] = Path(),
    reason: Annotated[str, typer.Option(help="why, for the record")] = "asked for at the command line",
    expect_champion: Annotated[str, typer.Option(help="exit 5 and ask for nothing unless this version serves")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="look whether it can be, and do not ask")] = False,
    json: Annotated[bool, typer.Option("--json", help="print anew.retrain/1")] = False,
) -> None:
    """Post the command and say what the loop decided."""
    settings = accepted(project)
    if expect_champion or dry_run:
        serving = (project_status(project)["champion"] or {"version": "nobody"})["version"]
        if expect_champion and serving != expect_champion:
            raise ConflictError(f"{serving} serves, not {expect_champion}; nothing was asked for")
        if dry_run:
            _say_plan(serving, as_json=json)
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
        say("not taken yet: the command is kept for the loop, which takes it when it runs (anew up)")
    for fact in () if json else facts:
        say(narrate(fact))
    if withheld:
        raise typer.Exit(3)


def _say_plan(serving: str, *, as_json: bool) -> None:
    if as_json:
        emit_json("anew.retrain/1", {"taken": False, "withheld": False, "asked": False, "facts": []})
    else:
        say(f"would ask for a retrain; {serving} serves meanwhile")
