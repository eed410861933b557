"""Move the project's record to another database, and its artifacts to another place; or back to an older revision."""

from pathlib import Path
from typing import Annotated

import typer

from anew.app.migrate import Moved, go_back, move_record
from anew.app.settings import Settings, load
from anew.cli._changing import changing
from anew.cli._intent import Intent, agreed, check_champion
from anew.cli._output import emit_json, say
from anew.cli._progress import at_a_terminal
from anew.domain.errors import ConflictError

__all__ = ["run"]


@changing
def run(
    intent: Intent,
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
    check_champion(project, intent)
    moved = _do(settings, to or wanted, revision, dry_run=True)
    what = f"bring {moved.target} back to revision {revision}" if revision else f"move {_said(moved)}"
    if moved.holder and not intent.dry_run:
        raise ConflictError(f"{moved.holder} runs this project's loop; stop it first, and then move")
    what += f"; {moved.holder} runs the loop, and has to be stopped before" if moved.holder else ""
    done = agreed(intent, what, as_json=json)
    if done:
        moved = _do(settings, to or wanted, revision, dry_run=False)
    if json:
        data: dict[str, object] = {"moved": done, "from": moved.source, "to": moved.target}
        data |= {"running": bool(moved.holder), "facts": moved.head.seq, "hash": moved.head.hash}
        if moved.kept is not None:
            data["artifacts"] = dict(zip(("from", "to", "count"), moved.kept, strict=True))
        emit_json("anew.migrate/1", data | ({"revision": revision} if revision else {}))
        return
    if not done:
        return
    if revision:
        say(f"{moved.target} is of revision {revision} now; the next `anew up` of this version brings it forward again")
        return
    say(f"moved {_said(moved)}; head {moved.head.hash[:12]} in both")
    if to and to != wanted:
        say(f"write it into anew.yaml before `anew up`: stores: {{database: {to}}}")


def _do(settings: Settings, to: str, revision: str, *, dry_run: bool) -> Moved:
    if revision:
        return go_back(settings, revision, dry_run=dry_run)
    return move_record(settings, to, dry_run=dry_run, counting=at_a_terminal)


def _said(moved: Moved) -> str:
    """Say what goes where."""
    parts = [] if moved.source == moved.target else [f"{moved.head.seq:,} facts from {moved.source} to {moved.target}"]
    if moved.kept is not None:
        source, target, count = moved.kept
        parts.append(f"{count:,} artifacts and snapshots from {source} to {target}")
    return " and ".join(parts)
