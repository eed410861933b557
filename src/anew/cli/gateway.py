"""Serve the models of several projects on one port; `anew up` runs the loop of each."""

import logging
import signal
import sys
from pathlib import Path
from threading import Event
from typing import Annotated

import typer

from anew.app.shared_gateway import serve_projects
from anew.cli._output import emit_json

__all__ = ["run"]


def run(
    projects: Annotated[list[Path], typer.Argument(help="the projects' folders")],
    port: Annotated[int | None, typer.Option(help="port, else the first project's; 0 takes a free one")] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="worker processes, each of which serves all")] = 1,
    json: Annotated[bool, typer.Option("--json", help="print anew.gateway/1 once it begins")] = False,
) -> None:
    """Serve until interrupted."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    def ready(host: str, port: int) -> None:
        if json:
            emit_json("anew.gateway/1", {"url": f"http://{host}:{port}"})
            sys.stdout.flush()
        typer.echo(f"serving on http://{host}:{port}", err=True)

    serve_projects(projects, stop, port=port, workers=workers, ready=ready)
