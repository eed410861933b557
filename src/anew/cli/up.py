"""Serve a project and run its loop until interrupted."""

import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from typing import Annotated

import typer

from anew.adapters.fact_codec import encode
from anew.adapters.killpoint import install
from anew.app.host import HostOptions, up_installation
from anew.app.log_line import log_to_stderr
from anew.app.narration import narrate
from anew.app.standing import is_installation
from anew.app.up import UpOptions, up
from anew.cli._output import remark, say
from anew.domain.fact import Fact

__all__ = ["run"]

_QUIET = frozenset({"Ticked", "RolloutObserved", "CandidateMeasured", "RetrainApproved"})


def run(
    project: Annotated[Path, typer.Argument(help="the project's folder, or an installation's")] = Path(),
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="port of the gateway; 0 takes a free one")] = None,
    json: Annotated[bool, typer.Option("--json", help="print each fact as a line of JSON")] = False,
) -> None:
    """Serve and keep the model current."""
    of_many = is_installation(project)
    log_to_stderr(logging.WARNING, of_many=of_many)
    install()
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    def told(facts: Sequence[Fact]) -> None:
        for fact in facts:
            if json:
                sys.stdout.write(_line(fact) + "\n")
            elif fact.kind not in _QUIET:
                whose = f"{fact.model}  " if of_many else ""
                say(f"{fact.at:%Y-%m-%d %H:%M}  {whose}{narrate(fact)}")
        sys.stdout.flush()

    def ready(host: str, port: int) -> None:
        typer.echo(f"serving on http://{host}:{port}", err=True)

    def all_ready(well: int, broken: int) -> None:
        typer.echo(f"{well} models run, {broken} are broken: anew models {project}", err=True)

    def dashboard(address: str) -> None:
        typer.echo(f"dashboard on {address}; to sign in: anew access create YOUR-NAME --role admin", err=True)

    if of_many:
        up_installation(project, HostOptions(told=told, dashboard=dashboard, ready=all_ready), stop)
        return
    up(project, UpOptions(port=port, told=told, ready=ready, progress=remark, dashboard=dashboard), stop)


def _line(fact: Fact) -> str:
    return f'{{"kind": "{fact.kind}", "fact": {encode(fact).decode()}}}'
