"""List and show versions, and train one again from what is on record."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from anew.app.alias import version_of
from anew.app.model import card_of, card_sections, list_versions, show_version
from anew.app.model_card import card_differences, card_problems, model_card, write_section
from anew.app.reproduce import reproduce
from anew.cli._output import emit_json, minute, remark, say

__all__ = ["COMMANDS"]

Version = Annotated[str, typer.Argument(help="a version (v3), or champion, challenger or fallback")]
Project = Annotated[Path, typer.Option("--project", "-p", help="the project's folder")]


def _list(
    project: Project = Path(),
    json: Annotated[bool, typer.Option("--json", help="print anew.model.list/1")] = False,
) -> None:
    """List every version with where it stands, the oldest first."""
    found = list_versions(project)
    if json:
        emit_json("anew.model.list/1", {"versions": found})
        return
    for each in found:
        digest = each["digest"][:12]
        say(f"{each['version']:<6} {each['standing']:<12} {minute(each['since'])}  {digest:<12}  {each['reason']}")


def _show(
    version: Version,
    project: Project = Path(),
    json: Annotated[bool, typer.Option("--json", help="print anew.model.show/1")] = False,
) -> None:
    """Show what a version was made of: its verified artifact, parameters, search, snapshot, and where it stands."""
    version = version_of(project, version)
    found = show_version(project, version)
    if json:
        emit_json("anew.model.show/1", found)
        return
    manifest = found["manifest"]
    reason = f": {found['reason']}" if found["reason"] else ""
    say(f"{version}  {found['standing']} since {minute(found['since'])}{reason}")
    say(f"digest      {found['digest']}")
    inputs = f"{len(manifest['inputs'])} inputs"
    say(f"model       {manifest['format']}, {manifest['rows']} rows, {inputs}, seed {manifest['seed']}")
    say(f"snapshot    {manifest['snapshot']} ({manifest['holdout_rows']} rows held out)")
    say(f"parameters  {_pairs(manifest['params'])}")
    say(f"measured    {_pairs(manifest['metrics'])}")
    if found["search"]:
        search = found["search"]
        best = f"{search['metric']} {search['value']:.4g}"
        say(f"search      {search['trials']} trials, best {best} in trial {search['best']}")
    say(f"files       {', '.join(f'{name} ({size})' for name, size in found['files'].items())}")


def _pairs(values: dict[str, Any]) -> str:
    said = ((name, f"{value:.6g}" if isinstance(value, float) else value) for name, value in values.items())
    return ", ".join(f"{name} {value}" for name, value in said) or "none"


def _reproduce(
    version: Version,
    project: Project = Path(),
    json: Annotated[bool, typer.Option("--json", help="print anew.model.reproduce/1")] = False,
) -> None:
    """Train a version again from its snapshot, code, parameters and seed, and say whether the same came of it.

    Ends with 0 when digest, model or metrics are identical, with 3 when neither is.
    """
    version = version_of(project, version)
    found = reproduce(project, version, lambda said: remark(f"{version}: {said}"))
    if json:
        emit_json("anew.model.reproduce/1", asdict(found))
    else:
        say(f"{version}: {_VERDICTS[found.verdict]}")
        say(f"  on record {found.digest}")
        say(f"  again     {found.again}")
        for each in found.differences:
            say(f"  {each.what}: {each.then or 'nothing'} then, {each.now or 'nothing'} now")
    if found.verdict == "differs":
        raise typer.Exit(3)


_VERDICTS = {
    "identical_digest": "identical, byte for byte",
    "identical_model": "the model is identical, what lies beside it is not",
    "identical_metrics": "the model differs, its metrics are identical",
    "differs": "model and metrics differ",
}


def _card(
    version: Version,
    section: Annotated[str, typer.Option(help="section of model_card.md to be written, from --text")] = "",
    text: Annotated[Path | None, typer.Option(help="file with the words of --section")] = None,
    to: Annotated[Path | None, typer.Option(help="write the card into this file")] = None,
    check: Annotated[Path | None, typer.Option(help="a card: is it this version's, with its facts unchanged?")] = None,
    project: Project = Path(),
    json: Annotated[bool, typer.Option("--json", help="print anew.model.card/1")] = False,
) -> None:
    """Print a version's model card, or write what only people know; 3 while that is missing, or for another's card."""
    if bool(section) != (text is not None):
        raise typer.BadParameter("--section and --text go together", param_hint="--section")
    if text is not None:
        write_section(project, section, text.read_text("utf-8"))
    version = version_of(project, version)
    of = card_of(project, version)
    card, differences = model_card(project, of), list[str]()
    if check is not None:
        differences += card_differences(check.read_text("utf-8"), of)
    missing = list(card_problems(project, card_sections(project)))
    if to is not None:
        to.write_text(card, "utf-8")
    if json:
        data = {"version": version, "digest": of.digest, "card": card, "missing": missing, "differences": differences}
        emit_json("anew.model.card/1", data)
    elif to is None and check is None and text is None:
        for line in card.splitlines():
            say(line)
    for each in () if json else (*missing, *differences):
        remark(each)
    if missing or differences:
        raise typer.Exit(3)


COMMANDS = {"card": _card, "list": _list, "show": _show, "reproduce": _reproduce}
