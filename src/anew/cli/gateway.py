"""Serve the models of several projects on one port, or a project of another host; `anew up` runs the loop of each."""

import logging
import signal
import sys
from pathlib import Path
from threading import Event
from typing import Annotated

import typer

from anew.app.log_line import log_to_stderr
from anew.app.replica_gateway import ReplicaOptions, serve_replica
from anew.app.shared_gateway import serve_projects
from anew.cli._output import emit_json, remark
from anew.domain.errors import SettingsError

__all__ = ["run"]


def run(
    projects: Annotated[
        list[Path],
        typer.Argument(help="the projects' folders, or an installation's; with --from one for its journal and copies"),
    ],
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="port, else the first project's; 0 takes a free one")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="worker processes, each of which serves all; else 1")
    ] = None,
    origin: Annotated[
        str, typer.Option("--from", help="stores.replicas of a project on another host, which this one serves too")
    ] = "",
    key: Annotated[str, typer.Option(help="with --from: that project's public key, by env:NAME or file:PATH")] = "",
    host: Annotated[str, typer.Option(help="with --from: the address to bind")] = "127.0.0.1",
    json: Annotated[bool, typer.Option("--json", help="print anew.gateway/1 once it begins")] = False,
) -> None:
    """Serve until interrupted."""
    log_to_stderr(logging.WARNING)
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    def ready(host: str, port: int) -> None:
        if json:
            emit_json("anew.gateway/1", {"url": f"http://{host}:{port}"})
            sys.stdout.flush()
        typer.echo(f"serving on http://{host}:{port}", err=True)

    def told(said: str) -> None:
        remark(said)

    if not origin:
        serve_projects(projects, stop, port=port, workers=workers or 1, ready=ready, told=told)
        return
    if len(projects) != 1 or not key:
        raise SettingsError("with --from, give one folder and --key env:NAME or file:PATH, the project's public key")
    options = ReplicaOptions(folder=projects[0], url=origin, key=key, host=host, port=port, workers=workers)
    serve_replica(options, stop, ready=ready)
