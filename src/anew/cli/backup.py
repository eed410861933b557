"""Copy all that a project keeps, while it runs, into a folder that is signed and checked."""

import time
from pathlib import Path
from typing import Annotated

import typer

from anew.app.backup import back_up
from anew.cli._output import emit_json, say
from anew.cli._progress import at_a_terminal

__all__ = ["run"]


def run(
    destination: Annotated[Path, typer.Argument(help="folder that gets a new folder with the backup; another disk")],
    project: Annotated[Path, typer.Argument(help="the project's folder")] = Path(),
    secrets: Annotated[
        bool, typer.Option("--secrets/--without-secrets", help="with the signing key and the tokens' hashes")
    ] = True,
    json: Annotated[bool, typer.Option("--json", help="print anew.backup/1")] = False,
) -> None:
    """Make a backup of what was acknowledged until now, and read every byte of it again."""
    began = time.monotonic()
    folder, made = back_up(project, destination, secrets=secrets, counting=at_a_terminal)
    seconds = time.monotonic() - began
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if json:
        data = {
            "folder": str(folder),
            "model": made.model,
            "at": made.at.isoformat(),
            "facts": made.facts,
            "head": made.head,
            "epoch": made.epoch,
            "observations": dict(made.observations),
            "files": len(made.files),
            "bytes": size,
            "secrets": made.keys,
            "seconds": seconds,
        }
        emit_json("anew.backup/1", data)
        return
    say(f"{folder}: {len(made.files):,} files, {size / 1e6:,.1f} MB, checked, in {seconds:.1f} s")
    say(f"as of {made.at:%Y-%m-%d %H:%M:%S} UTC: {made.facts:,} facts, epoch {made.epoch}; everything acknowledged by")
    say(f"then (RPO 0): {made.observations['stored']:,} rows stored, {made.observations['waiting']:,} in the journals")
    if made.keys:
        say("It has the signing key: whoever can read it can sign as this project. --without-secrets leaves it out.")
    else:
        say("It has no signing key: keep .anew/keys elsewhere, restoring needs it (--keys).")
