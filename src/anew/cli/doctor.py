"""Look at everything that a project stands on, and say what to do where it is not well."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from anew.app.doctor import examine
from anew.cli._output import emit_json, say
from anew.domain.health import Health

__all__ = ["run"]

_MARKS = {Health.GOOD: "✓", Health.SKIPPED: "-", Health.WARNING: "!", Health.BAD: "✗"}


def run(
    project: Annotated[Path, typer.Argument(help="the project's folder, or where one is to be made")] = Path(),
    quick: Annotated[bool, typer.Option("--quick", help="leave out what reads every byte")] = False,
    json: Annotated[bool, typer.Option("--json", help="print anew.doctor/1")] = False,
) -> None:
    """Examine the machine and the project; exit 1 when something is bad. Nothing is changed."""
    findings = examine(project, quick=quick)
    counts = Counter(each.health for each in findings)
    if json:
        data = {
            "counts": {each.value: counts[each] for each in Health},
            "findings": [asdict(each) for each in findings],
        }
        emit_json("anew.doctor/1", data)
    else:
        for each in findings:
            say(f"{_MARKS[each.health]} {each.name:<16}{each.found}")
            if each.fix:
                say(f"{'':18}→ {each.fix}")
        say("  ".join(f"{counts[each]} {each.value}" for each in Health if counts[each]))
    if counts[Health.BAD]:
        raise typer.Exit(1)
