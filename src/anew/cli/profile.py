"""Profile a history by windows against what a version was trained on, spread over workers."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from anew.app.accepted import accepted
from anew.app.model import list_versions
from anew.app.profile_over import OverFiles, profile_over
from anew.cli._output import emit_json, say
from anew.domain.errors import NotFoundError

__all__ = ["run"]

_SHOWN = 3


def run(
    project: Annotated[Path, typer.Argument(help="the project's folder")],
    over: Annotated[Path, typer.Option(help="Parquet file, or a folder of them, with time and features")],
    version: Annotated[str, typer.Option(help="whose training rows to compare with [default: the champion]")] = "",
    processes: Annotated[
        int, typer.Option(min=0, help="processes of this machine [default: one for each core, two at most]")
    ] = 0,
    json: Annotated[bool, typer.Option("--json", help="print anew.profile/1")] = False,
) -> None:
    """Count every row once, here or on the cluster of stores.compute, and print the windows."""
    known = {each["version"]: each for each in list_versions(project)}
    wanted = version or next((name for name, each in known.items() if each["standing"] == "champion"), "")
    if wanted not in known or not known[wanted]["digest"]:
        raise NotFoundError(f"nothing of version {wanted or '(no champion)'} is stored; there are {', '.join(known)}")
    digest = str(known[wanted]["digest"])
    found = profile_over(accepted(project), over, digest=digest, version=wanted, processes=processes, told=_tell)
    if json:
        emit_json("anew.profile/1", _plain(found))
        return
    say(f"{found.version}: {found.rows:,} rows in {len(found.windows)} windows, counted in {found.pieces} pieces")
    for each in found.windows:
        far = sorted(((m.psi, name) for name, m in each.changes.items() if m is not None), reverse=True)
        said = ", ".join(f"{name} {psi:.3f}" for psi, name in far[:_SHOWN])
        say(f"  {each.window.start:%Y-%m-%d %H:%M} {each.profile.n:>12,} rows  largest PSI: {said}")


def _tell(done: int, pieces: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{done} of {pieces} pieces counted" + ("\n" if done == pieces else ""))
        sys.stderr.flush()


def _plain(found: OverFiles) -> dict[str, object]:
    return {
        "version": found.version,
        "rows": found.rows,
        "pieces": found.pieces,
        "windows": [
            {
                "start": each.window.start.isoformat(),
                "end": each.window.end.isoformat(),
                "rows": each.profile.n,
                "columns": {
                    name: None if m is None else {"psi": m.psi, "p_value": m.p_value}
                    for name, m in each.changes.items()
                },
            }
            for each in found.windows
        ],
    }
