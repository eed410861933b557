"""Check a project's files and say everything that is wrong with them, each with its place."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from anew.adapters.pipeline_module import load_pipeline
from anew.app.accepted import accepted
from anew.app.history import history_problems
from anew.app.kept_columns import keep_columns
from anew.app.pace import pace_notes
from anew.app.settings import load
from anew.app.status import stored_rows
from anew.app.wiring import stages
from anew.cli._output import emit_json, remark, say
from anew.domain.errors import SettingsError

__all__ = ["run"]


def run(
    project: Annotated[Path, typer.Argument(help="the project's folder")] = Path(),
    json: Annotated[bool, typer.Option("--json", help="print anew.validate/1")] = False,
) -> None:
    """Check anew.yaml, pipeline.py and the file of data.history."""
    problems: list[str] = []
    notes: list[str] = []
    model = ""
    try:
        settings = load(project)
        model = settings.model
        stages(settings)
        load_pipeline(settings.pipeline)
        if stored_rows(settings.state):  # only by then are they settled
            keep_columns(settings, accepted(settings.root))
        problems += history_problems(settings, datetime.now(UTC))
        notes += pace_notes(settings)
    except SettingsError as exc:
        problems = [line for problem in exc.problems for line in problem.splitlines()]
    if json:
        emit_json("anew.validate/1", {"model": model, "valid": not problems, "problems": problems, "notes": notes})
    elif not problems:
        say(f"{project / 'anew.yaml'}: valid (model {model})")
        for note in notes:
            say(f"note: {note}")
    else:
        for problem in problems:
            remark(problem)
    if problems:
        raise typer.Exit(2)
