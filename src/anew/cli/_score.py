"""Runs `anew data score`."""

from argparse import Namespace

from anew.app.score import score_file
from anew.cli._output import emit_json, say
from anew.cli._progress import at_a_terminal

__all__ = ["run"]


def run(given: Namespace) -> None:
    """Score, and say what was written."""
    scored = score_file(given.project, given.data, given.to, version=given.version, told=at_a_terminal("rows answered"))
    if given.json:
        plain = {"rows": scored.rows, "version": scored.version, "columns": list(scored.columns), "file": str(given.to)}
        emit_json("anew.data.score/1", plain | {"unlike": scored.unlike})
    else:
        say(f"{scored.rows:,} rows answered by {scored.version} into {given.to}: {', '.join(scored.columns)}")
        if scored.unlike:
            odd = "a NaN, an infinite number, or a boolean for a number"
            say(f"{scored.unlike:,} of the rows have {odd}, which the gateway refuses: use null, or 1 and 0")
