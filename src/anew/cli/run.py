"""Show how far the run under way is, or cancel it."""

from pathlib import Path
from typing import Annotated

import typer

from anew.app.run import cancel_run, cancellable, runs_under_way
from anew.cli._changing import changing
from anew.cli._intent import Intent, agreed, check_champion
from anew.cli._output import emit_json, say

__all__ = ["COMMANDS"]

Project = Annotated[Path, typer.Argument(help="the project's folder")]


def _show(
    project: Project = Path(),
    json: Annotated[bool, typer.Option("--json", help="print anew.run.show/1")] = False,
) -> None:
    """Show what is being trained or measured, and how far it is."""
    runs = runs_under_way(project)
    if json:
        emit_json("anew.run.show/1", {"runs": runs})
        return
    for run in runs:
        say(f"{run['version'] or '-'}  {run['effect']}: {run['said']}")
    if not runs:
        say("nothing is under way")


@changing
def _cancel(
    intent: Intent,
    project: Project = Path(),
    reason: Annotated[str, typer.Option(help="why, for the record")] = "asked for at the command line",
    json: Annotated[bool, typer.Option("--json", help="print anew.run.cancel/1")] = False,
) -> None:
    """End the run under way within a few seconds: its candidate is given up, the champion goes on."""
    check_champion(project, intent)
    runs = cancellable(project)
    which = ", ".join(run["version"] or run["effect"] for run in runs)
    done = agreed(intent, f"cancel {which}, which has come this far: {runs[0]['said']}", as_json=json)
    if done:
        runs = cancel_run(project, reason)
    if json:
        emit_json("anew.run.cancel/1", {"cancelled": done, "runs": runs})
        return
    for run in runs if done else ():
        say(f"{run['version'] or run['effect']} is being cancelled")


COMMANDS = {"show": _show, "cancel": _cancel}
