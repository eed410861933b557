"""Move the project's record of facts to another database, verified fact by fact; or back to an older revision."""

from pathlib import Path
from typing import Annotated

import typer

from anew.app.migrate import go_back, move_record
from anew.app.settings import load
from anew.cli._output import emit_json, say

__all__ = ["run"]


def run(
    project: Annotated[Path, typer.Argument(help="the project's folder")] = Path(),
    to: Annotated[
        str, typer.Option(help="sqlite, a postgresql:// URL, or env:NAME or file:PATH of one; else stores.database")
    ] = "",
    revision: Annotated[
        str, typer.Option(help="instead: bring the tables back to this revision, for an older anew, e.g. 0001")
    ] = "",
    json: Annotated[bool, typer.Option("--json", help="print anew.migrate/1")] = False,
) -> None:
    """Copy, compare, and use the copy from now on; the former record is left where it is."""
    settings = load(project)
    wanted = settings.policy.stores.database
    moved = go_back(settings, revision) if revision else move_record(settings, to or wanted)
    if json:
        data = {"from": moved.source, "to": moved.target, "facts": moved.head.seq, "hash": moved.head.hash}
        emit_json("anew.migrate/1", data | ({"revision": revision} if revision else {}))
        return
    if revision:
        say(f"{moved.target} is of revision {revision} now; the next `anew up` of this version brings it forward again")
        return
    say(f"{moved.head.seq:,} facts moved from {moved.source} to {moved.target}; head {moved.head.hash[:12]} in both")
    if to and to != wanted:
        say(f"write it into anew.yaml before `anew up`: stores: {{database: {to}}}")
