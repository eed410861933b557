"""Write a version into one HTML file: what it is, why it exists, what its gates said and what became of it."""

from pathlib import Path
from typing import Annotated

import typer

from anew.app.alias import version_of
from anew.app.report import write_report
from anew.cli._output import emit_json, say

__all__ = ["run"]


def run(
    version: Annotated[str, typer.Argument(help="a version (v3), or champion, challenger or fallback")],
    project: Annotated[Path, typer.Option(help="the project's folder")] = Path(),
    to: Annotated[Path | None, typer.Option(help="the file [default: report-VERSION.html]")] = None,
    json: Annotated[bool, typer.Option("--json", help="print anew.report/1")] = False,
) -> None:
    """Write it; the file needs no network and runs no script, and may be mailed, archived or printed."""
    version = version_of(project, version)
    file = to or Path(f"report-{version.replace('/', '-')}.html")
    size = write_report(project, version, file)
    if json:
        emit_json("anew.report/1", {"version": version, "file": str(file), "bytes": size})
        return
    say(f"{version} in {file}, {size / 1e3:,.0f} KB")
