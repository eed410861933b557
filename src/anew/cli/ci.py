"""Check a project as continuous integration does: its policy, a backtest of it, its gates; or print the pipeline."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from anew.app.ci import STEPS, Checked, CheckOptions, check_project, pipeline_file
from anew.cli._output import emit_json, say

__all__ = ["run"]

_CODES = {"invalid": 2, "refused": 3, "asks": 8}


class _Kind(StrEnum):
    GITHUB = "github"
    GITLAB = "gitlab"


def run(
    project: Annotated[Path, typer.Argument(help="the project's folder")] = Path(),
    data: Annotated[Path | None, typer.Option(help="file of labelled rows [default: data.history]")] = None,
    version: Annotated[str, typer.Option(help="version of the registry that the gates are asked about")] = "",
    only: Annotated[str, typer.Option(help="steps with commas between")] = ",".join(STEPS),
    worse: Annotated[float, typer.Option(min=0, help="share it may lose more than never retraining does")] = 0.0,
    windows: Annotated[int | None, typer.Option(min=2, help="cut the rows into so many windows of equal size")] = None,
    show: Annotated[
        _Kind | None, typer.Option("--print", help="print the pipeline for GitHub Actions or GitLab, and check nothing")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="print anew.ci/1")] = False,
) -> None:
    """Exit 2 for a policy that is not valid, 3 when backtest or gates refuse or cannot be measured, 8 when one asks."""
    if show is not None:
        _print(pipeline_file(show), as_json=json)
        return
    steps = tuple(each.strip() for each in only.split(",") if each.strip())
    options = CheckOptions(data=data, version=version, only=steps, worse=worse, windows=windows)
    found = check_project(project, options)
    if json:
        emit_json("anew.ci/1", _plain(found) | {"pipeline": ""})
    else:
        _say(found)
    if found.outcome in _CODES:
        raise typer.Exit(_CODES[found.outcome])


def _print(text: str, *, as_json: bool) -> None:
    if as_json:
        nothing = Checked(model="", steps=(), needs=None)
        emit_json("anew.ci/1", _plain(nothing) | {"outcome": "printed", "pipeline": text})
        return
    for line in text.splitlines():
        say(line)


def _plain(found: Checked) -> dict[str, object]:
    needs = found.needs
    return {
        "model": found.model,
        "outcome": found.outcome,
        "steps": [
            {"step": each.step, "outcome": each.outcome, "said": list(each.said), "figures": dict(each.figures)}
            for each in found.steps
        ],
        "needs": None if needs is None else {"secrets": list(needs.secrets), "files": list(needs.files)},
    }


def _say(found: Checked) -> None:
    for each in found.steps:
        for line in each.said or ("",):
            say(f"{each.outcome:<11}{each.step:<10}{line}")
    if found.needs is not None:
        say(f"needs files   {', '.join(found.needs.files)}")
        say(f"needs secrets {', '.join(found.needs.secrets) or 'none'}")
    say(f"outcome       {found.outcome}")
