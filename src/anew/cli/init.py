"""Make a project: a skeleton, a ready one with generated rows, or a working one from a file of labelled rows."""

from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from anew.adapters.schema_inference import Roles
from anew.app.adopt import create_around
from anew.app.hard_start import hard_start
from anew.app.project_template import create_from_file, create_skeleton
from anew.app.ready_project import STREAM, TEMPLATES, create_from_template
from anew.cli._output import emit_json, say
from anew.domain.errors import SettingsError

__all__ = ["run"]


def run(
    name: Annotated[
        str, typer.Argument(help="name of the model, or a path: the project's folder, called as the model")
    ] = "",
    data: Annotated[Path | None, typer.Option(help="Parquet or CSV file of labelled rows to infer from")] = None,
    time: Annotated[str, typer.Option(help="with --data: the event-time column")] = "",
    target: Annotated[str, typer.Option(help="with --data: the label column")] = "",
    task: Annotated[str, typer.Option(help="with --data: classification or regression")] = "",
    key: Annotated[str, typer.Option(help="with --data: the column that keeps a user on one arm")] = "",
    sensitive: Annotated[
        list[str] | None, typer.Option(help="with --data: a column kept for fairness, never for the model; repeatable")
    ] = None,
    template: Annotated[str, typer.Option(help=f"a ready project: {', '.join(TEMPLATES)}")] = "",
    model: Annotated[Path | None, typer.Option(help="with --data: a model that exists, as the first champion")] = None,
    unpickle: Annotated[
        bool, typer.Option("--unpickle", help="with --model: read a pickle once, confined, and keep it as data")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="print anew.init/1")] = False,
) -> None:
    """Write pipeline.py and anew.yaml."""
    if template and (data or model or time or target or task or key or sensitive):
        raise SettingsError("--template brings its own rows: give it, or --data with what describes the file, not both")
    parent, name = (Path(name).parent, Path(name).name) if Path(name).name else (Path(name), "")
    if template:
        created = create_from_template(parent, template, name=name)
    elif data is None:
        if time or target or task or key or sensitive or model or unpickle:
            raise SettingsError(
                "--time, --target, --task, --key, --sensitive and --model go with a file of rows: give it with "
                "--data FILE"
            )
        created = create_skeleton(parent / name)
    else:
        missing = [f"--{flag}" for flag, value in (("time", time), ("target", target), ("task", task)) if not value]
        if missing:
            raise SettingsError(f"--data needs {', '.join(missing)} too")
        roles = Roles(time=time, target=target, task=task, key=key, sensitive=tuple(sensitive or ()))
        if model is None:
            if unpickle:
                raise SettingsError("--unpickle says how a model is read: give it with --model FILE")
            created = create_from_file(parent, data, roles, name=name)
            created = replace(created, notes=(*created.notes, *hard_start(created.folder, data)))
        else:
            created = create_around(parent, model, data, roles, name=name, unpickle=unpickle)
    if json:
        written = [str(path) for path in created.written]
        notes = list(created.notes)
        emit_json(
            "anew.init/1", {"model": created.model, "folder": str(created.folder), "written": written, "notes": notes}
        )
        return
    for path in created.written:
        say(f"wrote {path}")
    for note in created.notes:
        say(f"note: {note}")
    say(f"next: anew validate {quote(str(created.folder))}")
    if template:
        say(f"then: anew replay {quote(str(created.folder))} --data {quote(str(created.folder / STREAM))}")
