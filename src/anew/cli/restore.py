"""Put a project back from its backup; never beneath gateways that know more than the backup does."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from anew.app.erased_since import Erasure
from anew.app.restore import RestoreOptions, restore
from anew.cli._changing import changing
from anew.cli._intent import Intent, agreed, check_champion
from anew.cli._output import emit_json, minute, say
from anew.cli._progress import at_a_terminal

__all__ = ["run"]

_ACCESS = {
    "here": "tokens and people are those of this place, not the backup's",
    "backup": "tokens and people are the backup's; whoever was revoked since is let in again: anew access list, users",
    "revoked": "tokens and people of the backup are revoked, since nothing here says who was revoked after it was "
    "made: make new ones (anew access create, add-user), or restore with --keep-access",
}


@changing
def run(
    intent: Intent,
    backup: Annotated[Path, typer.Argument(help="the folder that anew backup made")],
    project: Annotated[Path, typer.Argument(help="the project's folder")] = Path(),
    replace: Annotated[bool, typer.Option("--replace", help="set aside what the project keeps now")] = False,
    supersede: Annotated[
        bool, typer.Option("--supersede", help="go back although gateways have obeyed newer routing")
    ] = False,
    keys: Annotated[Path | None, typer.Option(help="folder of the signing key, for a backup without it")] = None,
    new_keys: Annotated[
        bool, typer.Option("--new-keys", help="take the backup's key although the project has another")
    ] = False,
    keep_access: Annotated[
        bool,
        typer.Option(
            "--keep-access", help="let everybody in whom the backup would, also who was revoked after it was made"
        ),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="print anew.restore/1")] = False,
) -> None:
    """Check every byte of the backup, and put it into place; exit 5 when what is there does not allow it."""
    check_champion(project, intent)
    dry_run = intent.dry_run
    if replace and not dry_run:
        agreed(intent, f"set aside what {project} keeps, and put {backup} into its place", as_json=json)
    options = RestoreOptions(
        replace=replace, supersede=supersede, keys=keys, new_keys=new_keys, keep_access=keep_access, dry_run=dry_run
    )
    done = restore(backup, project, options, at_a_terminal)
    made = done.manifest
    if json:
        data = {
            "model": made.model,
            "at": made.at.isoformat(),
            "facts": made.facts,
            "head": made.head,
            "epoch": done.epoch,
            "observations": dict(made.observations),
            "aside": None if done.aside is None else str(done.aside),
            "kept": list(done.kept),
            "access": done.access,
            "erased": None if done.erased is None else [_told(each) for each in done.erased],
            "restored": not dry_run,
            "seconds": done.seconds,
        }
        emit_json("anew.restore/1", data)
        return
    what = "would restore" if dry_run else "restored"
    say(f"{what} {made.model} as of {made.at:%Y-%m-%d %H:%M:%S} UTC: {made.facts:,} facts, epoch {done.epoch}")
    say(f"every byte checked, in {done.seconds:.1f} s (RTO, before anew up)")
    if done.aside is not None:
        say(f"what was there is in {done.aside}; it may have observations that came after the backup")
    for name in done.kept:
        say(f"note: {name} of the project was left as it is; the backup's is another")
    say(_ACCESS[done.access])
    _say_erased(done.erased, project)
    if not dry_run:
        say(f"next: anew up {project}")


def _told(erasure: Erasure) -> dict[str, str]:
    return {"at": erasure.at.isoformat(), "by": erasure.by, "reason": erasure.reason}


def _say_erased(erased: Sequence[Erasure] | None, project: Path) -> None:
    """Say whose orders to erase have to be given again: the backup has the rows, and the order names nobody."""
    if erased is None:
        say("the record that was here cannot be read: rows that were erased after the backup was made are back")
        say(f"order that again for each of them: anew data purge {project} --subject KEY")
    for each in map(_told, erased or ()):
        say(f"erased rows are back: on {minute(each['at'])} {each['by']} had a subject's rows erased: {each['reason']}")
    if erased:
        say(f"no record says whose they were; with anew up running, order it again for each of these {len(erased)}:")
        say(f"  anew data purge {project} --subject KEY --reason …")
